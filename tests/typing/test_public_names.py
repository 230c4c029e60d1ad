"""The public names of the package and of its loop. `make stubs` holds the native stub to the built module."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from importlib import resources
from types import ModuleType

import pytest

import tulipa

# What `tulipa.Loop` has on top of asyncio's loops.
ADDED = {"connect", "driver", "run_until_idle", "start_server"}


def public(names: Iterable[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


# -- the package ----------------------------------------------------------------------------


def test_every_public_name_of_the_package_is_in_all() -> None:
    values = {name: value for name, value in vars(tulipa).items() if not isinstance(value, ModuleType)}
    assert public(values) - {"TYPE_CHECKING", "annotations"} == public(tulipa.__all__)


def test_every_name_in_all_is_there() -> None:
    for name in tulipa.__all__:
        assert hasattr(tulipa, name), name


def test_every_public_name_is_documented() -> None:
    for name in public(tulipa.__all__):
        assert inspect.getdoc(getattr(tulipa, name)), name


def test_unknown_name_is_refused_with_the_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = tulipa.nonsense


def test_package_says_that_it_is_typed() -> None:
    assert resources.files(tulipa).joinpath("py.typed").is_file()
    assert resources.files(tulipa).joinpath("_native.pyi").is_file()


# -- the loop -------------------------------------------------------------------------------


def test_loop_has_every_public_name_of_asyncios() -> None:
    assert public(dir(asyncio.SelectorEventLoop)) - public(dir(tulipa.Loop)) == set()


def test_loop_adds_only_what_is_listed() -> None:
    # asyncio's instances have it, too, but its class has no slot for it.
    ours = public(dir(tulipa.Loop)) - {"slow_callback_duration"}
    assert ours - public(dir(asyncio.SelectorEventLoop)) == ADDED


def test_every_public_method_that_is_ours_is_documented() -> None:
    # Not those of BaseEventLoop: asyncio documents some in a comment only.
    ours = [kind for kind in tulipa.Loop.__mro__ if kind.__module__.startswith("tulipa")]
    methods = {name: value for kind in ours for name, value in vars(kind).items() if callable(value)}
    assert public(methods) >= {"call_soon", "add_reader", "create_unix_server", "run_until_idle"}
    for name in public(methods):
        assert inspect.getdoc(methods[name]), name

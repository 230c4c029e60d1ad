"""The names of the package: what is public is in `__all__`, and the native module's stub names what was built."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

import tulipa
from tulipa import _native

STUB = Path(inspect.getfile(tulipa)).with_name("_native.pyi")
NOT_MEMBERS = {"__doc__", "__module__"}

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


# -- the loop -------------------------------------------------------------------------------


def test_loop_has_every_public_name_of_asyncios() -> None:
    assert public(dir(asyncio.SelectorEventLoop)) - public(dir(tulipa.Loop)) == set()


def test_loop_adds_only_what_is_listed() -> None:
    assert public(dir(tulipa.Loop)) - public(dir(asyncio.SelectorEventLoop)) == ADDED


def test_every_public_method_that_is_ours_is_documented() -> None:
    # Not those of BaseEventLoop: asyncio documents some in a comment only.
    ours = [kind for kind in tulipa.Loop.__mro__ if kind.__module__.startswith("tulipa")]
    methods = {name: value for kind in ours for name, value in vars(kind).items() if callable(value)}
    assert public(methods) >= {"call_soon", "add_reader", "create_unix_server", "run_until_idle"}
    for name in public(methods):
        assert inspect.getdoc(methods[name]), name


# -- the native module ----------------------------------------------------------------------


def stub_members() -> dict[str, set[str]]:
    """Return the names that the stub gives to the module (under "") and to each of its classes."""
    members: dict[str, set[str]] = {"": set()}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            if any(ast.unparse(decorator) == "type_check_only" for decorator in node.decorator_list):
                continue
            members[node.name] = {name for statement in node.body for name in names_of(statement)}
            members[""].add(node.name)
        else:
            members[""].update(names_of(node))
    return members


def names_of(statement: ast.stmt) -> Iterable[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        yield statement.name
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id


STUBBED = stub_members()


def test_stub_names_everything_in_the_native_module() -> None:
    assert STUBBED[""] == set(_native.__all__)
    assert public(vars(_native)) == public(_native.__all__)


@pytest.mark.parametrize("name", sorted(name for name in STUBBED if name))
def test_stub_names_every_member_of_the_native_class(name: str) -> None:
    built: type[object] = getattr(_native, name)
    assert STUBBED[name] == set(vars(built)) - NOT_MEMBERS

"""Choosing the driver of a loop by name.

Lives here: argument before environment before default, and the error for unknown names.
Not here: the drivers (native). Rule: what is not named is epoll; nothing faster or newer
is ever chosen unasked.
"""

from __future__ import annotations

import os

from . import _native

__all__ = ["DRIVER_VARIABLE", "choose_driver"]

DRIVER_VARIABLE = "TULIPA_DRIVER"


def choose_driver(name: str | None = None) -> str:
    """Return the name of the driver to use: `name`, else `TULIPA_DRIVER`, else the default.

    Raises TypeError when `name` is no str, ValueError that lists the known drivers when
    there is none of that name.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"driver must be a str or None, got {name!r}")
    known = _native.driver_names()
    origin = ""
    if name is None:
        name = os.environ.get(DRIVER_VARIABLE) or None
        origin = f" (from the environment variable {DRIVER_VARIABLE})"
    if name is None:
        return known[0]
    if name not in known:
        raise ValueError(f"unknown driver {name!r}{origin}; known drivers: {', '.join(known)}")
    return name

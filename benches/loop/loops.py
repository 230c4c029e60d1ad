"""The loops that are compared, and how to make one.

A peer that is not installed is left out with a word; it is never replaced by something else.
"""

from __future__ import annotations

import asyncio
import importlib
import platform
from collections.abc import Callable
from importlib import metadata

BASE = "asyncio"
OURS = "tulipa"
# In the order of the tables. Each but asyncio is a package with a `new_event_loop`.
NAMES = (OURS, "uvloop", "rloop", BASE)


def factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    return importlib.import_module(name).new_event_loop


def version(name: str) -> str | None:
    """The version of a loop, or None where it is not installed."""
    if name == BASE:
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

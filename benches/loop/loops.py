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
# asyncio's loop with other transports and other TLS beneath.
PATCHED = "aiofastnet"
# Not a loop: a bare epoll loop in C, which shows how much of a cost is the kernel's.
LIMIT = "C"
# In the order of the tables. Each but asyncio, the patched one and the limit is a package with a `new_event_loop`.
NAMES = (OURS, "uvloop", "rloop", "zuvloop", PATCHED, BASE, LIMIT)


def factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    package = importlib.import_module(name)
    return package.loop_factory() if name == PATCHED else package.new_event_loop


def version(name: str) -> str | None:
    """The version of a loop, or None where it is not installed."""
    if name == BASE:
        return platform.python_version()
    if name == LIMIT:
        return "limit"
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

"""The event loops that every test body runs on.

One body, many loops: stock asyncio says what must hold, tulipa must hold the same on each of its drivers.
What differs on purpose is listed in `differences.py`, nowhere else.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import importlib.util
import os
from dataclasses import dataclass
from unittest import mock


@dataclass(frozen=True)
class Backend:
    """One event loop implementation, and how to make a loop of it, here or in a child program."""

    name: str
    driver: str | None = None
    tls_engine: str | None = None

    @property
    def is_tulipa(self) -> bool:
        return self.driver is not None

    def new_loop(self) -> asyncio.AbstractEventLoop:
        if self.driver is None:
            return asyncio.new_event_loop()
        with mock.patch.dict(os.environ, self.environment):
            return importlib.import_module("tulipa").new_event_loop(driver=self.driver)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its loops are made under."""
        return {"TULIPA_TLS": self.tls_engine} if self.tls_engine else {}

    @functools.cached_property
    def refusal(self) -> str | None:
        """Why the kernel does not let this loop be made; None if it does. Some forbid rings, and containers do."""
        if self.driver != "io_uring":
            return None
        try:
            self.new_loop().close()
        except OSError as exc:
            return str(exc)
        return None

    @property
    def preamble(self) -> str:
        """Python source that defines `new_loop()` in a child program."""
        if self.driver is None:
            body = "import asyncio\nnew_loop = asyncio.new_event_loop\n"
        else:
            body = f"import asyncio, os, tulipa\nos.environ.update({self.environment!r})\n"
            body += f"def new_loop(): return tulipa.new_event_loop(driver={self.driver!r})\n"
        return (
            body
            + "def run(main, **kw):\n    with asyncio.Runner(loop_factory=new_loop, **kw) as r: return r.run(main)\n"
        )


ASYNCIO = Backend("asyncio")
TULIPA = tuple(Backend(f"tulipa-{driver}", driver) for driver in ("epoll", "poll", "select", "io_uring"))
ALL = (ASYNCIO, *TULIPA)
# The engine of TLS that is not the default one: what concerns TLS runs on it, too.
TLS = Backend("tulipa-memorybio", "epoll", "memorybio")
BY_NAME = {backend.name: backend for backend in (*ALL, TLS)}
DEFAULT = ("asyncio", "tulipa-epoll")


def tulipa_is_built() -> bool:
    return importlib.util.find_spec("tulipa") is not None

"""Having something done before a loop is wound down.

Lives here: `AtShutdown`. Not here: what is done. Rule: it is done by what every runner awaits before it closes a loop,
`shutdown_asyncgens`, so no runner has to know of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

__all__ = ["AtShutdown"]


class AtShutdown:
    """A coroutine that is run when asynchronous generators are shut down, unless that is called off."""

    def __init__(self, loop: asyncio.AbstractEventLoop, end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._end: Callable[[], Coroutine[Any, Any, None]] | None = end
        self._generator = self._wait()
        # A loop hears of the generators that begin while it runs.
        loop.call_soon(self._begin)

    def call_off(self) -> None:
        """Have nothing done."""
        self._end = None

    def _begin(self) -> None:
        if self._end is not None:
            try:
                self._generator.asend(None).send(None)
            except StopIteration:
                pass

    async def _wait(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if self._end is not None:
                await self._end()

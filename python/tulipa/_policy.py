"""The event loop policy: how a process is told which loop to make, up to Python 3.15.

Lives here: `EventLoopPolicy`. Not here: who sets it (`_install`). Rule: everything but the
class of the loop is the running version's own policy, so `get_event_loop()` without a
loop warns, creates or raises exactly as that version does (T29).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from ._compat import DefaultPolicy
from ._loop import Loop
from ._run import new_event_loop

__all__ = ["EventLoopPolicy"]


class EventLoopPolicy(DefaultPolicy):
    """A policy whose loops are tulipa's.

    Deprecated by Python 3.14 with all policies, and gone in 3.16: prefer `tulipa.run` or
    `asyncio.Runner(loop_factory=tulipa.new_event_loop)`.

    Follows asyncio.DefaultEventLoopPolicy.
    """

    _loop_factory = staticmethod(new_event_loop)

    def __init__(self, default_loop: Callable[[], Loop] | None = None) -> None:
        """Make a policy; `default_loop` gives the main thread's loop while none was set."""
        super().__init__()
        self._default_loop = default_loop
        self._main_thread_was_set = False

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of this thread.

        Raises RuntimeError, or makes one with a warning, as the running version does.
        """
        if (
            self._default_loop is not None
            and not self._main_thread_was_set
            and threading.current_thread() is threading.main_thread()
        ):
            self.set_event_loop(self._default_loop())
        return super().get_event_loop()

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Make `loop` the loop of this thread; None takes it away."""
        if threading.current_thread() is threading.main_thread():
            self._main_thread_was_set = True
        super().set_event_loop(loop)

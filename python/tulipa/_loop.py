"""The loop class.

Lives here: how the native core and the mixins become one `asyncio.BaseEventLoop`, its life from
run to close, and what the core calls when a callback fails. Not here: anything that concerns one
kind of descriptor; each has a mixin of its own.
Rule: what runs once per callback or per packet is native; nothing here does in normal operation.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from asyncio import base_events, events
from asyncio.log import logger
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Any, Self

from ._callbacks import CallbackMixin
from ._compat import BASE_LOOP_ATTRIBUTES, ThreadSafeHandle, callback_source, extract_stack, format_handle
from ._connecting import ConnectingMixin
from ._drivers import choose_driver
from ._names import NameMixin
from ._native import LoopCore
from ._pipes import PipeMixin
from ._process import ProcessMixin
from ._reading import serve_stream_readers
from ._sendfile import SendfileMixin
from ._serving import ServingMixin
from ._signals import SignalMixin
from ._sockets import SocketMixin
from ._tls import choose_tls_engine

__all__ = ["Loop"]

# Looked at when it is used: programs and tests replace the logger in that module.
_base_events: Any = base_events

serve_stream_readers()

if TYPE_CHECKING:
    from ._event_source import EventSource

    class _Core:
        """Nothing more: for the type checkers the core is a base of the mixins (see `Host`)."""

else:
    _Core = LoopCore


class Loop(  # pyright: ignore[reportIncompatibleMethodOverride]  # `sock_recv`: see SocketMixin
    _Core,
    SignalMixin,
    ProcessMixin,
    PipeMixin,
    SocketMixin,
    SendfileMixin,
    ConnectingMixin,
    ServingMixin,
    NameMixin,
    CallbackMixin,
    asyncio.BaseEventLoop,
):
    """An asyncio event loop that runs on a native core.

    `driver` names what it waits with: `"epoll"`, `"poll"`, `"select"` or `"io_uring"`; None means the
    environment variable `TULIPA_DRIVER`, and without it the default. Raises ValueError for an unknown
    name, there or in `TULIPA_TLS`, and OSError where the kernel refuses that driver.

    Everything that `asyncio.AbstractEventLoop` documents is here and behaves as documented; the
    differences are listed in docs/compatibility.md.
    """

    if not TYPE_CHECKING:
        # Everything that a loop keeps, so that its dictionary stays empty until a program puts something into it:
        # CPython looks into a dictionary first whenever a method such as `call_soon` is looked up.
        __slots__ = (
            *BASE_LOOP_ATTRIBUTES,
            "_background",
            "_children",
            "_flights",
            "_held",
            "_idle_checks",
            "_readers",
            "_signal_channel",
            "_signal_handlers",
            "_sources",
            "_start_in_turn",
            "_stop_when_idle",
            "_tls_engine",
            "_unix_server_sockets",
        )

    def __new__(cls, *args: Any, driver: str | None = None, **kwargs: Any) -> Self:
        # Before there is a loop, which would complain when it is dropped half-made.
        engine = choose_tls_engine()
        loop = super().__new__(cls, driver=choose_driver(driver))
        loop._tls_engine = engine
        return loop

    def __init__(self, *, driver: str | None = None) -> None:
        # Work that nobody would wait for, such as the wake-up pipe of signals; and work that the
        # core cannot see, such as a thread that waits for a child.
        self._background = 0
        self._held = 0
        # For each transport that is work only while it has something to write: whether it has nothing.
        self._idle_checks: set[Callable[[], bool]] = set()
        # Event sources that are open.
        self._sources: set[EventSource] = set()
        self._stop_when_idle = False
        super().__init__()
        _loops.add(self)

    def __repr__(self) -> str:
        return (
            f"<{self.__class__.__name__} driver={self.driver} running={self.is_running()} "
            f"closed={self.is_closed()} debug={self.get_debug()}>"
        )

    # -- running ----------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run until `stop()` is called.

        Raises RuntimeError if this or another loop already runs in this thread, or if the loop is
        closed. KeyboardInterrupt and SystemExit from a callback end the run; what was ready then
        runs with the next one.

        Follows asyncio.BaseEventLoop.run_forever.
        """
        self._check_closed()
        self._check_running()
        hooks = sys.get_asyncgen_hooks()
        self._set_coroutine_origin_tracking(self._debug)
        try:
            self._thread_id = threading.get_ident()
            sys.set_asyncgen_hooks(firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook)
            events._set_running_loop(self)
            if self._stop_when_idle or type(self)._run_once is not LoopCore._run_once:
                # A subclass that wraps the turn gets each of them (T9).
                while self._alive() or not self._stop_when_idle:
                    self._run_once()
                    if self._take_stopping():
                        break
            else:
                self._run_turns()
        finally:
            self._take_stopping()
            self._thread_id = None
            events._set_running_loop(None)
            self._set_coroutine_origin_tracking(False)
            sys.set_asyncgen_hooks(*hooks)

    def run_until_idle(self) -> None:
        """Run until nothing is left to do: no call, timer, transport, server or watched descriptor.

        Signal handlers do not count. Raises as `run_forever`.
        """
        self._stop_when_idle = True
        try:
            self.run_forever()
        finally:
            self._stop_when_idle = False

    def _alive(self) -> bool:
        """Whether anything is left to do that can still happen."""
        ready, timers, still_open = self._load()
        idle = sum(is_idle() for is_idle in self._idle_checks)
        return ready + timers + still_open + self._held > self._background + idle

    def _hold(self) -> None:
        self._held += 1

    def _release(self) -> None:
        self._held -= 1

    def _add_background_reader(self, fd: int, callback: Callable[..., object], *args: Any) -> asyncio.Handle:
        handle = self._add_reader(fd, callback, *args)
        self._background += 1
        return handle

    def _remove_background_reader(self, fd: int) -> bool:
        removed = self._remove_reader(fd)
        if removed:
            self._background -= 1
        return removed

    if not TYPE_CHECKING:

        @property
        def _ready(self) -> _Ready:
            return _Ready(self)

        @_ready.setter
        def _ready(self, queue: object) -> None:
            # BaseEventLoop makes a queue that nothing here uses.
            pass

    # -- ending -----------------------------------------------------------------------

    def close(self) -> None:
        """Close the loop: drop every call that is scheduled, and release what it watches.

        Closing twice is allowed. Raises RuntimeError if the loop runs.

        Follows asyncio.BaseEventLoop.close.
        """
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            return
        for source in list(self._sources):
            source.close()
        self._close_signals()
        super().close()
        self._close_core()

    # -- debug mode -------------------------------------------------------------------

    def _check_call(self, callback: object, method: str) -> None:
        """In debug mode, what asyncio checks before it schedules a call."""
        self._check_thread()
        self._check_callback(callback, method)

    def _creation_stack(self) -> Any:
        """In debug mode, where the handle that the core is making comes from."""
        return extract_stack(sys._getframe(1))

    def _run_watched(self, handle: asyncio.Handle) -> None:
        """Run a handle in debug mode, and report it if it was slow."""
        if handle.cancelled():
            return
        begun = self.time()
        try:
            self._current_handle = handle
            handle._run()
        finally:
            self._current_handle = None
        seconds = self.time() - begun
        if seconds >= self.slow_callback_duration:
            _base_events.logger.warning("Executing %s took %.3f seconds", format_handle(handle), seconds)
        # A traceback that the callback left behind keeps this frame, and so what is named in it.
        del handle

    def _step_ran(self, owner: Any, seconds: float) -> None:
        """Report a protocol's method, or the accepting of connections, if it was slow."""
        if seconds >= self.slow_callback_duration:
            _base_events.logger.warning("Executing callbacks of %r took %.3f seconds", owner, seconds)

    def _warn_replaced(self, method: str, fd: int, handle: asyncio.Handle) -> None:
        logger.warning("%s() replaces the callback of file descriptor %d: %s", method, fd, format_handle(handle))

    # -- failures ---------------------------------------------------------------------

    def _callback_failed(self, handle: asyncio.Handle, exc: BaseException) -> None:
        """Report what a callback raised, as asyncio.Handle does."""
        source = callback_source(handle)
        context: dict[str, Any] = {
            "message": f"Exception in callback {source}",
            "exception": exc,
            "handle": handle,
        }
        looked_at: Any = handle
        if looked_at._source_traceback:
            context["source_traceback"] = looked_at._source_traceback
        self.call_exception_handler(context)

    def _watch_failed(self, handle: asyncio.Handle, exc: OSError) -> None:
        """Report that a callback of `add_reader` or `add_writer` will be called no more."""
        self.call_exception_handler({"message": "A watched descriptor is lost", "exception": exc, "handle": handle})

    def _protocol_failed(self, transport: Any, exc: BaseException, message: str) -> None:
        """Report what a protocol's method raised; the transport goes on."""
        self.call_exception_handler(
            {
                "message": message,
                "exception": exc,
                "transport": transport,
                "protocol": transport.get_protocol(),
            }
        )

    def _transport_failed(self, transport: Any, exc: BaseException, message: str) -> None:
        """Report what went wrong with a transport, and end it.

        Follows asyncio.selector_events._SelectorTransport._fatal_error.
        """
        if isinstance(exc, OSError):
            if self._debug:
                logger.debug("%r: %s", transport, message, exc_info=exc)
        else:
            self._protocol_failed(transport, exc, message)
        transport._force_close(exc)

    if ThreadSafeHandle is not asyncio.Handle and not TYPE_CHECKING:

        def call_soon_threadsafe(
            self, callback: Callable[..., object], *args: Any, context: Context | None = None
        ) -> asyncio.Handle:
            """Schedule a call from any thread; see asyncio.loop.call_soon_threadsafe.

            Since 3.14 cancelling the handle waits while the call runs.
            """
            if self.is_closed():
                raise RuntimeError("Event loop is closed")
            if self._debug:
                self._check_callback(callback, "call_soon_threadsafe")
            handle = ThreadSafeHandle(callback, args, self, context)
            if self._debug:
                handle._source_traceback = extract_stack(sys._getframe(1))
            self._add_callback_threadsafe(handle)
            return handle


class _Ready(Sequence[asyncio.Handle]):
    """The ready queue as it is now, for code that knows asyncio from inside (T9)."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def __getitem__(self, index: Any) -> Any:
        handles: Any = self._loop._ready_handles()
        return handles[index]

    def __len__(self) -> int:
        return len(self._loop._ready_handles())

    def __repr__(self) -> str:
        return f"<ready queue {self._loop._ready_handles()!r}>"

    def append(self, handle: asyncio.Handle) -> None:
        """Schedule a handle."""
        self._loop._add_callback(handle)

    def clear(self) -> None:
        """Do nothing: only `close()` drops what is scheduled, and by itself."""


# Loops that a fork copies. The child's copies are dead, and say so (R10, T24).
_loops: weakref.WeakSet[Loop] = weakref.WeakSet()


def _after_fork() -> None:
    for loop in list(_loops):
        loop._forked()


os.register_at_fork(after_in_child=_after_fork)

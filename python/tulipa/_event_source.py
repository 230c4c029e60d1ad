"""Events that come from elsewhere than descriptors: another toolkit's loop, a message queue, a thread.

Lives here: `EventSource`. Not here: watching descriptors, which `add_reader` does. Rules:

1. `poll` runs on the loop's thread, in the context in which the source was made, never within itself.
2. However often `wake` is called before `poll` runs, it runs once; a `wake` that comes while it runs makes it run
   again.
3. An open source is something that the loop has left to do, unless it is not `referenced`. The loop closes those that
   are left when it is closed itself.
"""

from __future__ import annotations

import asyncio
import contextvars

from ._loop import Loop
from ._run import current_loop

__all__ = ["EventSource"]


class EventSource:
    """A source of events that plugs into a loop. Inherit from it, and give it a `poll` that delivers what there is.

    `wake`, from whatever thread, has `poll` called soon. For what cannot wake anybody, `prepare` says when to look
    next.

    `loop` is the loop to plug into, by default the present one; RuntimeError says that there is none. All methods but
    `wake` belong to its thread.
    """

    def __init__(self, *, loop: Loop | None = None, referenced: bool = True) -> None:
        self._loop = loop or current_loop()
        self._context = contextvars.copy_context()
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_in_background = False
        self._closed = False
        self._referenced = False
        self._loop._sources.add(self)
        self.referenced = referenced
        self._loop.call_soon(self._plan, context=self._context)

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {'closed' if self._closed else 'open'}>"

    # -- what a source does -----------------------------------------------------------

    def poll(self) -> None:
        """Deliver the events that are there, without waiting for any.

        What it raises is reported to the loop's exception handler, and the source goes on.
        """
        raise NotImplementedError(f"{type(self)!r} has no poll()")

    def prepare(self) -> float | None:
        """Return in how many seconds `poll` is to be called though nobody wakes it: 0 in the next turn, None never.

        Called at the beginning and after each `poll`.
        """
        return None

    def source_closed(self) -> None:
        """Called once when the source is closed, by `close` or with its loop."""

    # -- what a source is told --------------------------------------------------------

    def wake(self) -> bool:
        """Have `poll` called soon; from any thread, callbacks included.

        Return whether it will be, which it will not once the source is closed.
        """
        if self._closed:
            return False
        if not self._is_due:
            self._is_due = True
            try:
                self._loop.call_soon_threadsafe(self._run, context=self._context)
            except RuntimeError:  # The loop was closed meanwhile.
                return False
        return True

    @property
    def referenced(self) -> bool:
        """Whether the source, while it is open, is something that its loop has left to do."""
        return self._referenced

    @referenced.setter
    def referenced(self, referenced: bool) -> None:
        if referenced == self._referenced or self._closed:
            return
        self._referenced = referenced
        if referenced:
            self._loop._hold()
        else:
            self._loop._release()
        self._count_timer()

    @property
    def closed(self) -> bool:
        """Whether the source was closed."""
        return self._closed

    def close(self) -> None:
        """Deliver nothing more. From the loop's own thread; closing twice is allowed."""
        if self._closed:
            return
        self._drop_timer()
        self.referenced = False
        self._closed = True
        self._loop._sources.discard(self)
        try:
            # A copy: `poll` may be what closes.
            self._context.copy().run(self.source_closed)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report("source_closed", exc)

    # -- inside -----------------------------------------------------------------------

    def _run(self) -> None:
        # Before: what comes from now on needs another look.
        self._is_due = False
        if self._closed:
            return
        self._drop_timer()
        try:
            self.poll()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report("poll", exc)
        self._plan()

    def _plan(self) -> None:
        if self._closed:
            return
        try:
            seconds = self.prepare()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report("prepare", exc)
            return
        if self._closed or seconds is None:
            return
        self._drop_timer()
        self._timer = self._loop.call_later(seconds, self._on_time, context=self._context)
        self._count_timer()

    def _on_time(self) -> None:
        self._timer = None
        self._count_timer()
        self._run()

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._count_timer()

    def _count_timer(self) -> None:
        """Keep the books: the timer of a source that is not referenced is nothing to wait for."""
        in_background = self._timer is not None and not self._referenced
        if in_background != self._timer_in_background:
            self._timer_in_background = in_background
            self._loop._background += 1 if in_background else -1

    def _report(self, method: str, exc: BaseException) -> None:
        self._loop.call_exception_handler(
            {"message": f"Exception in {method}() of an event source", "exception": exc, "source": self}
        )

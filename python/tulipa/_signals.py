"""Signal handlers of the loop: `add_signal_handler` and `remove_signal_handler`.

Lives here: the pipe through which Python's C-level handler tells the loop which signal
came, and who else owns the process-wide wake-up descriptor. Not here: Ctrl-C of
`asyncio.Runner` (a plain `signal.signal` handler), children (watched by pidfd).

1. The program finds the wake-up descriptor touched only while a handler of ours is
   installed (T41). Without one the core borrows it for each wait, if it is free, so that
   a signal ends the wait and Python's own handlers run at once (P8).
2. It is a number >= 3, so a program with closed standard streams keeps 0 to 2 (R10, T37).
3. A foreign wake-up descriptor that was set before (Twisted, Trio, another loop) is
   chained: it gets every byte that we get, and it is set again when we let go (R10).
4. A foreign descriptor is written only while it is still the file it was: the number may
   have been closed and reused (R1, R6).
5. After `fork` the child's copies are closed and nothing of ours is set in it (T24).
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeVarTuple

from ._compat import is_coroutine_function
from ._host import Host

__all__ = ["SignalMixin"]

_Ts = TypeVarTuple("_Ts")

_LOWEST_DESCRIPTOR = 3
_READ_SIZE = 4096


class SignalMixin(Host):
    """Adds `add_signal_handler` and `remove_signal_handler` to the loop."""

    def __init__(self) -> None:
        super().__init__()
        self._signal_handlers: dict[int, asyncio.Handle] = {}
        self._signal_channel: _Channel | None = None

    def add_signal_handler(self, sig: int, callback: Callable[[*_Ts], object], *args: *_Ts) -> None:
        """Call `callback(*args)` on the loop each time the signal `sig` arrives.

        A second handler for the same signal replaces the first. Signals that arrive
        between two runs of the loop are delivered by the next run.

        Raises TypeError for a coroutine function or a `sig` that is no int, ValueError
        for a number that is no signal, RuntimeError when the signal cannot be caught or
        the caller is not in the main thread.

        Follows asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler.
        """
        if asyncio.iscoroutine(callback) or is_coroutine_function(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler(); pass a function that creates a task")
        if not callable(callback):
            raise TypeError(f"a callable was expected, got {callback!r}")
        self._check_signal(sig)
        self._check_closed()
        channel = self._signal_channel
        if channel is None or not channel.is_open:
            channel = _Channel.open()
        try:
            # Raises ValueError outside the main thread, before anything has changed.
            channel.take_wakeup_fd()
        except (ValueError, OSError) as exc:
            if channel is not self._signal_channel:
                channel.close()
            raise RuntimeError(str(exc)) from None
        try:
            self._adopt_channel(channel)
        except BaseException:
            channel.give_back_wakeup_fd()
            channel.close()
            raise
        handlers = self._signal_handlers
        if not handlers:
            # What is left of a wait came before the handler.
            channel.read()
        previous = handlers.get(sig)
        handlers[sig] = asyncio.Handle(callback, args, self, None)
        try:
            # Python then writes the number of the signal into the wake-up descriptor.
            signal.signal(sig, _noop)
            # SA_RESTART: as few EINTR in the program's own calls as can be.
            signal.siginterrupt(sig, False)
        except OSError as exc:
            if previous is None:
                del handlers[sig]
            else:
                handlers[sig] = previous
            if not handlers:
                channel.give_back_wakeup_fd()
            if exc.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from None
            raise

    def remove_signal_handler(self, sig: int) -> bool:
        """Remove the handler of the signal `sig`; return whether there was one.

        The signal's default action is restored (`KeyboardInterrupt` for SIGINT). With
        the last handler the wake-up descriptor goes back to whoever had it.

        Raises TypeError and ValueError as `add_signal_handler`.

        Follows asyncio.unix_events._UnixSelectorEventLoop.remove_signal_handler.
        """
        self._check_signal(sig)
        handlers = self._signal_handlers
        if handlers.pop(sig, None) is None:
            return False
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        try:
            signal.signal(sig, default)
        except OSError as exc:
            if exc.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from None
            raise
        channel = self._signal_channel
        if not handlers and channel is not None and channel.is_open:
            channel.give_back_wakeup_fd()
        return True

    def _own_wakeup_fd(self) -> int | None:
        """Return the pipe's writing end, for the core to borrow the wake-up descriptor with.

        None where signals are none of the loop's business, or no pipe can be had; only a
        signal between two looks must then wait for the next turn.
        """
        if threading.get_ident() != threading.main_thread().ident:
            return None
        channel = self._signal_channel
        if channel is None or not channel.is_open:
            try:
                channel = _Channel.open()
            except OSError:
                return None
            try:
                self._adopt_channel(channel)
            except OSError:
                channel.close()
                return None
        return channel.write_fd

    def _adopt_channel(self, channel: _Channel) -> None:
        if channel is not self._signal_channel:
            self._add_background_reader(channel.read_fd, self._read_signals)
            self._signal_channel = channel

    def _close_signals(self) -> None:
        """Remove every handler and close the pipe; called by `Loop.close()` before the core."""
        handlers = self._signal_handlers
        channel, self._signal_channel = self._signal_channel, None
        if channel is not None and channel.is_open:
            self._remove_background_reader(channel.read_fd)
        if not handlers:
            if channel is not None:
                channel.close()
            return
        # While the wake-up descriptor cannot be unset, the pipe behind it must stay open:
        # a signal would be written to whatever gets the number next (R1).
        if sys.is_finalizing():
            handlers.clear()
            self._warn_signals_left("on interpreter shutdown stage")
            return
        if channel is not None:
            self._signal_channel = channel
        try:
            for sig in list(handlers):
                self.remove_signal_handler(sig)
        except ValueError:
            handlers.clear()
            self._warn_signals_left("outside the main thread")
            return
        finally:
            self._signal_channel = None
        if channel is not None:
            channel.close()

    def _warn_signals_left(self, where: str) -> None:
        warnings.warn(
            f"Closing the loop {self!r} {where}, skipping signal handlers removal",
            ResourceWarning,
            source=self,
            stacklevel=4,
        )

    def _check_signal(self, sig: object) -> None:
        if not isinstance(sig, int):
            raise TypeError(f"sig must be an int, not {sig!r}")
        if sig not in signal.valid_signals():
            raise ValueError(f"invalid signal number {sig}")

    def _read_signals(self) -> None:
        channel = self._signal_channel
        if channel is None:
            return
        numbers = channel.read()
        if not self._signal_handlers:
            # They have ended a wait, which was all. Or they came in the moment in which the core
            # looked whether the wake-up descriptor is free, and are for whoever has set it.
            foreign = self._foreign_wakeup_fd
            if numbers and foreign >= 0:
                channel.pass_on(_Foreign(foreign, _identity(foreign)), numbers)
            return
        for sig in numbers:
            self._handle_signal(sig)

    def _handle_signal(self, sig: int) -> None:
        handle = self._signal_handlers.get(sig)
        if handle is None:
            return  # A signal that somebody else handles, or one removed meanwhile.
        if handle.cancelled():
            self.remove_signal_handler(sig)
        else:
            parts: Any = handle
            self.call_soon(parts._callback, *parts._args, context=parts._context)


class _Foreign(NamedTuple):
    """A wake-up descriptor that was set before ours, and the file it was then."""

    fd: int
    identity: tuple[int, int] | None

    def is_same_file(self) -> bool:
        return self.identity is not None and self.identity == _identity(self.fd)


class _Channel:
    """The two ends of the pipe, and what is known of other wake-up descriptors."""

    # All open channels, so that one that closes is taken out of the others' chains.
    _open_channels: ClassVar[weakref.WeakSet[_Channel]] = weakref.WeakSet()

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd
        self.is_open = True
        self._foreign: _Foreign | None = None
        self._open_channels.add(self)

    @classmethod
    def open(cls) -> _Channel:
        ends = list(os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))
        try:
            for index, end in enumerate(ends):
                if end < _LOWEST_DESCRIPTOR:
                    ends[index] = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _LOWEST_DESCRIPTOR)
                    os.close(end)
            return cls(*ends)
        except BaseException:
            for end in ends:
                os.close(end)
            raise

    def take_wakeup_fd(self) -> None:
        """Make our pipe the wake-up descriptor; remember the one that was set before."""
        previous = signal.set_wakeup_fd(self.write_fd)
        if previous == -1:
            self._foreign = None
        elif previous != self.write_fd:
            self._foreign = _Foreign(previous, _identity(previous))

    def give_back_wakeup_fd(self) -> None:
        """Set again what was set before us, unless somebody took it over meanwhile."""
        self.read()
        try:
            current = signal.set_wakeup_fd(-1)
        except ValueError:
            return  # Not the main thread: the removal of a handler has already said so.
        if current not in (-1, self.write_fd):
            signal.set_wakeup_fd(current)
        elif self._foreign is not None and self._foreign.is_same_file():
            signal.set_wakeup_fd(self._foreign.fd)
        self._foreign = None

    def read(self) -> bytes:
        """Take all signal numbers out of the pipe, passing them on to a foreign descriptor."""
        chunks: list[bytes] = []
        while True:
            try:
                chunk = os.read(self.read_fd, _READ_SIZE)
            except BlockingIOError:
                break
            except InterruptedError:
                continue
            chunks.append(chunk)
            if len(chunk) < _READ_SIZE:
                break
        numbers = b"".join(chunks)
        if numbers and self._foreign is not None:
            self.pass_on(self._foreign, numbers)
        return numbers

    def pass_on(self, foreign: _Foreign, numbers: bytes) -> None:
        """Write signal numbers into the descriptor that somebody else has set."""
        if not foreign.is_same_file():
            self._foreign = None
            return
        try:
            os.write(foreign.fd, numbers)
        except BlockingIOError:
            warnings.warn(
                f"signal numbers for the wake-up descriptor {foreign.fd}, set before this "
                f"loop's, were dropped: it is full because its owner does not read it",
                RuntimeWarning,
                stacklevel=2,
            )
        except OSError:
            self._foreign = None  # Its reader is gone.

    def close(self) -> None:
        """Close both ends; channels that chain to this one chain to what it chained to."""
        if not self.is_open:
            return
        self.is_open = False
        for other in self._open_channels:
            if other._foreign is not None and other._foreign.fd == self.write_fd:
                other._foreign = self._foreign
        self._open_channels.discard(self)
        os.close(self.read_fd)
        os.close(self.write_fd)

    @classmethod
    def close_all_in_child(cls) -> None:
        """Rule 5: close the child's copies and leave no descriptor of ours set."""
        channels = list(cls._open_channels)
        try:
            current = signal.set_wakeup_fd(-1)
        except ValueError:
            current = -1  # Forked from another thread than the main one.
        if current != -1 and current not in [channel.write_fd for channel in channels]:
            signal.set_wakeup_fd(current)
        for channel in channels:
            channel._foreign = None
            channel.close()


def _noop(signum: int, frame: object) -> None:
    """Stand for a handler: with one installed, Python writes to the wake-up descriptor."""


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


os.register_at_fork(after_in_child=_Channel.close_all_in_child)

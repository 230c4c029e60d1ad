"""`sendfile` and `sock_sendfile` by the system call of that name.

Lives here: the loop around the call, and what becomes of the file position. Not here: the
checks of the arguments and the fallback that reads and writes (BaseEventLoop has both).

1. `SendfileNotAvailableError` is raised only while nothing was sent, so that the fallback
   can begin at the same offset (T27).
2. The file's position is moved to where sending stopped, whatever stopped it: the end, an
   error, a cancellation (before 3.14 asyncio left it alone when nothing had been sent).
3. One call of the system per turn: other callbacks run between two of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import socket
from typing import Any

from . import _native
from ._compat import SendfileNotAvailableError
from ._host import Host

__all__ = ["SendfileMixin"]

# What one call may send at most on Linux.
_COUNT_MAX = 0x7FFFF000


class SendfileMixin(Host):
    """Gives `sendfile` and `sock_sendfile` of BaseEventLoop their native path."""

    async def _sock_sendfile_native(self, sock: socket.socket, file: Any, offset: int, count: int | None) -> int:
        """Send `count` bytes (None: all) of `file` from `offset`; return how many went.

        Raises SendfileNotAvailableError for what the system call cannot send.

        Follows asyncio.unix_events._UnixSelectorEventLoop._sock_sendfile_native.
        """
        self._ensure_fd_no_transport(sock)
        return await _Transfer(self, sock, file, offset, count).run()

    async def _sendfile_native(self, transport: Any, file: Any, offset: int, count: int | None) -> int:
        """Send a file over the socket of `transport`, after everything written before.

        Reading is paused meanwhile, and `write` refused by the transport.

        Follows asyncio.selector_events.BaseSelectorEventLoop._sendfile_native.
        """
        sock: socket.socket = transport._sock
        self._check_sendfile_params(sock, file, offset, count)
        # Raises RuntimeError when another sendfile is under way: nothing to undo then.
        all_written = transport._make_empty_waiter()
        was_reading: bool = transport.is_reading()
        try:
            transport.pause_reading()
            await all_written
            return await _Transfer(self, sock, file, offset, count).run()
        finally:
            transport._reset_empty_waiter()
            if was_reading:
                transport.resume_reading()


class _Transfer:
    """One file on its way into one socket."""

    def __init__(
        self,
        loop: SendfileMixin,
        sock: socket.socket,
        file: Any,
        offset: int,
        count: int | None,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._file_fd = _descriptor_of(file)
        self._offset = offset
        self._left: int | None = count
        self._sent = 0
        self._done: asyncio.Future[None] = loop.create_future()

    async def run(self) -> int:
        """Send until the count is reached or the file ends; return how many bytes went.

        Nothing that others send is put between two parts of the file: the whole transfer
        has one place in the queue of the socket (R6).
        """
        fd = self._sock.fileno()
        if self._loop._has_waiters(self._sock, fd, True) or not self._first_step():
            place = self._loop._enqueue(self._sock, fd, True, self._attempt, self._done)
            try:
                # A callback, even one that does nothing, has room reported once per turn
                # (rule 3), and the first in the queue tries again then.
                self._loop._add_writer(fd, _do_nothing)
                await self._done
            finally:
                self._loop._dequeue(place)
                # A descriptor that was closed meanwhile is no longer ours to touch.
                if self._sock.fileno() == fd:
                    self._loop._remove_writer(fd)
                self._set_position()
        return self._sent

    def _first_step(self) -> bool:
        try:
            finished = self._step()
        except BaseException:
            self._set_position()
            raise
        if finished:
            self._set_position()
        return finished

    def _set_position(self) -> None:
        with contextlib.suppress(OSError):  # What is no file has no position.
            os.lseek(self._file_fd, self._offset, os.SEEK_SET)

    def _attempt(self) -> None:
        if not self._step():
            raise BlockingIOError(errno.EAGAIN, "the socket takes no more of the file now")

    def _step(self) -> bool:
        """Make one system call; return whether there is nothing left to send."""
        fd = self._sock.fileno()
        if fd == -1:
            raise ConnectionError(errno.ENOTCONN, f"the socket was closed after {self._sent} bytes of the file")
        size = _COUNT_MAX if self._left is None else min(self._left, _COUNT_MAX)
        try:
            sent = _native.sendfile(fd, self._file_fd, self._offset, size)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as exc:
            if self._sent == 0:
                raise SendfileNotAvailableError(
                    f"os.sendfile call failed: descriptor {self._file_fd} is not a regular "
                    f"file, or {self._sock!r} takes nothing ({exc})"
                ) from exc
            if exc.errno == errno.ENOTCONN and type(exc) is not ConnectionError:
                raise ConnectionError("socket is not connected", errno.ENOTCONN) from exc
            raise
        self._offset += sent
        self._sent += sent
        if self._left is not None:
            self._left -= sent
        return sent == 0 or self._left == 0


def _do_nothing() -> None:
    """Stand for a callback: with one added, room to write is reported once per turn."""


def _descriptor_of(file: Any) -> int:
    try:
        fileno: int = file.fileno()
    except (AttributeError, io.UnsupportedOperation) as exc:
        raise SendfileNotAvailableError(f"{file!r} is not a regular file: {exc}") from exc
    return fileno

"""Operations on the program's own sockets.

Lives here: `sock_recv` and its kin. Not here: the queue that they wait in, and the retries, which are
native. Rules:

1. An operation is tried at once; only one that would block waits.
2. Operations in one direction of one socket are served in the order in which they came (R6): none
   overtakes another that waits, and none runs between two parts of another.
3. What an operation waits for is released when it ends, however it ends (R5).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import types
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeVar

from ._host import Host

__all__ = ["SocketMixin", "as_if_waited"]

_T = TypeVar("_T")

# What an operation raises that would block. The operations below try by themselves before they wait: one more coroutine
# around each attempt costs as much as the attempt.
_BLOCKS = (BlockingIOError, InterruptedError)


@types.coroutine
def as_if_waited() -> Generator[None]:
    """Take the two turns that asyncio waits for a connection, also for one that was answered at once.

    A server of this very loop accepts in them, and programs count on finding its end when they have theirs.
    """
    yield
    yield


class SocketMixin(Host):
    """Adds the `sock_*` coroutines, except `sock_sendfile`."""

    # asyncio's loops call it `n`, whatever AbstractEventLoop says.
    async def sock_recv(self, sock: socket.socket, n: int) -> bytes:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Receive up to `n` bytes; an empty result is the end. See asyncio.loop.sock_recv."""
        received = self._receive_now(sock, n)
        if isinstance(received, bytes):
            return received
        return await self._operate(sock, False, partial(self._receive, sock, n), tried=received is None)

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        """Receive into a buffer; return the number of bytes. See asyncio.loop.sock_recv_into."""
        if tried := self._may_try(sock, False):
            try:
                return sock.recv_into(buf)
            except _BLOCKS:
                pass
        return await self._operate(sock, False, lambda: sock.recv_into(buf), tried=tried)

    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
        """Receive a datagram and its sender. See asyncio.loop.sock_recvfrom."""
        if tried := self._may_try(sock, False):
            try:
                return sock.recvfrom(bufsize)
            except _BLOCKS:
                pass
        return await self._operate(sock, False, lambda: sock.recvfrom(bufsize), tried=tried)

    async def sock_recvfrom_into(self, sock: socket.socket, buf: Any, nbytes: int = 0) -> tuple[int, Any]:
        """Receive a datagram into a buffer. See asyncio.loop.sock_recvfrom_into."""
        size = nbytes or len(buf)
        if tried := self._may_try(sock, False):
            try:
                return sock.recvfrom_into(buf, size)
            except _BLOCKS:
                pass
        return await self._operate(sock, False, lambda: sock.recvfrom_into(buf, size), tried=tried)

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        """Send all of `data`. See asyncio.loop.sock_sendall."""
        sent = self._send_now(sock, data)
        if sent is None:
            return
        rest = memoryview(data).cast("B")[sent:]

        def send() -> None:
            nonlocal rest
            while rest:
                rest = rest[sock.send(rest) :]

        await self._operate(sock, True, send)

    async def sock_sendto(self, sock: socket.socket, data: Any, address: Any) -> int:
        """Send a datagram; return its length. See asyncio.loop.sock_sendto."""
        if tried := self._may_try(sock, True):
            try:
                return sock.sendto(data, address)
            except _BLOCKS:
                pass
        return await self._operate(sock, True, lambda: sock.sendto(data, address), tried=tried)

    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        """Accept a connection, as a non-blocking socket and its peer's address.

        See asyncio.loop.sock_accept.
        """
        self._check_socket(sock)

        def accept() -> tuple[socket.socket, Any]:
            connection, peer = sock.accept()
            connection.setblocking(False)
            return connection, peer

        return await self._operate(sock, False, accept, lambda accepted: accepted[0].close())

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect; a host name is looked up first. See asyncio.loop.sock_connect."""
        self._check_socket(sock)
        family = sock.family
        if family in (socket.AF_INET, socket.AF_INET6):
            resolve: Any = self
            found = await resolve._ensure_resolved(address, family=family, type=sock.type, proto=sock.proto, loop=self)
            address = found[0][4]
        if family == socket.AF_UNIX:
            # Done or refused at once. EAGAIN means that the listener's queue is full, and nothing is
            # under way that one could wait for.
            sock.connect(address)
            return
        under_way = answered = False

        def connect() -> None:
            nonlocal under_way, answered
            if not under_way:
                under_way = True
                try:
                    sock.connect(address)
                except BlockingIOError:
                    # What is near has answered by now.
                    answered = self._is_connected_by_now(sock, address)
                    if not answered:
                        raise
            elif code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(code, f"Connect call failed {address}")

        await self._operate(sock, True, connect)
        if answered:
            await as_if_waited()

    def _check_socket(self, sock: socket.socket) -> None:
        if isinstance(sock, ssl.SSLSocket):
            raise TypeError("Socket cannot be of type SSLSocket")
        if self.get_debug() and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    async def _operate(
        self,
        sock: socket.socket,
        write: bool,
        attempt: Callable[[], _T],
        discard: Callable[[_T], None] | None = None,
        tried: bool = False,
    ) -> _T:
        """Return what `attempt` returns once it no longer would block.

        `discard` gets a result that nobody is left to take. `tried` says that the first attempt was made, in vain.
        """
        fd = sock.fileno()
        if fd >= 0 and not tried:
            if write:
                self._ensure_fd_no_transport(fd)
            else:
                self._ensure_unread(fd)
        if not tried and (fd < 0 or not self._has_waiters(sock, fd, write)):
            try:
                return attempt()
            except _BLOCKS:
                pass
        future: asyncio.Future[_T] = self.create_future()
        waiter = self._enqueue(sock, fd, write, attempt, future)
        try:
            return await future
        except asyncio.CancelledError:
            if discard is not None and future.done() and not future.cancelled():
                if future.exception() is None:
                    discard(future.result())
            raise
        finally:
            self._dequeue(waiter)
            # An exception's traceback keeps this frame, and a future its exception.
            del future, waiter

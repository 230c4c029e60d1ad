"""What `create_connection`, `create_server` and their like leave behind when they fail.

Lives here: closing the sockets that `asyncio.BaseEventLoop` makes on the way and then forgets, because
it was cancelled, lost a race of addresses, or a protocol factory raised. Not here: connecting and
serving themselves, which are inherited.
Rule: whoever makes a socket closes it, unless a transport has taken it over (R5).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ._compat import complete_server
from ._host import Host

__all__ = ["ConnectingMixin"]


class _Attempt:
    """One call of `create_connection`."""

    def __init__(self) -> None:
        self.made: list[socket.socket] = []
        self.over = False


# The attempt that is under way. A context variable, because a race of addresses connects in tasks of
# its own.
_attempt: ContextVar[_Attempt | None] = ContextVar("tulipa_attempt", default=None)

# The servers that an attempt has started.
_started: ContextVar[list[Any] | None] = ContextVar("tulipa_servers_started", default=None)


class ConnectingMixin(Host):
    """Wraps the inherited coroutines."""

    if not TYPE_CHECKING:  # The inherited overloads say it better.

        async def create_connection(
            self,
            protocol_factory: Callable[[], asyncio.BaseProtocol],
            host: str | None = None,
            port: int | None = None,
            **kwargs: Any,
        ) -> Any:
            """Connect to a host and port, or over `sock`; see asyncio.loop.create_connection."""
            if kwargs.get("sock") is not None:
                # A socket of the caller's stays the caller's until a transport has it.
                return await super().create_connection(protocol_factory, host, port, **kwargs)
            attempt = _Attempt()
            token = _attempt.set(attempt)
            try:
                return await super().create_connection(protocol_factory, host, port, **kwargs)
            finally:
                _attempt.reset(token)
                attempt.over = True
                for sock in attempt.made:
                    self._close_unless_owned(sock)

        async def _create_connection_transport(self, sock: socket.socket, *args: Any, **kwargs: Any) -> Any:
            # From 3.14 on, the inherited one closes a socket of which no transport comes. One that is in
            # use already is not its to close: refuse it here (G12, T19). What is no socket has no descriptor.
            if isinstance(sock, socket.socket) and sock.fileno() != -1:
                self._ensure_fd_unused(sock)
            return await super()._create_connection_transport(sock, *args, **kwargs)

    async def _connect_sock(self, *args: Any, **kwargs: Any) -> socket.socket:
        inherited: Any = super()
        attempt = _attempt.get()
        # A race does not wait for its tasks when it is cancelled. Up to 3.11 one that waited for its turn may go on all
        # the same, since `wait_for` prefers what it waited for to a cancellation at that moment.
        if attempt is not None and attempt.over:
            raise asyncio.CancelledError
        try:
            sock: socket.socket = await inherited._connect_sock(*args, **kwargs)
        finally:
            # A traceback keeps this frame, and the arguments hold a list of exceptions.
            del args, kwargs
        if attempt is not None:
            if attempt.over:
                sock.close()
                raise asyncio.CancelledError
            attempt.made.append(sock)
        return sock

    if not TYPE_CHECKING:  # The inherited overloads say it better.

        async def create_datagram_endpoint(
            self,
            protocol_factory: Callable[[], asyncio.BaseProtocol],
            local_addr: Any = None,
            remote_addr: Any = None,
            **kwargs: Any,
        ) -> Any:
            """Open a datagram socket, or take `sock`; see asyncio.loop.create_datagram_endpoint."""
            factory = protocol_factory
            if kwargs.get("sock") is None:  # A socket of the caller's stays the caller's.
                factory = _unfailing(protocol_factory)
            return await super().create_datagram_endpoint(factory, local_addr, remote_addr, **kwargs)

        def _make_datagram_transport(self, sock: socket.socket, protocol: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(protocol, _Failure):
                return super()._make_datagram_transport(sock, protocol, *args, **kwargs)
            sock.close()
            try:
                raise protocol.error
            finally:
                # A traceback keeps this frame.
                del protocol

    def _close_unless_owned(self, sock: socket.socket) -> None:
        if sock.fileno() != -1:
            with contextlib.suppress(RuntimeError, ValueError):  # A transport has it, or it is closed.
                self._ensure_fd_no_transport(sock)
                # A transport that is closing still has it, and closes it in its turn. Closed now, its number could
                # go to somebody whom the end of that transport would then tell that the descriptor is gone. # R1
                if sock.fileno() not in self._transports:
                    sock.close()

    if not TYPE_CHECKING:  # The inherited overloads say it better.

        async def create_server(
            self,
            protocol_factory: Callable[[], asyncio.BaseProtocol],
            host: Any = None,
            port: Any = None,
            **kwargs: Any,
        ) -> asyncio.Server:
            """Listen on a host and port, or on `sock`; see asyncio.loop.create_server."""
            started: list[Any] = []
            token = _started.set(started)
            try:
                server: asyncio.Server = await super().create_server(protocol_factory, host, port, **kwargs)
                complete_server(server)
                return server
            except BaseException:
                # Started, and then cancelled before anybody got to know it.
                for server in started:
                    server.close()
                raise
            finally:
                _started.reset(token)


class _Failure(asyncio.BaseProtocol):
    """Stands for the protocol that a factory did not make, until the socket can be closed."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _unfailing(protocol_factory: Callable[[], asyncio.BaseProtocol]) -> Callable[[], asyncio.BaseProtocol]:
    def factory() -> asyncio.BaseProtocol:
        try:
            return protocol_factory()
        except BaseException as exc:
            return _Failure(exc)

    return factory


def server_started(server: Any) -> None:
    """Take note that a server accepts connections on one of its sockets."""
    started = _started.get()
    if started is not None and server not in started:
        started.append(server)

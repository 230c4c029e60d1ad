"""How connections are made, and what `create_connection`, `create_server` and their like leave behind.

Lives here: connecting without a socket object, and closing the sockets that `asyncio.BaseEventLoop` makes on
the way and then forgets, because it was cancelled, lost a race of addresses, or a protocol factory raised. Not
here: which address is tried when, and serving, which are inherited. Rules:

1. Whoever makes a socket closes it, unless a transport has taken it over (R5).
2. A socket object is made where somebody could tell: when `sock_connect` or Python's sockets were replaced,
   when a local address is to be bound, and for what is no numeric address.
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
from ._native import Connection, numeric_family, sockets_are_pythons_own
from ._sockets import SocketMixin, as_if_waited
from ._transports import SocketTransport

__all__ = ["ConnectingMixin"]


class _Attempt:
    """One call of `create_connection`."""

    def __init__(self) -> None:
        self.made: list[socket.socket | Connection] = []
        self.over = False


# The attempt that is under way. A context variable, because a race of addresses connects in tasks of
# its own.
_attempt: ContextVar[_Attempt | None] = ContextVar("tulipa_attempt", default=None)

# The servers that an attempt has started.
_started: ContextVar[list[Any] | None] = ContextVar("tulipa_servers_started", default=None)

# What `create_connection` takes beside host and port, on this Python.
_DEFAULTS: dict[str, Any] = asyncio.BaseEventLoop.create_connection.__kwdefaults__ or {}


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
            if not kwargs or kwargs.items() <= _DEFAULTS.items():
                connection = self._connect_plainly(host, port)
                if connection is not None:
                    # Nothing was to be looked up or chosen. What `_connect_sock` and `_create_connection_transport` do,
                    # in one piece.
                    try:
                        if connection.pending:
                            await self._operate(connection, True, connection.finish, tried=True)
                        else:
                            await as_if_waited()
                        protocol = protocol_factory()
                        waiter = self.create_future()
                        transport = self._open_connection(
                            SocketTransport, connection, protocol, waiter, None, None, None
                        )
                    except BaseException:
                        connection.close()
                        raise
                    try:
                        await waiter
                    except BaseException:
                        transport.close()
                        raise
                    return transport, protocol
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
                # The transport keeps the present context, and would keep all of these with it.
                attempt.made.clear()

        async def _create_connection_transport(
            self,
            sock: socket.socket | Connection,
            protocol_factory: Callable[[], asyncio.BaseProtocol],
            ssl: Any,
            server_hostname: str | None,
            server_side: bool = False,
            **kwargs: Any,
        ) -> Any:
            if not isinstance(sock, Connection):
                # From 3.14 on, the inherited one closes a socket of which no transport comes. One that is in use
                # already is not its to close: refuse it here (G12, T19). What is no socket has no descriptor.
                if isinstance(sock, socket.socket) and sock.fileno() != -1:
                    self._ensure_fd_unused(sock)
                return await super()._create_connection_transport(
                    sock, protocol_factory, ssl, server_hostname, server_side, **kwargs
                )
            try:
                protocol = protocol_factory()
                waiter = self.create_future()
                if ssl:
                    context = None if isinstance(ssl, bool) else ssl
                    transport = self._make_ssl_transport(
                        sock, protocol, context, waiter, server_hostname=server_hostname, **kwargs
                    )
                else:
                    transport = self._make_socket_transport(sock, protocol, waiter, context=kwargs.get("context"))
            except BaseException:
                sock.close()
                raise
            try:
                await waiter
            except BaseException:
                transport.close()
                raise
            return transport, protocol

        async def _ensure_resolved(
            self,
            address: Any,
            *,
            family: int = 0,
            type: int = socket.SOCK_STREAM,
            proto: int = 0,
            flags: int = 0,
            loop: asyncio.AbstractEventLoop,
        ) -> Any:
            if type == socket.SOCK_STREAM and proto in (0, socket.IPPROTO_TCP) and len(address) == 2:
                host, port = address
                if host.__class__ is str and port.__class__ is int and sockets_are_pythons_own():
                    # An address in figures, as nearly all are that come here a second time; or a name.
                    version = numeric_family(host)
                    if version == socket.AF_INET and family in (0, version):
                        return [(socket.AF_INET, type, socket.IPPROTO_TCP, "", (host, port))]
                    if version == socket.AF_INET6 and family in (0, version):
                        return [(socket.AF_INET6, type, socket.IPPROTO_TCP, "", (host, port, 0, 0))]
                    return await loop.getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
            return await super()._ensure_resolved(
                address, family=family, type=type, proto=proto, flags=flags, loop=loop
            )

    async def _connect_sock(
        self, exceptions: list[list[Exception]], addr_info: Any, local_addr_infos: Any = None
    ) -> Any:
        attempt = _attempt.get()
        # A race does not wait for its tasks when it is cancelled. Up to 3.11 one that waited for its turn may go on all
        # the same, since `wait_for` prefers what it waited for to a cancellation at that moment.
        if attempt is not None and attempt.over:
            raise asyncio.CancelledError
        try:
            sock: Any = None
            if local_addr_infos is None:
                sock = await self._connect_natively(exceptions, addr_info)
            if sock is None:
                inherited: Any = super()
                sock = await inherited._connect_sock(exceptions, addr_info, local_addr_infos)
        finally:
            # A traceback keeps this frame, and the arguments hold a list of exceptions.
            del exceptions
        if attempt is not None:
            if attempt.over:
                sock.close()
                raise asyncio.CancelledError
            attempt.made.append(sock)
        return sock

    async def _connect_natively(self, exceptions: list[list[Exception]], addr_info: Any) -> Connection | None:
        """Connect to a numeric address without a socket object; None if only a socket can.

        Follows asyncio.BaseEventLoop._connect_sock.
        """
        family, kind, protocol, _, address = addr_info
        if kind != socket.SOCK_STREAM:
            return None
        connection = None
        failures: list[Exception] = []
        exceptions.append(failures)
        try:
            connection = self._begin_connection(family, protocol, address)
            if connection is None:
                exceptions.pop()
            elif connection.pending:
                await self._operate(connection, True, connection.finish, tried=True)
            else:
                await as_if_waited()
            return connection
        except OSError as exc:
            failures.append(exc)
            if connection is not None:
                connection.close()
            raise
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        finally:
            # A traceback keeps this frame.
            del exceptions, failures

    def _sock_connect_is_own(self) -> bool:
        """Whether nobody has replaced `sock_connect`, in a class of his own or on this loop."""
        return getattr(self.sock_connect, "__func__", None) is SocketMixin.sock_connect

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

    def _close_unless_owned(self, sock: socket.socket | Connection) -> None:
        if isinstance(sock, Connection):
            sock.close()
        elif sock.fileno() != -1:
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
                # From 3.15 on the server keeps the present context, and would keep itself with it.
                started.clear()


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

"""Sockets become transports, and servers accept.

Lives here: what `asyncio.BaseEventLoop` asks of a loop to make its transports and to serve, and what
becomes of failures to accept. Not here: accepting itself, which is native.
Rule: a connection that fails concerns nobody but itself (R8: it is reported).
"""

from __future__ import annotations

import asyncio
import errno
import functools
import operator
import socket
import ssl as ssl_module
from collections.abc import Callable
from contextvars import Context
from typing import Any

from ._compat import (
    ACCEPT_RETRY_DELAY,
    SSL_HANDSHAKE_TIMEOUT,
    SSL_SHUTDOWN_TIMEOUT,
    TransportSocket,
    count_clients,
    set_nodelay,
)
from ._connecting import server_started
from ._host import Host
from ._native import Connection
from ._tls import TlsMixin
from ._tls_protocol import TlsProtocol
from ._transports import DatagramTransport, SocketTransport
from ._unix import UnixMixin

__all__ = ["ServingMixin"]

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

# The connection went away, or a filter refused it, before it was accepted.
_CONNECTION_GONE = {errno.ECONNABORTED, errno.EPROTO, errno.EPERM}


class ServingMixin(UnixMixin, TlsMixin, Host):
    """Makes the transports of sockets."""

    def _make_socket_transport(
        self,
        sock: socket.socket | Connection,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        context: Context | None = None,
    ) -> SocketTransport:
        transport: SocketTransport
        if isinstance(sock, Connection):
            transport = self._open_connection(SocketTransport, sock, protocol, waiter, extra, server, context)
            return transport
        info = dict(extra or {})
        info["socket"] = TransportSocket(sock)
        # A class of the program's own may answer for itself.
        if type(sock) is not socket.socket or not self._prepare_stream(sock, info):
            _add_names(info, sock)
            set_nodelay(sock)
        transport = self._open_transport(SocketTransport, "socket", sock, protocol, waiter, info, server, context, None)
        return transport

    def _make_ssl_transport(
        self,
        rawsock: socket.socket | Connection,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl_module.SSLContext,
        waiter: asyncio.Future[None] | None = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = SSL_SHUTDOWN_TIMEOUT,
        context: Context | None = None,
    ) -> Any:
        tls = TlsProtocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        self._make_socket_transport(rawsock, tls, extra=extra, server=server, context=context)
        return tls._app_transport

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        context: Context | None = None,
    ) -> DatagramTransport:
        info = dict(extra or {})
        info["socket"] = TransportSocket(sock)
        _add_names(info, sock)
        # A socket that was connected before it came here has a peer, too.
        peer = address or info.get("peername")
        transport: DatagramTransport = self._open_transport(
            DatagramTransport, "datagram", sock, protocol, waiter, info, None, context, peer or None
        )
        return transport

    def _resolve_datagram_address(self, transport: DatagramTransport, address: Any) -> Any:
        """Look up what `sendto` was given, when it is no numeric address.

        This waits for the resolver, as `sendto` on asyncio does. Raises what `socket` raises.
        """
        sock = transport._sock
        family = sock.family if sock is not None else socket.AF_INET
        if family not in (socket.AF_INET, socket.AF_INET6):
            if isinstance(address, (str, bytes)):
                return address
            raise TypeError(f"sendto(): {family.name} address must be str or bytes, not {address!r}")
        if not isinstance(address, tuple):
            kind = type(address).__name__
            raise TypeError(f"sendto(): {family.name} address must be tuple, not {kind}")
        parts: list[Any] = [*address]
        host, port, *rest = parts
        if not 0 <= operator.index(port) <= 0xFFFF:
            raise OverflowError("sendto(): port must be 0-65535.")
        found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM)[0][4]
        return (*found[:2], *rest) if rest else found

    # -- servers ----------------------------------------------------------------------

    def _start_serving(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sock: socket.socket,
        sslcontext: ssl_module.SSLContext | None = None,
        server: Any = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = SSL_SHUTDOWN_TIMEOUT,
        context: Context | None = None,
    ) -> None:
        count_clients(server)
        factory: Callable[[], asyncio.BaseProtocol] = protocol_factory
        if sslcontext is not None:
            factory = functools.partial(
                self._secured, protocol_factory, sslcontext, ssl_handshake_timeout, ssl_shutdown_timeout
            )
        run: Any = None if context is None else context.run
        listen: Callable[..., object] = self._listen if run is None else functools.partial(run, self._listen)
        listen(sock, factory, server, SocketTransport, backlog)
        server_started(server)

    def _stop_serving(self, sock: socket.socket) -> None:
        self._stop_listening(sock)
        self._unlink_unix_socket(sock)

    def _secured(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sslcontext: ssl_module.SSLContext,
        ssl_handshake_timeout: float | None,
        ssl_shutdown_timeout: float | None,
    ) -> TlsProtocol:
        """Make the protocol of a connection that was accepted and begins with TLS."""
        waiter = self.create_future()
        tls = TlsProtocol(
            self,
            protocol_factory(),
            sslcontext,
            waiter,
            server_side=True,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        waiter.add_done_callback(functools.partial(self._handshake_done, tls._app_transport))
        return tls

    def _handshake_done(self, transport: Any, waiter: asyncio.Future[None]) -> None:
        if waiter.cancelled():
            transport.close()
        elif (exc := waiter.exception()) is not None:
            transport.close()
            # The protocol has reported what is worth it; asyncio repeats it in debug mode alone.
            if self.get_debug():
                self._connection_failed(exc)

    def _connection_failed(self, exc: BaseException) -> None:
        self.call_exception_handler(
            {"message": "Error on transport creation for incoming connection", "exception": exc}
        )

    def _accept_failed(self, listener: Any, exc: OSError) -> None:
        if exc.errno in _OUT_OF_RESOURCES:
            self.call_exception_handler(
                {
                    "message": "socket.accept() out of system resource",
                    "exception": exc,
                    "socket": TransportSocket(listener.socket),
                }
            )
            # The connection stays in the queue and would report at every turn.
            self._pause_accepting(listener, True)
            self.call_later(ACCEPT_RETRY_DELAY, self._resume_accepting, listener)
        elif exc.errno not in _CONNECTION_GONE:
            self.call_exception_handler(
                {
                    "message": "socket.accept() failed",
                    "exception": exc,
                    "socket": TransportSocket(listener.socket),
                }
            )

    def _resume_accepting(self, listener: Any) -> None:
        if listener.socket.fileno() >= 0:
            self._pause_accepting(listener, False)


def _add_names(info: dict[str, Any], sock: socket.socket) -> None:
    try:
        info["sockname"] = sock.getsockname()
    except OSError:
        info["sockname"] = None
    if "peername" not in info:
        try:
            info["peername"] = sock.getpeername()
        except OSError:
            info["peername"] = None

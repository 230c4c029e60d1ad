"""Unix-domain stream sockets: `create_unix_connection` and `create_unix_server`.

Lives here: arguments, paths, and which socket files are removed when. Not here: Unix
datagram sockets (`create_datagram_endpoint`), the transports themselves.

1. Files are looked at and removed by the native helpers, never through `os` here: tools
   that report blocking calls know asyncio by its file names, not us (T26).
2. A socket file is removed at close only if it is still the one that was bound.
3. A socket made here is closed if anything here fails or is cancelled (R5).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl as ssl_module
from asyncio.log import logger
from collections.abc import Callable
from typing import Any, TypeVar

from . import _native
from ._compat import CLEANUP_SOCKET_DEFAULT, make_server
from ._host import Host

__all__ = ["UnixMixin"]

_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)
_Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class UnixMixin(Host):
    """Adds Unix-domain stream connections and servers to the loop."""

    def __init__(self) -> None:
        super().__init__()
        # Path and identity of the file, by the socket that is bound to it.
        self._unix_server_sockets: dict[socket.socket, tuple[str | bytes, tuple[int, int]]] = {}

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        path: _Path | None = None,
        *,
        ssl: ssl_module.SSLContext | bool | None = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _ProtocolT]:
        """Connect to the Unix-domain stream socket at `path`, or take the connected `sock`.

        `path` may be str, bytes or path-like; a leading NUL names an abstract socket.
        Timeouts are in seconds and need `ssl`.

        Raises ValueError for arguments that contradict each other, TypeError for a
        `server_hostname` that is no str, OSError (with the path as `filename`) when the
        connection fails.

        Follows asyncio.unix_events._UnixSelectorEventLoop.create_unix_connection.
        """
        if server_hostname is not None and not isinstance(server_hostname, str):
            raise TypeError(f"server_hostname must be a str or None, got {server_hostname!r}")
        if ssl:
            if server_hostname is None:
                raise ValueError("you have to pass server_hostname when using ssl")
        else:
            if server_hostname is not None:
                raise ValueError("server_hostname is only meaningful with ssl")
            if ssl_handshake_timeout is not None:
                raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
            if ssl_shutdown_timeout is not None:
                raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")

        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            connected = await self._connect_to(os.fspath(path))
        else:
            if sock is None:
                raise ValueError("no path and sock were specified")
            _check_unix_stream(sock)
            sock.setblocking(False)
            connected = sock

        transport, protocol = await self._create_connection_transport(
            connected,
            protocol_factory,
            ssl,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        return transport, protocol

    async def _connect_to(self, address: str | bytes) -> socket.socket | _native.Connection:
        """Connect to a path or an abstract name, without a socket object where nothing is in the way."""
        sock = None
        try:
            connection = self._connect_to_path(address)
            if connection is not None:
                return connection
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
            sock.setblocking(False)
            await self.sock_connect(sock, address)
        except BaseException as exc:
            if sock is not None:
                sock.close()
            if isinstance(exc, OSError) and exc.filename is None and exc.errno is not None:
                exc.filename = address
            raise
        return sock

    async def create_unix_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        path: _Path | None = None,
        *,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: ssl_module.SSLContext | bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        cleanup_socket: bool = CLEANUP_SOCKET_DEFAULT,
    ) -> asyncio.Server:
        """Listen on the Unix-domain stream socket at `path`, or on the bound `sock`.

        A socket file left over at `path` is removed first; another kind of file is not.
        With `cleanup_socket`, closing the server removes the file again, if it is still
        the one that was bound. The default is True from Python 3.13 on, as in asyncio;
        the argument is accepted on every version.

        Raises TypeError for an `ssl` that is a bool, ValueError for arguments that
        contradict each other, OSError when the address cannot be bound (EADDRINUSE names
        the address).

        Follows asyncio.unix_events._UnixSelectorEventLoop.create_unix_server.
        """
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        if ssl_handshake_timeout is not None and not ssl:
            raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
        if ssl_shutdown_timeout is not None and not ssl:
            raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")

        server = self._start_unix_server(
            protocol_factory,
            path,
            sock,
            backlog,
            ssl,
            ssl_handshake_timeout,
            ssl_shutdown_timeout,
            start_serving,
            cleanup_socket,
        )
        if start_serving:
            try:
                # One turn, as asyncio: whoever connects after this finds the server polled.
                await asyncio.sleep(0)
            except BaseException:
                server.close()
                raise
        return server

    def _start_unix_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        path: _Path | None,
        sock: socket.socket | None,
        backlog: int,
        ssl: ssl_module.SSLContext | None,
        ssl_handshake_timeout: float | None,
        ssl_shutdown_timeout: float | None,
        start_serving: bool,
        cleanup_socket: bool,
    ) -> asyncio.Server:
        """Bind and listen, without awaiting anything."""
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            listener = _bind(os.fspath(path))
        else:
            if sock is None:
                raise ValueError("path was not specified, and no sock specified")
            _check_unix_stream(sock)
            listener = sock
        try:
            if cleanup_socket:
                self._remember_unix_socket(listener)
            listener.setblocking(False)
            server = make_server(
                self,
                [listener],
                protocol_factory,
                ssl,
                backlog,
                ssl_handshake_timeout,
                ssl_shutdown_timeout,
            )
            if start_serving:
                start: Any = server
                start._start_serving()
        except BaseException:
            if sock is None:
                listener.close()
                self._unlink_unix_socket(listener)
            raise
        return server

    def _remember_unix_socket(self, sock: socket.socket) -> None:
        address: str | bytes = sock.getsockname()
        if address and not _is_abstract(address):
            identity = _native.path_identity(os.fsdecode(address))
            if identity is not None:
                self._unix_server_sockets[sock] = (address, identity)

    def _unlink_unix_socket(self, sock: socket.socket) -> None:
        """Remove the file of the listening `sock`; called by `_stop_serving` after closing it."""
        remembered = self._unix_server_sockets.pop(sock, None)
        if remembered is None:
            return
        address, identity = remembered
        try:
            _native.unlink_if_identity(os.fsdecode(address), identity)
        except OSError as exc:
            logger.error("Unable to clean up listening UNIX socket %r: %r", address, exc)


def _bind(address: str | bytes) -> socket.socket:
    """Return a stream socket bound to `address`, after removing a stale socket file."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if address and not _is_abstract(address):
            try:
                _native.remove_stale_socket(os.fsdecode(address))
            except OSError as exc:
                # The directory may permit only the creation of sockets.
                logger.error("Unable to check or remove stale UNIX socket %r: %r", address, exc)
        sock.bind(address)
    except OSError as exc:
        sock.close()
        if exc.errno == errno.EADDRINUSE:
            raise OSError(exc.errno, f"Address {address!r} is already in use") from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock


def _is_abstract(address: str | bytes) -> bool:
    return address[0] in (0, "\x00")


def _check_unix_stream(sock: socket.socket) -> None:
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")

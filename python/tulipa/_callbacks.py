"""Servers, connections and threads for programs that only register callbacks (N1).

Lives here: `Loop.start_server` and `Loop.connect`, which return at once, and what keeps a
loop running while a thread works for it (N2). Not here: the coroutine forms
(`create_server`, `create_connection`), which asyncio documents.
Rule: nothing here waits. What would have to (looking up a name) is refused with an error
that names the coroutine to use, or is left to the future that is returned.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl as ssl_module
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from ._compat import CLEANUP_SOCKET_DEFAULT, make_server
from ._host import Host
from ._unix import UnixMixin

__all__ = ["CallbackMixin"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)
_AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]

# The one name that needs no looking up (RFC 6761, section 6.3).
_LOOPBACK = {"localhost": ("127.0.0.1", "::1")}


class CallbackMixin(UnixMixin, Host):
    """Adds the forms of server and connection that need no `await`."""

    def start_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | Iterable[str] | None = None,
        port: int | None = None,
        *,
        path: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None = None,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: ssl_module.SSLContext | None = None,
        reuse_address: bool = True,
        reuse_port: bool = False,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        cleanup_socket: bool = CLEANUP_SOCKET_DEFAULT,
    ) -> asyncio.Server:
        """Listen at once and return the server; connections are accepted while the loop runs.

        `host` is a literal address, `"localhost"`, several of these, or None for every
        interface; `port` 0 lets the kernel choose (see `server.sockets`). Or give `path`
        for a Unix-domain socket, or `sock`, bound already.

        Raises ValueError for a host that would have to be looked up (await
        `create_server` for that) and for arguments that contradict each other, TypeError
        for an `ssl` that is a bool, OSError naming the address that cannot be bound.

        Follows asyncio.base_events.BaseEventLoop.create_server.
        """
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        if not ssl:
            if ssl_handshake_timeout is not None:
                raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
            if ssl_shutdown_timeout is not None:
                raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")
        self._check_closed()
        if (host is not None or port is not None) + (path is not None) + (sock is not None) != 1:
            raise ValueError("give exactly one of host and port, path, and sock")

        if path is not None or (sock is not None and sock.family == socket.AF_UNIX):
            return self._start_unix_server(
                protocol_factory,
                path,
                sock,
                backlog,
                ssl,
                ssl_handshake_timeout,
                ssl_shutdown_timeout,
                True,
                cleanup_socket,
            )
        if sock is not None:
            if sock.type != socket.SOCK_STREAM:
                raise ValueError(f"A Stream Socket was expected, got {sock!r}")
            sockets = [sock]
        else:
            sockets = _bind_all(host, port or 0, reuse_address, reuse_port)
        try:
            for listener in sockets:
                listener.setblocking(False)
            server = make_server(
                self,
                sockets,
                protocol_factory,
                ssl,
                backlog,
                ssl_handshake_timeout,
                ssl_shutdown_timeout,
            )
            start: Any = server
            start._start_serving()
        except BaseException:
            if sock is None:
                _close_all(sockets)
            raise
        return server

    def connect(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        host: str | None = None,
        port: int | None = None,
        *,
        path: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[tuple[asyncio.Transport, _ProtocolT]]:
        """Begin to connect; return the future of `(transport, protocol)`.

        With `path`, to a Unix-domain socket. The other arguments are those of
        `create_connection` or `create_unix_connection`. Cancelling the future gives the
        attempt up.

        Raises ValueError when both a host and a path are given. What goes wrong later,
        the future raises.
        """
        if path is not None:
            if host is not None or port is not None:
                raise ValueError("give either host and port or path, not both")
            return self.create_task(self.create_unix_connection(protocol_factory, path, **kwargs))
        untyped: Any = self  # The overloads of `create_connection` know no pass-through.
        task: asyncio.Task[tuple[asyncio.Transport, _ProtocolT]] = self.create_task(
            untyped.create_connection(protocol_factory, host, port, **kwargs)
        )
        return task

    def run_in_executor(self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        """Call `func(*args)` in a thread; see asyncio.loop.run_in_executor.

        Until the result is there, `run_until_idle` counts it as something left to do.
        """
        future = super().run_in_executor(executor, func, *args)
        self._hold()
        future.add_done_callback(self._executor_done)
        return future

    def _executor_done(self, _: object) -> None:
        self._release()


def _bind_all(
    host: str | Iterable[str] | None, port: int, reuse_address: bool, reuse_port: bool
) -> list[socket.socket]:
    """Return one bound socket for each address of `host`."""
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"port must be an int or None, got {port!r}")
    hosts: list[str | None]
    if host is None or host == "":
        hosts = [None]
    elif isinstance(host, str):
        hosts = [*_LOOPBACK.get(host, (host,))]
    else:
        hosts = [address for name in host for address in _LOOPBACK.get(name, (name,))]

    sockets: list[socket.socket] = []
    try:
        for info in dict.fromkeys(info for name in hosts for info in _literal(name, port)):
            listener = _bind(info, reuse_address, reuse_port)
            if listener is not None:
                sockets.append(listener)
        if not sockets:
            raise OSError(
                errno.EADDRNOTAVAIL,
                f"could not bind on any address out of {hosts!r}: this system has no such address family",
            )
    except BaseException:
        _close_all(sockets)
        raise
    return sockets


def _literal(host: str | None, port: int) -> list[_AddressInfo]:
    """Return the addresses of `host`, or raise ValueError when it is a name."""
    flags = socket.AI_PASSIVE | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    try:
        found: list[Any] = [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)]
    except socket.gaierror:
        raise ValueError(
            f"start_server() does not wait for {host!r} to be looked up; "
            f"give a literal address, or await create_server()"
        ) from None
    return found


def _bind(info: _AddressInfo, reuse_address: bool, reuse_port: bool) -> socket.socket | None:
    """Return a socket bound to the address, or None if there is no such address family."""
    family, kind, protocol, _, address = info
    try:
        listener = socket.socket(family, kind, protocol)
    except OSError:
        return None
    try:
        if reuse_address:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError as exc:
        listener.close()
        if family == socket.AF_INET6 and exc.errno == errno.EADDRNOTAVAIL:
            return None  # IPv6 is compiled in and switched off.
        raise OSError(
            exc.errno,
            f"error while attempting to bind on address {address!r}: {exc.strerror}",
        ) from None
    except BaseException:
        listener.close()
        raise
    return listener


def _close_all(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()

"""What `create_connection` and `create_server` leave behind when they fail.

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

from ._host import Host

__all__ = ["ConnectingMixin"]

# The sockets of the attempt that is under way. A context variable, because a race of addresses
# makes them in tasks of its own.
_made: ContextVar[list[socket.socket] | None] = ContextVar("tulipa_sockets_made", default=None)

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
            made: list[socket.socket] = []
            token = _made.set(made)
            try:
                return await super().create_connection(protocol_factory, host, port, **kwargs)
            finally:
                _made.reset(token)
                for sock in made:
                    self._close_unless_owned(sock)

    async def _connect_sock(self, *args: Any, **kwargs: Any) -> socket.socket:
        inherited: Any = super()
        try:
            sock: socket.socket = await inherited._connect_sock(*args, **kwargs)
        finally:
            # A traceback keeps this frame, and the arguments hold a list of exceptions.
            del args, kwargs
        made = _made.get()
        if made is not None:
            made.append(sock)
        return sock

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
                return await super().create_server(protocol_factory, host, port, **kwargs)
            except BaseException:
                # Started, and then cancelled before anybody got to know it.
                for server in started:
                    server.close()
                raise
            finally:
                _started.reset(token)


def server_started(server: Any) -> None:
    """Take note that a server accepts connections on one of its sockets."""
    started = _started.get()
    if started is not None and server not in started:
        started.append(server)

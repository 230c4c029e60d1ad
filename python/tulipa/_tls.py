"""`start_tls`: TLS over any transport, and which engine drives it.

Not here: the connection (`_tls_protocol`), and the transport that the program gets (`_tls_transport`).
"""

from __future__ import annotations

import asyncio
import os
import ssl as ssl_module
from typing import Any

from . import _native
from ._host import Host
from ._tls_protocol import TlsProtocol

__all__ = ["TLS_VARIABLE", "TlsMixin", "choose_tls_engine"]

TLS_VARIABLE = "TULIPA_TLS"


def choose_tls_engine() -> str:
    """Return the name of the engine for TLS sessions: `TULIPA_TLS`, else the best that works here.

    Raises ValueError that lists the known engines when there is none of that name.
    """
    name = os.environ.get(TLS_VARIABLE)
    if not name:
        return _native.tls_engine()
    if name not in _native.TLS_ENGINES:
        known = ", ".join(_native.TLS_ENGINES)
        raise ValueError(f"unknown TLS engine {name!r} (from the environment variable {TLS_VARIABLE}); known: {known}")
    return name


class TlsMixin(Host):
    """`start_tls`."""

    _tls_engine: str

    async def start_tls(
        self,
        transport: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl_module.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """Begin TLS over a transport, and return the transport that `protocol` uses from now on.

        `transport` is anything that reads and writes as `asyncio.Transport` documents: a socket, a
        pair of pipes, TLS itself, a class of the program's own. Timeouts are in seconds.

        None if `transport` is closing, or was closed meanwhile without an error, as on asyncio.
        Raises TypeError for what is no SSLContext or no such transport, `ssl.SSLError` and
        `ConnectionError` for a handshake that fails; `transport` is closed then.

        Follows asyncio.loop.start_tls.
        """
        if not isinstance(sslcontext, ssl_module.SSLContext):
            raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
        if not _is_stream(transport):
            raise TypeError(
                f"transport {transport!r} is not supported by start_tls(); it needs a transport that reads and writes"
            )
        if transport.is_closing():
            return None
        waiter = self.create_future()
        tls = TlsProtocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            call_connection_made=False,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        # Nothing may arrive between here and `connection_made`.
        paused = _try_call(transport, "pause_reading")
        if server_side:
            _move_buffered(protocol, tls)
        if getattr(transport, "_protocol_paused", False):
            # The protocol was told to pause while it was the transport's own, and is told to go on by ours.
            tls._app_writing_paused = True
            tls.pause_writing()
        transport.set_protocol(tls)
        made = self.call_soon(tls.connection_made, transport)
        resumed = self.call_soon(transport.resume_reading) if paused else None
        app_transport = tls._app_transport
        try:
            await waiter
        except BaseException:
            transport.close()
            made.cancel()
            if resumed is not None:
                resumed.cancel()
            if app_transport is not None:
                app_transport._closed = True
            raise
        finally:
            # The exception's traceback keeps this frame, and the waiter keeps the exception.
            del waiter
        # None: what `connection_lost` leaves.
        return tls._app_transport


def _is_stream(transport: Any) -> bool:
    """Whether something reads and writes bytes in order, as far as can be told before it is used."""
    if isinstance(transport, asyncio.DatagramTransport) or not getattr(transport, "_start_tls_compatible", True):
        return False
    return all(
        callable(getattr(transport, name, None)) for name in ("write", "close", "abort", "is_closing", "set_protocol")
    )


def _try_call(transport: Any, method: str) -> bool:
    """Call a method that a transport need not have; return whether it has."""
    try:
        getattr(transport, method)()
    except (AttributeError, NotImplementedError):
        return False
    return True


def _move_buffered(protocol: Any, tls: TlsProtocol) -> None:
    """Hand on what a stream reader read too far: the beginning of the peer's handshake (gh-142352)."""
    if isinstance(protocol, asyncio.StreamReaderProtocol):
        reader: Any = getattr(protocol, "_stream_reader", None)
        if reader is not None and reader._buffer:
            tls._arrive(bytes(reader._buffer))
            reader._buffer.clear()

"""A TLS connection: handshake, shutdown, and their time limits.

Not here: what runs per record, which is native (`_native.TlsCore`).
Rule: `TlsProtocol` is the protocol of the transport below, which need not be one of tulipa's: of it,
only what `asyncio.Transport` documents is asked for. What asyncio's own TLS gives to a program
(callbacks, their order, exceptions) this gives, too; see docs/compatibility.md for the exceptions.
"""

from __future__ import annotations

import asyncio
import contextvars
import ssl as ssl_module
from asyncio.log import logger
from typing import Any

from ._compat import SSL_HANDSHAKE_TIMEOUT, SSL_SHUTDOWN_TIMEOUT
from ._native import TlsCore
from ._tls_transport import SSLTransport

__all__ = ["TlsProtocol"]

# The phases of a connection, as the native half numbers them.
_UNWRAPPED, _HANDSHAKE, _WRAPPED, _FLUSHING, _SHUTDOWN = range(5)

# What the program's protocol was told.
_INIT, _MADE, _EOF, _LOST = range(4)

# More ciphertext is needed first; asyncio takes the same two for that.
_AGAIN = (ssl_module.SSLWantReadError, ssl_module.SSLSyscallError)


class TlsProtocol(TlsCore, asyncio.Protocol):
    """TLS, as the protocol of a transport that carries ciphertext.

    Timeouts are in seconds. Raises ValueError for timeouts that are not positive, and what
    `sslcontext.wrap_bio` raises.
    """

    __slots__ = (
        "_app_state",
        "_app_transport",
        "_context",
        "_eof_received",
        "_handshake_timeout",
        "_handshake_timer",
        "_loop",
        "_reason",
        "_resuming",
        "_shaken",
        "_shutdown_timeout",
        "_shutdown_timer",
        "_sslcontext",
        "_transport",
        "_waiter",
    )

    def __init__(
        self,
        loop: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl_module.SSLContext | None,
        waiter: asyncio.Future[None] | None,
        server_side: bool = False,
        server_hostname: str | None = None,
        call_connection_made: bool = True,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        self._handshake_timeout = _seconds("ssl_handshake_timeout", ssl_handshake_timeout, SSL_HANDSHAKE_TIMEOUT)
        self._shutdown_timeout = _seconds("ssl_shutdown_timeout", ssl_shutdown_timeout, SSL_SHUTDOWN_TIMEOUT)
        self._sslcontext = sslcontext or _default_context(server_side, server_hostname)
        self._loop = loop
        self._waiter = waiter
        self._transport: Any = None
        self._app_state = _INIT if call_connection_made else _MADE
        self._eof_received = False
        self._shaken = False
        # The protocol reads again, and is yet to get what came while it did not.
        self._resuming = False
        self._context: contextvars.Context | None = None
        self._reason: BaseException | None = None
        self._handshake_timer: asyncio.TimerHandle | None = None
        self._shutdown_timer: asyncio.TimerHandle | None = None
        self._app_protocol = protocol
        hostname = server_hostname if server_hostname and not server_side else None
        self._open(loop._tls_engine, self._sslcontext, server_side, hostname)
        self._app_transport: SSLTransport | None = SSLTransport(loop, self)

    # -- the transport below ----------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin the handshake over `transport`."""
        self._transport = transport
        self._context = getattr(transport, "_context", None) or contextvars.copy_context()
        self._set_lower(transport)
        self._start_handshake()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell everybody who waits: the transport below is gone."""
        exc = exc or self._reason
        self._discard()
        if self._app_transport is not None:
            self._app_transport._closed = True
        protocol: Any = self._app_protocol
        told = self._app_state != _INIT
        if self._app_state in (_MADE, _EOF):
            self._app_state = _LOST
            self._loop.call_soon(protocol.connection_lost, exc)
        self._phase = _UNWRAPPED
        self._transport = None
        self._set_lower(None)
        self._app_transport = None
        self._app_protocol = None
        if exc is None and not told:
            # Nobody has got a transport, and nobody will.
            exc = ConnectionAbortedError("the connection was closed during the TLS handshake")
        self._wake_up(exc)
        self._cancel_timers()

    def eof_received(self) -> bool | None:
        """The transport below has read its end: what arrived before is still delivered."""
        self._eof_received = True
        if self._loop.get_debug():
            logger.debug("%r received EOF", self)
        try:
            if self._phase == _HANDSHAKE:
                self._handshake_done(ConnectionResetError("the peer closed the connection during the TLS handshake"))
            elif self._phase == _WRAPPED:
                self._phase = _FLUSHING
                if self._app_reading_paused:
                    # It stays open until the protocol has read the rest.
                    return True
                self._do_flush()
            elif self._phase == _FLUSHING:
                self._do_flush()
            elif self._phase == _SHUTDOWN:
                self._do_shutdown()
        except Exception:
            if self._transport is not None:
                self._transport.close()
            raise
        return None

    def _is_lower_closing(self) -> bool:
        return self._transport is not None and self._transport.is_closing()

    # -- handshake --------------------------------------------------------------------

    def _start_handshake(self) -> None:
        if self._loop.get_debug():
            logger.debug("%r starts SSL handshake", self)
        self._phase = _HANDSHAKE
        self._handshake_timer = self._loop.call_later(self._handshake_timeout, self._handshake_timed_out)
        self._drive()

    def _handshake_timed_out(self) -> None:
        if self._phase == _HANDSHAKE:
            message = f"SSL handshake is taking longer than {self._handshake_timeout} seconds: aborting the connection"
            self._fatal_error(ConnectionAbortedError(message))

    def _do_handshake(self) -> None:
        try:
            self._sslobj.do_handshake()
        except _AGAIN:
            self._send()
        except ssl_module.SSLError as exc:
            # The alert that tells the peer why.
            self._send()
            self._handshake_done(exc)
        else:
            self._handshake_done(None)

    def _handshake_done(self, exc: Exception | None) -> None:
        timer, self._handshake_timer = self._handshake_timer, None
        if timer is not None:
            timer.cancel()
        if exc is not None:
            self._phase = _UNWRAPPED
            if isinstance(exc, ssl_module.CertificateError):
                message = "SSL handshake failed on verifying the certificate"
            else:
                message = "SSL handshake failed"
            self._fatal_error(exc, message)
            self._wake_up(exc)
            return
        self._phase = _WRAPPED
        self._shaken = True
        if timer is not None and self._loop.get_debug():
            seconds = self._loop.time() - (timer.when() - self._handshake_timeout)
            logger.debug("%r: SSL handshake took %.1f ms", self, seconds * 1e3)
        self._send()
        if self._app_state == _INIT:
            self._app_state = _MADE
            protocol: Any = self._app_protocol
            protocol.connection_made(self._app_transport)
        self._wake_up(None)
        # What came with the last bytes of the handshake waits until `start_tls` has returned.
        self._loop.call_soon(self._drive)

    def _wake_up(self, exc: BaseException | None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if exc is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(exc)

    # -- shutdown ---------------------------------------------------------------------

    def _start_shutdown(self) -> None:
        """Close: encrypt what was written, then exchange the ends of both directions."""
        if self._phase in (_FLUSHING, _SHUTDOWN, _UNWRAPPED):
            return
        if self._app_transport is not None:
            self._app_transport._closed = True
        if self._phase == _HANDSHAKE:
            self._abort(None)
            return
        self._phase = _FLUSHING
        self._limit_shutdown()
        if not self._resuming:
            self._encrypt_and_shut_down()

    def _peer_closed(self) -> None:
        """The peer has ended its direction, in due form."""
        self._tell_eof()
        if self._phase == _FLUSHING:
            self._encrypt_and_shut_down()
        else:
            self._start_shutdown()

    def _do_flush(self) -> None:
        """Closing: the protocol gets what arrived before the transport below ended, or while it did not read."""
        if self._eof_received or self._resuming:
            self._read()
            if self._eof_received and self._app_reading_paused:
                return
        self._encrypt_and_shut_down()

    def _encrypt_and_shut_down(self) -> None:
        # Encrypting may call the program, which may have gone further than this.
        if self._phase != _FLUSHING:
            return
        try:
            if not self._encrypt_all():
                return
        except ssl_module.SSLError as exc:
            self._fatal_error(exc)
            return
        if self._phase == _FLUSHING:
            self._phase = _SHUTDOWN
            self._do_shutdown()

    def _do_shutdown(self) -> None:
        try:
            if not self._eof_received:
                # close() promises that no more data is received, but the peer may not know yet.
                self._read_nothing()
                self._sslobj.unwrap()
        except _AGAIN:
            self._send()
        except ssl_module.SSLError as exc:
            self._send()
            self._fatal_error(exc)
        else:
            self._send()
            self._tell_eof()
            # The transport below writes what it has first, which a peer that does not read can delay for ever.
            self._limit_shutdown()
            self._loop.call_soon(self._close_lower)

    def _limit_shutdown(self) -> None:
        if self._shutdown_timer is None:
            self._shutdown_timer = self._loop.call_later(self._shutdown_timeout, self._shutdown_timed_out)

    def _shutdown_timed_out(self) -> None:
        if self._transport is not None:
            self._force_close(TimeoutError("SSL shutdown timed out"))

    def _close_lower(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _tell_eof(self) -> None:
        if self._app_state != _MADE:
            return
        self._app_state = _EOF
        protocol: Any = self._app_protocol
        try:
            if protocol.eof_received():
                logger.warning("returning true from eof_received() has no effect when using ssl")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Error calling eof_received()")

    # -- ending early -----------------------------------------------------------------

    def _abort(self, exc: BaseException | None) -> None:
        self._phase = _UNWRAPPED
        self._force_close(exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        transport = self._transport
        self._force_close(exc)
        if isinstance(exc, OSError):
            if self._loop.get_debug():
                logger.debug("%r: %s", self, message, exc_info=exc)
        elif not isinstance(exc, asyncio.CancelledError):
            self._loop.call_exception_handler(
                {"message": message, "exception": exc, "transport": transport, "protocol": self}
            )

    def _force_close(self, exc: BaseException | None) -> None:
        transport = self._transport
        if transport is None:
            return
        force_close = getattr(transport, "_force_close", None)
        if force_close is not None:
            force_close(exc)
        else:
            self._reason = exc
            transport.abort()

    def _cancel_timers(self) -> None:
        for timer in (self._handshake_timer, self._shutdown_timer):
            if timer is not None:
                timer.cancel()
        self._handshake_timer = self._shutdown_timer = None

    # -- the program's transport ------------------------------------------------------

    def _resume_reading(self) -> None:
        if self._app_reading_paused:
            self._app_reading_paused = False
            if self._phase in (_WRAPPED, _FLUSHING, _SHUTDOWN):
                # In the connection's context, whoever resumes (T18).
                self._resuming = True
                self._loop.call_soon(self._read_on, context=self._context)

    def _read_on(self) -> None:
        # Who has closed since then waits for this; who closes from now on, does not.
        self._resuming = self._phase == _FLUSHING
        try:
            self._drive()
        finally:
            self._resuming = False

    def _tell_writing(self, method: str) -> None:
        """Call the protocol's `pause_writing` or `resume_writing`."""
        try:
            getattr(self._app_protocol, method)()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:
            self._loop.call_exception_handler(
                {
                    "message": f"protocol.{method}() failed",
                    "exception": exc,
                    "transport": self._app_transport,
                    "protocol": self,
                }
            )

    def _get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sslcontext":
            return self._sslcontext
        if self._shaken:
            if name == "ssl_object":
                return self._sslobj
            if name in ("peercert", "cipher", "compression"):
                return self._look(name)
        if self._transport is None:
            return default
        return self._transport.get_extra_info(name, default)

    def _look(self, name: str) -> Any:
        """Ask the session: when somebody wants to know, not at each handshake."""
        try:
            return self._sslobj.getpeercert() if name == "peercert" else getattr(self._sslobj, name)()
        except ValueError:  # a session that has failed says that its handshake is not done
            return None


def _default_context(server_side: bool, server_hostname: str | None) -> ssl_module.SSLContext:
    if server_side:
        raise ValueError("Server side SSL needs a valid SSLContext")
    context = ssl_module.create_default_context()
    if not server_hostname:
        context.check_hostname = False
    return context


def _seconds(name: str, given: float | None, default: float | None) -> float:
    if given is None:
        if default is None:
            raise ValueError(f"{name} has no default on this Python; give it")
        return default
    if given <= 0:
        raise ValueError(f"{name} should be a positive number, got {given}")
    return given

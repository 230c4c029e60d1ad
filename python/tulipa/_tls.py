"""TLS over any transport: what happens once per connection.

Lives here: handshake, shutdown, their time limits, and the transport that the program gets. Not here:
what runs per record, which is native (`_native.TlsCore`).
Rule: `TlsProtocol` is the protocol of the transport below, which need not be one of tulipa's: of it,
only what `asyncio.Transport` documents is asked for. What asyncio's own TLS gives to a program
(callbacks, their order, exceptions) this gives, too; see docs/compatibility.md for the exceptions.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import ssl as ssl_module
import sys
import warnings
from asyncio.log import logger
from typing import Any

from . import _native
from ._compat import SENDFILE_FALLBACK, SSL_HANDSHAKE_TIMEOUT, SSL_SHUTDOWN_TIMEOUT
from ._host import Host
from ._native import TlsCore, TlsTransportCore

__all__ = ["TLS_VARIABLE", "TlsMixin", "TlsProtocol", "SSLTransport", "choose_tls_engine"]

TLS_VARIABLE = "TULIPA_TLS"

# The phases of a connection, as the native half numbers them.
_UNWRAPPED, _HANDSHAKE, _WRAPPED, _FLUSHING, _SHUTDOWN = range(5)

# What the program's protocol was told.
_INIT, _MADE, _EOF, _LOST = range(4)

# More ciphertext is needed first; asyncio takes the same two for that.
_AGAIN = (ssl_module.SSLWantReadError, ssl_module.SSLSyscallError)

_HIGH_WATER_WRITE = 512 * 1024
_HIGH_WATER_READ = 256 * 1024


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


class SSLTransport(TlsTransportCore, asyncio.Transport):
    """What a program writes plaintext to.

    Some look for "SSL" in the name, to tell it from a plain transport.
    """

    _start_tls_compatible = True
    _sendfile_compatible = SENDFILE_FALLBACK

    _loop: Any
    # None when the program has closed the transport after its end: a protocol that keeps its transport then keeps
    # neither session nor context, as on asyncio.
    _ssl_protocol: TlsProtocol | None
    _closed: bool

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: TlsProtocol) -> None:
        self._loop = loop
        self._ssl_protocol = protocol
        self._closed = False

    def __repr__(self) -> str:
        state = "closing" if self.is_closing() else "open"
        below = self._ssl_protocol._transport if self._ssl_protocol else None
        return f"<{self.__class__.__name__} {state} over {below!r}>"

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._closed = True
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self, stacklevel=2)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Look at `sslcontext`, `ssl_object`, `peercert`, `cipher`, `compression`, or at the transport below."""
        return self._ssl_protocol._get_extra_info(name, default) if self._ssl_protocol else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Replace the protocol."""
        if self._ssl_protocol:
            self._ssl_protocol._app_protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol; None after the connection was lost."""
        protocol: Any = self._ssl_protocol._app_protocol if self._ssl_protocol else None
        return protocol  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        """Whether the transport is closing or closed."""
        return self._closed or self._ssl_protocol is None or self._ssl_protocol._is_lower_closing()

    def close(self) -> None:
        """Write what is queued, exchange the end of TLS with the peer, then close the transport below."""
        if self._closed:
            self._ssl_protocol = None
        else:
            self._closed = True
            if self._ssl_protocol:
                self._ssl_protocol._start_shutdown()

    def abort(self) -> None:
        """End now, without writing what is queued."""
        self._force_close(None)

    def _force_close(self, exc: BaseException | None) -> None:
        self._closed = True
        if self._ssl_protocol:
            self._ssl_protocol._abort(exc)

    def is_reading(self) -> bool:
        """Whether the transport is neither paused nor closing."""
        return not self.is_closing() and self._ssl_protocol is not None and not self._ssl_protocol._app_reading_paused

    def pause_reading(self) -> None:
        """Stop receiving until resume_reading()."""
        if self._ssl_protocol:
            self._ssl_protocol._app_reading_paused = True

    def resume_reading(self) -> None:
        """Receive again."""
        if self._ssl_protocol:
            self._ssl_protocol._resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the high- and low-water marks for plaintext that waits to be sent, in bytes.

        More than `high` bytes pause the protocol's writing, `low` or fewer let it go on. By default
        512 KiB and a quarter of it. Raises ValueError unless 0 <= low <= high.
        """
        marks = _marks(high, low, _HIGH_WATER_WRITE)
        if self._ssl_protocol:
            self._ssl_protocol._write_marks = marks
            self._ssl_protocol._control_writing()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low- and high-water marks, in bytes."""
        return self._ssl_protocol._write_marks if self._ssl_protocol else (0, 0)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are still to be handed to the transport below."""
        return self._ssl_protocol._write_size() if self._ssl_protocol else 0

    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks between which the transport below is paused while reading is, in bytes.

        By default 256 KiB and a quarter of it. Raises ValueError unless 0 <= low <= high.
        """
        marks = _marks(high, low, _HIGH_WATER_READ)
        if self._ssl_protocol:
            self._ssl_protocol._read_marks = marks
            self._ssl_protocol._control_reading()

    def get_read_buffer_limits(self) -> tuple[int, int]:
        """Return the low- and high-water marks for reading, in bytes."""
        return self._ssl_protocol._read_marks if self._ssl_protocol else (0, 0)

    def get_read_buffer_size(self) -> int:
        """Return how many bytes have arrived and are not decrypted."""
        return self._ssl_protocol._read_size() if self._ssl_protocol else 0

    def write_eof(self) -> None:
        """Raise NotImplementedError: TLS as Python's `ssl` has it cannot close one half."""
        raise NotImplementedError

    def can_write_eof(self) -> bool:
        """Whether the writing half can be closed alone: not in TLS."""
        return False

    @property
    def _protocol_paused(self) -> bool:
        # Asked for by the fallback of sendfile().
        return self._ssl_protocol is not None and self._ssl_protocol._app_writing_paused

    @property
    def _sslcontext(self) -> ssl_module.SSLContext | None:
        return self._ssl_protocol._sslcontext if self._ssl_protocol else None


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
        "_handshake_start",
        "_handshake_timeout",
        "_handshake_timer",
        "_loop",
        "_reason",
        "_server_side",
        "_shaken",
        "_shutdown_timeout",
        "_shutdown_timer",
        "_sslcontext",
        "_sslobj",
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
        self._server_side = server_side
        self._transport: Any = None
        self._app_state = _INIT if call_connection_made else _MADE
        self._eof_received = False
        self._shaken = False
        self._context: contextvars.Context | None = None
        self._reason: BaseException | None = None
        self._handshake_start = 0.0
        self._handshake_timer: asyncio.TimerHandle | None = None
        self._shutdown_timer: asyncio.TimerHandle | None = None
        self._app_protocol = protocol
        hostname = server_hostname if server_hostname and not server_side else None
        self._sslobj: ssl_module.SSLObject = self._open(loop._tls_engine, self._sslcontext, server_side, hostname)
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
            self._handshake_start = self._loop.time()
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
        if self._handshake_timer is not None:
            self._handshake_timer.cancel()
            self._handshake_timer = None
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
        if self._loop.get_debug():
            seconds = self._loop.time() - self._handshake_start
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
        self._encrypt_and_shut_down()

    def _peer_closed(self) -> None:
        """The peer has ended its direction, in due form."""
        self._tell_eof()
        if self._phase == _FLUSHING:
            self._encrypt_and_shut_down()
        else:
            self._start_shutdown()

    def _do_flush(self) -> None:
        """Closing because the transport below has ended: the protocol gets what arrived before."""
        if self._eof_received:
            self._read()
            if self._app_reading_paused:
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
                self._loop.call_soon(self._drive, context=self._context)

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


def _marks(high: int | None, low: int | None, default: int) -> tuple[int, int]:
    if high is None:
        high = default if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
    return int(min(low, sys.maxsize)), int(min(high, sys.maxsize))

"""Two transports of one direction each become one transport of both.

Lives here: `join`, and the transport that it returns. Not here: making the halves; they may be anybody's. Rules:

1. The protocol hears `connection_made` first, and `connection_lost` last and once, when both halves are gone.
2. However the reading half ends without an error, the protocol hears `eof_received`, once. What that returns decides
   whether writing goes on, as for a socket.
3. An error of one half aborts the other, and is what `connection_lost` tells.
4. A writing half that goes by itself, without an error, ends nothing but the output: reading goes on, and the next
   write fails with BrokenPipeError, as for a socket.
5. Nothing is read before there is a protocol to read it; what a half has read too far is delivered first.
"""

from __future__ import annotations

import asyncio
import errno
import functools
from asyncio.log import logger
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ._compat import SENDFILE_FALLBACK, FlowControlMixin

__all__ = ["JoinedTransport", "give", "join"]

if TYPE_CHECKING:
    _Bytes = bytes | bytearray | memoryview[Any]

# As asyncio: so many writes to what is lost are dropped before a program is warned.
_DROPPED_BEFORE_WARNING = 5


def join(reader: Any, writer: Any, protocol: asyncio.BaseProtocol | None = None) -> JoinedTransport:
    """Make one bidirectional transport of one to read from and one to write to.

    `reader` and `writer` are transports whose owner gives them up: tulipa's, asyncio's, or objects of the program's own
    class. A reader needs `set_protocol` and `close`; a writer `write` and `close`; what else they have of
    `asyncio.Transport` is used. Each may be a transport of both directions, of which one is then not used.

    With `protocol`, its `connection_made` is called soon. Without one, nothing is read until `set_protocol`, or
    `loop.start_tls` with the transport that is returned.

    Closing the transport closes both halves, the writing one after it has written what it has. Raises TypeError for
    what is no such transport, ValueError for one transport as both halves, RuntimeError for a half that is closing or
    when no loop runs.
    """
    for half, needed in ((reader, ("set_protocol", "close")), (writer, ("write", "close"))):
        missing = [name for name in needed if not callable(getattr(half, name, None))]
        if missing:
            raise TypeError(
                f"{half!r} has no {' and no '.join(missing)}; join() needs a transport to read and one to write"
            )
        if callable(getattr(half, "sendto", None)):
            raise TypeError(f"{half!r} carries datagrams, not a stream of bytes")
    if reader is writer:
        raise ValueError(f"{reader!r} cannot be both halves; it needs no joining")
    for half in (reader, writer):
        if _ask(half, "is_closing", False):
            raise RuntimeError(f"{half!r} is closing and cannot be joined")
    return JoinedTransport(asyncio.get_running_loop(), reader, writer, protocol)


class JoinedTransport(FlowControlMixin, asyncio.Transport):
    """One transport over two; see `join`."""

    _start_tls_compatible = True
    _sendfile_compatible = SENDFILE_FALLBACK
    _loop: asyncio.AbstractEventLoop  # a slot of the base

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        reader: Any,
        writer: Any,
        protocol: asyncio.BaseProtocol | None = None,
        *,
        read_ahead: bytes = b"",
    ) -> None:
        super().__init__(loop=loop)
        self._reader = reader
        self._writer = writer
        self._protocol: Any = protocol
        self._protocol_paused = False
        self._begun = False
        self._closing = False
        self._ended = False
        self._error: BaseException | None = None
        # The input: whether the half is there, whether it reads, what waits for the protocol, and how it ended.
        self._input_open = True
        self._reading_paused = False
        self._read_ahead = [data for data in (_taken_from(reader), read_ahead) if data]
        self._eof_waits = False
        self._eof_told = False
        # The output.
        self._output_open = True
        self._output_ended = False
        self._dropped = 0

        # Nothing may arrive before there is somebody to read it.
        self._half_reads = not _try_call(reader, "pause_reading")
        self._can_pause = not self._half_reads
        reader.set_protocol(_ReadingHalf(self))
        if self._hears_of_writer():
            # What it would read is nobody's.
            _try_call(writer, "pause_reading")
            writer.set_protocol(_WritingHalf(self))
        if protocol is not None:
            loop.call_soon(protocol.connection_made, self)
            loop.call_soon(self._begin)

    def __repr__(self) -> str:
        state = "closed" if self._ended else "closing" if self._closing else "open"
        return f"<{self.__class__.__name__} {state} reader={self._reader!r} writer={self._writer!r}>"

    # -- as asyncio.BaseTransport -----------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Look at what the reading half says of `name`, or else the writing one; see asyncio.BaseTransport."""
        for half in (self._reader, self._writer):
            look = getattr(half, "get_extra_info", None)
            if look is not None and (value := look(name)) is not None:
                return value
        return default

    def is_closing(self) -> bool:
        """Whether the transport is closing, or closed."""
        return self._closing

    def close(self) -> None:
        """Close both halves, the writing one after what is written; see asyncio.BaseTransport.close."""
        if self._closing:
            return
        self._closing = True
        self._forget_input()
        try:
            if self._input_open:
                self._reader.close()
        finally:
            if self._output_open:
                self._writer.close()
                self._note_unheard_loss()
            self._end_if_gone()

    def abort(self) -> None:
        """Close both halves at once; what is not written is dropped. See asyncio.WriteTransport.abort."""
        self._force_close(None)

    def _force_close(self, exc: BaseException | None) -> None:
        if self._ended:
            return
        if self._error is None:
            self._error = exc
        self._closing = True
        self._forget_input()
        try:
            if self._input_open:
                _abort(self._reader)
        finally:
            if self._output_open:
                _abort(self._writer)
                self._note_unheard_loss()
            self._end_if_gone()

    def _forget_input(self) -> None:
        self._read_ahead.clear()
        self._eof_waits = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Set the protocol; `connection_made` is not called. See asyncio.BaseTransport.set_protocol."""
        self._protocol = protocol
        if self._begun:
            self._direct_input()
        else:
            self._loop.call_soon(self._begin)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol; None if there is none yet, or no more."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    # -- reading ----------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether the protocol gets what arrives."""
        return not self._closing and not self._reading_paused and not self._eof_told

    def pause_reading(self) -> None:
        """Stop reading; see asyncio.ReadTransport. Raises NotImplementedError if the reading half cannot stop."""
        if self._closing or self._reading_paused:
            return
        if not self._can_pause:
            raise NotImplementedError(f"{self._reader!r} cannot pause reading")
        self._reading_paused = True
        self._control_reading()

    def resume_reading(self) -> None:
        """Go on reading; see asyncio.ReadTransport."""
        if self._closing or not self._reading_paused:
            return
        self._reading_paused = False
        self._deliver()

    def _begin(self) -> None:
        """The protocol is there, and was told of its transport."""
        if self._begun or self._closing:
            return
        self._begun = True
        self._deliver()

    def _deliver(self) -> None:
        """Give the protocol what was read before; then let it have the input itself."""
        while self._read_ahead and self._is_wanted():
            data = self._read_ahead.pop(0)
            if not self._call("data_received", functools.partial(give, self._protocol, data)):
                return
        if not self._is_wanted() or self._read_ahead:
            return
        self._direct_input()
        if self._eof_waits:
            self._eof_waits = False
            self._tell_eof()
            self._end_if_gone()
        self._control_reading()

    def _is_wanted(self) -> bool:
        return self._begun and not self._closing and not self._reading_paused

    def _direct_input(self) -> None:
        """Have the reading half call the protocol's own methods, with nothing in between."""
        if self._input_open and not self._read_ahead:
            kind = _BufferedReadingHalf if isinstance(self._protocol, asyncio.BufferedProtocol) else _ReadingHalf
            half = kind(self)
            half.serve(self._protocol)
            self._reader.set_protocol(half)

    def _control_reading(self) -> None:
        wanted = self._is_wanted() and not self._read_ahead
        if not self._can_pause or not self._input_open or wanted == self._half_reads:
            return
        self._half_reads = wanted
        if wanted:
            self._reader.resume_reading()
        else:
            self._reader.pause_reading()

    # What the reading half tells.

    def _hold(self, data: bytes) -> None:
        if not self._closing:
            self._read_ahead.append(bytes(data))
            self._deliver()

    def _end_input(self) -> None:
        if self._is_wanted() and not self._read_ahead:
            self._tell_eof()
        else:
            self._eof_waits = True

    def _tell_eof(self) -> None:
        if self._eof_told or self._closing:
            return
        self._eof_told = True
        goes_on: list[Any] = []
        if self._call("eof_received", lambda: goes_on.append(self._protocol.eof_received())) and not goes_on[0]:
            self.close()

    def _lose_input(self, exc: BaseException | None) -> None:
        self._input_open = False
        if exc is not None:
            self._force_close(exc)
        elif not self._closing:
            self._end_input()
        self._end_if_gone()

    # -- writing ----------------------------------------------------------------------

    def write(self, data: _Bytes) -> None:
        """Write without waiting; see asyncio.WriteTransport.write.

        Raises RuntimeError after `write_eof`.
        """
        if self._may_write():
            self._writer.write(data)

    def writelines(self, list_of_data: Iterable[_Bytes]) -> None:
        """Write several pieces; see asyncio.WriteTransport.writelines."""
        if self._may_write():
            write_all = getattr(self._writer, "writelines", None)
            if write_all is not None:
                write_all(list_of_data)
            else:
                self._writer.write(b"".join(list_of_data))

    def _may_write(self) -> bool:
        if self._output_ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing:
            self._dropped += 1
            if self._dropped >= _DROPPED_BEFORE_WARNING:
                logger.warning("%r is closing: what is written is dropped", self)
            return False
        if not self._output_open:
            self._output_failed(BrokenPipeError(errno.EPIPE, f"nobody reads what is written to {self._writer!r}"))
            return False
        return True

    def can_write_eof(self) -> bool:
        """Whether the writing half can tell its end alone."""
        return bool(_ask(self._writer, "can_write_eof", False))

    def write_eof(self) -> None:
        """End the output after what is written; reading goes on. See asyncio.WriteTransport.write_eof.

        Raises NotImplementedError if the writing half cannot.
        """
        if self._output_ended or self._closing:
            return
        if not self.can_write_eof():
            raise NotImplementedError(f"{self._writer!r} cannot tell that the output ends without being closed")
        self._output_ended = True
        if self._output_open:
            self._write_end()

    def _write_end(self) -> None:
        self._writer.write_eof()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be written."""
        size: int = _ask(self._writer, "get_write_buffer_size", 0)
        return size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low- and high-water marks of the writing half, in bytes."""
        limits: tuple[int, int] = self._writer.get_write_buffer_limits()
        return limits

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks of the writing half; see asyncio.WriteTransport."""
        self._writer.set_write_buffer_limits(high=high, low=low)

    # What the writing half tells.

    def _hears_of_writer(self) -> bool:
        return callable(getattr(self._writer, "set_protocol", None))

    def _pause_writing(self) -> None:
        self._protocol_paused = True
        if self._protocol is not None:
            self._protocol.pause_writing()

    def _resume_writing(self) -> None:
        self._protocol_paused = False
        if self._protocol is not None:
            self._protocol.resume_writing()

    def _lose_output(self, exc: BaseException | None) -> None:
        self._output_open = False
        if exc is not None and not self._ended:
            self._output_failed(exc)
        self._end_if_gone()

    def _output_failed(self, exc: BaseException) -> None:
        self._force_close(exc)

    def _note_unheard_loss(self) -> None:
        """A writer without `set_protocol` cannot tell when it is gone: it is once it was told to close."""
        if not self._hears_of_writer():
            self._loop.call_soon(self._lose_output, None)

    # -- the end ----------------------------------------------------------------------

    def _end_if_gone(self) -> None:
        if self._input_open or self._output_open or self._ended:
            return
        if self._read_ahead or self._eof_waits:
            return  # The protocol has to hear of it first.
        self._closing = self._ended = True
        self._loop.call_soon(self._tell_lost)

    def _tell_lost(self) -> None:
        protocol, self._protocol = self._protocol, None
        error, self._error = self._error, None
        if protocol is not None:
            protocol.connection_lost(error)

    def _call(self, name: str, call: Callable[[], object]) -> bool:
        """Call the protocol, and end the transport if that raises; return whether it did not.

        Follows asyncio.selector_events._SelectorTransport._fatal_error.
        """
        try:
            call()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._loop.call_exception_handler(
                {
                    "message": f"Fatal error: protocol.{name}() call failed.",
                    "exception": exc,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )
            self._force_close(exc)
            return False
        return True


class _Reading:
    """What the reading half has for a protocol."""

    def __init__(self, joined: JoinedTransport) -> None:
        self._joined = joined

    def eof_received(self) -> None:
        self._joined._end_input()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._joined._lose_input(exc)


class _ReadingHalf(_Reading, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self._joined._hold(data)

    def serve(self, protocol: Any) -> None:
        """Pass everything on to the protocol from now on."""
        own: Any = self
        own.data_received = protocol.data_received


class _BufferedReadingHalf(_Reading, asyncio.BufferedProtocol):
    def data_received(self, data: bytes) -> None:
        """Serve a half that was written without thinking of BufferedProtocol."""
        give(self._joined.get_protocol(), data)

    def serve(self, protocol: Any) -> None:
        """Pass everything on to the protocol from now on."""
        own: Any = self
        own.get_buffer = protocol.get_buffer
        own.buffer_updated = protocol.buffer_updated


class _WritingHalf(asyncio.Protocol):
    """What the writing half has for a protocol."""

    def __init__(self, joined: JoinedTransport) -> None:
        self._joined = joined

    def data_received(self, data: bytes) -> None:
        raise RuntimeError(f"{len(data)} bytes arrived at the writing half of {self._joined!r}, where nobody reads")

    def eof_received(self) -> bool:
        # Its other direction is not ours.
        return True

    def pause_writing(self) -> None:
        self._joined._pause_writing()

    def resume_writing(self) -> None:
        self._joined._resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._joined._lose_output(exc)


def _ask(half: Any, method: str, default: Any) -> Any:
    """Call a method that a transport of somebody else's need not have."""
    ask = getattr(half, method, None)
    if ask is None:
        return default
    try:
        return ask()
    except NotImplementedError:
        return default


def _try_call(half: Any, method: str) -> bool:
    """Call a method that a half need not have; return whether it has."""
    call = getattr(half, method, None)
    try:
        if call is not None:
            call()
    except NotImplementedError:
        return False
    return call is not None


def _abort(half: Any) -> None:
    abort = getattr(half, "abort", None)
    if abort is None:
        half.close()
    else:
        abort()


def _taken_from(reader: Any) -> bytes:
    """What a stream reader over the half has read and nobody has taken."""
    protocol = _ask(reader, "get_protocol", None)
    stream: Any = getattr(protocol, "_stream_reader", None)
    if not isinstance(protocol, asyncio.StreamReaderProtocol) or stream is None:
        return b""
    data = bytes(stream._buffer)
    stream._buffer.clear()
    return data


def give(protocol: Any, data: bytes) -> None:
    """Hand data to a protocol of either kind."""
    if not isinstance(protocol, asyncio.BufferedProtocol):
        protocol.data_received(data)
        return
    rest = memoryview(data)
    while rest:
        buffer = memoryview(protocol.get_buffer(len(rest))).cast("B")
        count = min(len(buffer), len(rest))
        if not count:
            raise RuntimeError("get_buffer() returned an empty buffer")
        buffer[:count] = rest[:count]
        protocol.buffer_updated(count)
        rest = rest[count:]

"""Files and datagrams, seen as transports of a stream of bytes.

Lives here: what `relay` asks of a transport, for the two kinds that the loop makes none of. Rules:

1. A file is read one piece ahead, and written in the order of the calls; neither holds more than that and the buffer.
2. What arrives in datagrams is passed on without their boundaries, and what is written is cut into datagrams.
3. `udp-listen:` talks to the first who sends something, and hears nobody else.
"""

from __future__ import annotations

import asyncio
from typing import Any

import tulipa

__all__ = ["DatagramStream", "FileStream"]


class _Stream(asyncio.Transport):
    """What both have in common."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._closing = False
        self._error: BaseException | None = None

    def set_protocol(self, protocol: Any) -> None:
        """Tell another protocol from now on."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """Return the protocol."""
        return self._protocol

    def is_closing(self) -> bool:
        """Whether it is closing or closed."""
        return self._closing

    def abort(self) -> None:
        """Close; what is under way goes on, as it cannot be stopped."""
        self.close()


class FileStream(_Stream):
    """A file, read from its beginning or written to its end."""

    # Large enough that the way to the disk's thread and back costs little.
    CHUNK = 256 * 1024

    def __init__(self, file: tulipa.File, protocol: Any) -> None:
        super().__init__(protocol)
        self._file = file
        self._high = 64 * 1024
        self._pending = 0
        self._paused = False
        self._may_read = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    # -- reading ----------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether the protocol gets what is read."""
        return self._may_read.is_set()

    def pause_reading(self) -> None:
        """Give the protocol nothing more for now."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Read, or go on reading."""
        self._may_read.set()
        if self._reading is None and not self._closing:
            self._reading = self._loop.create_task(self._read())

    async def _read(self) -> None:
        ahead = self._file.read(self.CHUNK)
        try:
            while chunk := await ahead:
                ahead = self._file.read(self.CHUNK)
                await self._may_read.wait()
                self._protocol.data_received(chunk)
        except OSError as exc:
            self._fail(exc)
        else:
            await self._may_read.wait()
            self._protocol.eof_received()

    # -- writing ----------------------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how many bytes may wait to be written."""
        self._high = self._high if high is None else high

    def write(self, data: Any) -> None:
        """Write, without waiting."""
        if self._closing:
            return
        size = len(data)
        self._pending += size
        self._file.write(data).add_done_callback(lambda call: self._written(call, size))
        if self._pending > self._high and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def _written(self, call: asyncio.Future[int], size: int) -> None:
        self._pending -= size
        if call.cancelled():
            return
        if (error := call.exception()) is not None:
            self._fail(error)
        elif self._paused and self._pending <= self._high // 4:
            self._paused = False
            self._protocol.resume_writing()

    def can_write_eof(self) -> bool:
        """Whether its end can be told: there is nobody to tell."""
        return True

    def write_eof(self) -> None:
        """Take note that nothing more is written, which `close` will see to."""

    # -- the end ----------------------------------------------------------------------

    def _fail(self, exc: BaseException) -> None:
        if self._error is None:
            self._error = exc
        self.close()

    def close(self) -> None:
        """Close after what is written."""
        if self._closing:
            return
        self._closing = True
        if self._reading is not None and self._reading is not asyncio.current_task():
            self._reading.cancel()
        self._file.close().add_done_callback(self._closed)

    def _closed(self, closing: asyncio.Future[None]) -> None:
        error = self._error
        if error is None and not closing.cancelled():
            error = closing.exception()
        self._protocol.connection_lost(error)


class DatagramStream(_Stream, asyncio.DatagramProtocol):
    """A datagram socket with one peer; the protocol of its transport as well."""

    def __init__(self, protocol: Any, *, size: int) -> None:
        super().__init__(protocol)
        self._size = size
        self._transport: Any = None
        self._peer: Any = None
        self.met: asyncio.Future[None] = self._loop.create_future()

    # As the protocol of the socket.

    def connection_made(self, transport: Any) -> None:
        """Take note of the socket."""
        self._transport = transport
        if transport.get_extra_info("peername") is not None:
            self.met.set_result(None)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Pass on what the peer sent; the first who sends is the peer."""
        if not self.met.done():
            self._peer = addr
            self.met.set_result(None)
        elif self._peer is not None and addr != self._peer:
            return
        self._protocol.data_received(data)

    def error_received(self, exc: Exception) -> None:
        """End with an error that the network reported, such as that nobody listens there."""
        self._error = self._error or exc
        self._closing = True
        self._transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The socket is closed."""
        self._protocol.connection_lost(self._error or exc)

    def pause_writing(self) -> None:
        """Pass on that too much waits."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that there is room."""
        self._protocol.resume_writing()

    # As a transport.

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how many bytes may wait to be sent."""
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        size: int = self._transport.get_write_buffer_size()
        return size

    def is_reading(self) -> bool:
        """Whether the protocol gets what arrives."""
        return bool(self._transport.is_reading())

    def pause_reading(self) -> None:
        """Leave what arrives to the kernel, which drops what it has no room for."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on receiving."""
        self._transport.resume_reading()

    def write(self, data: Any) -> None:
        """Send, in datagrams of the size that was asked for."""
        for start in range(0, len(data), self._size):
            self._transport.sendto(data[start : start + self._size], self._peer)

    def can_write_eof(self) -> bool:
        """Whether the peer can be told that nothing more comes: there is no such datagram."""
        return False

    def close(self) -> None:
        """Close after what is written."""
        self._closing = True
        self._transport.close()

"""A transport that is neither asyncio's nor tulipa's: two ends in memory, as a program might write them.

`MemoryTransport` has the documented methods of `asyncio.Transport` and nothing private.
`CompatibleTransport` adds the two names that asyncio's `start_tls` asks of transports, so that asyncio can judge the
tests that are about TLS and not about the transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def all_at_once(available: int) -> int:
    return available


class MemoryTransport(asyncio.Transport):
    """One end. What is written is carried to the other end by callbacks of the loop.

    `carry` says for each turn how many of the bytes that wait are delivered: cutting, merging and delaying them.
    `touch` may change them.
    """

    def __init__(self, loop, protocol, carry=all_at_once):
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._carry: Callable[[int], int] = carry
        self.touch: Callable[[bytes], bytes] = bytes
        self.other: MemoryTransport
        self._waiting = bytearray()  # written here, not yet delivered there
        self._delivering = None
        self._low, self._high = 16 * 1024, 64 * 1024
        self._writing_paused = False
        self._reading_paused = False
        self._closing = self._ended = self._lost = False
        self.carried = 0

    # What a transport tells.

    def get_extra_info(self, name, default=None):
        return {"peername": "memory", "sockname": "memory"}.get(name, default)

    def is_closing(self):
        return self._closing

    def is_reading(self):
        return not self._reading_paused and not self._closing

    def set_protocol(self, protocol):
        self._protocol = protocol

    def get_protocol(self):
        return self._protocol

    def get_write_buffer_size(self):
        return len(self._waiting)

    def get_write_buffer_limits(self):
        return self._low, self._high

    def set_write_buffer_limits(self, high=None, low=None):
        self._high = 64 * 1024 if high is None else high
        self._low = self._high // 4 if low is None else low

    # What it does.

    def pause_reading(self):
        self._reading_paused = True

    def resume_reading(self):
        self._reading_paused = False
        self.other._deliver_soon()

    def write(self, data):
        if self._closing or self._ended:
            return
        self._waiting += data
        if len(self._waiting) > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()
        self._deliver_soon()

    def can_write_eof(self):
        return True

    def write_eof(self):
        self._ended = True
        self._deliver_soon()

    def close(self):
        if not self._closing:
            self._closing = self._ended = True
            self._deliver_soon()

    def abort(self):
        self._lose(None)

    def _lose(self, error):
        self._closing = self._ended = True
        self._waiting.clear()
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._end, error)
            self._deliver_soon()

    def _end(self, error):
        self._protocol.connection_lost(error)

    # The wire.

    def _deliver_soon(self):
        if self._delivering is None:
            self._delivering = self._loop.call_soon(self._deliver)

    def _deliver(self):
        self._delivering = None
        other = self.other
        if self._waiting and not other._closing:
            if other._reading_paused:
                return
            count = min(self._carry(len(self._waiting)), len(self._waiting))
            data = self.touch(bytes(self._waiting[:count]))
            del self._waiting[:count]
            self.carried += count
            if self._writing_paused and len(self._waiting) <= self._low:
                self._writing_paused = False
                self._protocol.resume_writing()
            if data:
                other._receive(data)
            if self._waiting or self._ended:
                self._deliver_soon()
        elif self._ended:
            self._waiting.clear()
            if not other._closing:
                if other._reading_paused:
                    return
                if not other._protocol.eof_received():
                    other.close()
            if self._closing and not self._lost:
                self._lose(None)

    def _receive(self, data):
        try:
            give(self._protocol, data)
        except Exception as error:
            self._lose(error)
            self._loop.call_exception_handler({"message": "a callback failed", "exception": error, "transport": self})


def give(protocol, data):
    """Hand data to a protocol of either kind."""
    if not isinstance(protocol, asyncio.BufferedProtocol):
        protocol.data_received(data)
        return
    while data:
        buffer = memoryview(protocol.get_buffer(len(data))).cast("B")
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]


class CompatibleTransport(MemoryTransport):
    _start_tls_compatible = True

    def _force_close(self, error):
        self._lose(error)


def memory_pair(loop, protocol, other, kind=MemoryTransport, carry=all_at_once, carry_back=all_at_once):
    """Two ends, connected; `carry` rules what goes from the first to the second."""
    one, two = kind(loop, protocol, carry), kind(loop, other, carry_back)
    one.other, two.other = two, one
    protocol.connection_made(one)
    other.connection_made(two)
    return one, two

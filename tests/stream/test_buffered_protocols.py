"""`BufferedProtocol`, good and bad ones, and changing the kind of protocol. # T11 # T46 # G11"""

import asyncio
import socket

import pytest

from tests.support.recorders import BufferedRecorder, Recorder
from tests.support.streams import KINDS, raw_pair, transport_and_peer, turns


@pytest.mark.parametrize("kind", KINDS)
async def test_data_come_into_the_protocols_own_buffer(loop, kind):
    async with transport_and_peer(loop, kind, BufferedRecorder) as (transport, protocol, peer):
        await loop.sock_sendall(peer, b"hello")
        await protocol.until_data(5)
        peer.close()
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "buffer_updated", "eof_received", "connection_lost"]
        assert protocol.data == b"hello"


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
async def test_buffers_of_any_size(loop, size):
    data = bytes(range(256)) * 40
    async with transport_and_peer(loop, factory=lambda: BufferedRecorder(size)) as (transport, protocol, peer):
        await loop.sock_sendall(peer, data)
        await protocol.until_data(len(data))
        assert protocol.data == data


async def test_much_data_through_a_buffer(loop):
    data = bytes(range(256)) * 40_000
    async with transport_and_peer(loop, factory=lambda: BufferedRecorder(1 << 16)) as (transport, protocol, peer):
        sending = loop.create_task(loop.sock_sendall(peer, data))
        await protocol.until_data(len(data))
        await sending
        assert protocol.data == data


async def test_a_memoryview_that_moves_along_one_buffer(loop):
    """The usual parser: it collects a message in one buffer, each time offering the rest."""

    class Collector(BufferedRecorder):
        def __init__(self):
            super().__init__(10)
            self.filled = 0

        def get_buffer(self, sizehint):
            return memoryview(self.buffer)[self.filled :]

        def buffer_updated(self, count):
            self.filled += count
            if self.filled == 10:
                self.data += self.buffer
                self.filled = 0
                self.note("buffer_updated")

    async with transport_and_peer(loop, factory=Collector) as (transport, protocol, peer):
        for chunk in (b"0", b"12", b"3456789", b"abcdefghij", b"klmno", b"pqrst"):
            peer.send(chunk)
            await turns(3)
        await protocol.until_data(30)
        assert protocol.data == b"0123456789abcdefghijklmnopqrst"


async def test_the_size_hint_is_a_number(loop):
    hints = []

    class Asking(BufferedRecorder):
        def get_buffer(self, sizehint):
            hints.append(sizehint)
            return self.buffer

    async with transport_and_peer(loop, factory=Asking) as (transport, protocol, peer):
        peer.send(b"x")
        await protocol.until_data(1)
        assert all(isinstance(hint, int) for hint in hints)


BAD_BUFFERS = {
    "empty": lambda: bytearray(),
    "bytes": lambda: b"read only",
    "None": lambda: None,
    "text": lambda: "text",
    "released": lambda: released(),
    "strided": lambda: memoryview(bytearray(20))[::2],
    "number": lambda: 10,
}


def released():
    view = memoryview(bytearray(10))
    view.release()
    return view


@pytest.mark.parametrize("name", BAD_BUFFERS)
async def test_a_bad_buffer_is_an_error_that_closes_and_is_reported(loop, reported, name):  # G11
    class Bad(BufferedRecorder):
        def get_buffer(self, sizehint):
            return BAD_BUFFERS[name]()

    async with transport_and_peer(loop, factory=Bad) as (transport, protocol, peer):
        peer.send(b"x")
        await protocol.until("connection_lost")
        assert isinstance(protocol.error, (RuntimeError, TypeError, ValueError, BufferError))
    assert reported[0]["exception"] is protocol.error
    assert reported[0]["transport"] is transport
    reported.clear()


@pytest.mark.parametrize("method", ["get_buffer", "buffer_updated"])
async def test_a_method_that_raises_closes_and_is_reported(loop, reported, method):  # T46
    def broken(self, *args):
        raise LookupError(method)

    factory = type("Broken", (BufferedRecorder,), {method: broken})
    async with transport_and_peer(loop, factory=factory) as (transport, protocol, peer):
        peer.send(b"x")
        await protocol.until("connection_lost")
        assert isinstance(protocol.error, LookupError)
    assert str(reported.pop()["exception"]) == method


async def test_get_buffer_may_close_the_transport(loop):  # R3
    class Closer(BufferedRecorder):
        def get_buffer(self, sizehint):
            self.transport.close()
            return super().get_buffer(sizehint)

    async with transport_and_peer(loop, factory=Closer) as (transport, protocol, peer):
        peer.send(b"x")
        await protocol.until("connection_lost")


async def test_get_buffer_may_abort_and_the_buffer_stays_safe(loop):  # R3 R4
    """The buffer is dropped right after: nothing may be written into freed memory."""

    class Aborter(BufferedRecorder):
        def get_buffer(self, sizehint):
            buffer = bytearray(1 << 16)
            self.transport.abort()
            return buffer

        def buffer_updated(self, count):
            self.note("buffer_updated")

    for _ in range(20):
        async with transport_and_peer(loop, factory=Aborter) as (transport, protocol, peer):
            peer.send(bytes(1 << 15))
            await protocol.until("connection_lost")


async def test_get_buffer_may_replace_the_protocol(loop):  # R3
    second = Recorder()

    class Leaving(BufferedRecorder):
        def get_buffer(self, sizehint):
            second.transport = self.transport
            self.transport.set_protocol(second)
            return super().get_buffer(sizehint)

    async with transport_and_peer(loop, factory=Leaving) as (transport, protocol, peer):
        peer.send(b"somewhere")
        await turns(10)
        assert bytes(protocol.data + second.data) == b"somewhere"
        peer.send(b"later")
        await second.until(lambda: second.data.endswith(b"later"))


async def test_a_buffer_cannot_be_resized_while_it_is_lent(loop):
    """Between `get_buffer` and `buffer_updated` the memory is ours; afterwards it is the protocol's again."""

    class Resizer(BufferedRecorder):
        def buffer_updated(self, count):
            super().buffer_updated(count)
            self.buffer = self.buffer + bytearray(10)
            self.buffer.clear()
            self.buffer.extend(bytes(32))

    async with transport_and_peer(loop, factory=Resizer) as (transport, protocol, peer):
        for _ in range(10):
            peer.send(b"x" * 10)
            await turns(2)
        await protocol.until_data(100)


async def test_eof_of_a_buffered_protocol(loop):
    class HalfOpen(BufferedRecorder):
        def eof_received(self):
            super().eof_received()
            return True

    async with transport_and_peer(loop, factory=HalfOpen) as (transport, protocol, peer):
        peer.shutdown(socket.SHUT_WR)
        await protocol.until("eof_received")
        transport.write(b"answer")
        transport.close()
        await protocol.until("connection_lost")
        assert peer.recv(10) == b"answer"


@pytest.mark.parametrize("first", [Recorder, BufferedRecorder])
@pytest.mark.parametrize("second", [Recorder, BufferedRecorder])
async def test_set_protocol_changes_the_kind(loop, first, second):  # T11
    left, right = raw_pair("tcp")
    with right:
        transport, old = await loop.create_connection(first, sock=left)
        right.send(b"old")
        await old.until_data(3)
        new = second()
        new.transport = transport
        transport.set_protocol(new)
        assert transport.get_protocol() is new
        right.send(b"new")
        await new.until_data(3)
        assert (old.data, new.data) == (b"old", b"new")
        transport.abort()
        await new.until("connection_lost")
        assert "connection_lost" not in old.events


async def test_set_protocol_while_paused_serves_what_waits_to_the_new_one(loop):
    async with transport_and_peer(loop) as (transport, old, peer):
        transport.pause_reading()
        peer.send(b"waiting")
        await turns(3)
        new = BufferedRecorder()
        new.transport = transport
        transport.set_protocol(new)
        transport.resume_reading()
        await new.until_data(7)
        assert old.data == b""


async def test_a_protocol_that_is_both_kinds_is_served_as_buffered(loop):
    class Both(BufferedRecorder, asyncio.Protocol):
        def data_received(self, data):
            raise AssertionError("served as a plain protocol")

    async with transport_and_peer(loop, factory=Both) as (transport, protocol, peer):
        peer.send(b"x")
        await protocol.until_data(1)


async def test_a_protocol_without_base_class_is_served_as_plain(loop):
    class Duck:
        def __init__(self):
            self.data = b""
            self.lost = asyncio.get_running_loop().create_future()

        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.data += data

        def eof_received(self):
            return None

        def connection_lost(self, error):
            self.lost.set_result(error)

    async with transport_and_peer(loop, factory=Duck) as (transport, protocol, peer):
        peer.send(b"quack")
        peer.close()
        assert await protocol.lost is None
        assert protocol.data == b"quack"

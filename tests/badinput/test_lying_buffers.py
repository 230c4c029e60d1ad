"""Objects that lie about their buffer: refused or sent whole, never a crash; the connection is unharmed. # G11 # R2"""

import array
import asyncio
import ctypes
import gc
import mmap
import sys

import pytest

from tests.support.recorders import BufferedRecorder
from tests.support.streams import receive, transport_and_peer, turns

python_buffers = pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ came with Python 3.12")
CONTENT = b"0123456789"


def released_view():
    view = memoryview(bytearray(CONTENT))
    view.release()
    return view


def closed_mmap():
    mapped = mmap.mmap(-1, 10)
    mapped.close()
    return mapped


class LongBytes(bytes):
    """Says it is longer than it is, and gives other bytes when asked in Python."""

    def __len__(self):
        return 1_000_000

    def __bytes__(self):
        return b"lie"

    def __iter__(self):
        raise LookupError("iter")

    def __getitem__(self, key):
        raise LookupError("getitem")


class ShortBytearray(bytearray):
    def __len__(self):
        return 0

    def __bytes__(self):
        return b""


STRANGE = {
    "released view": released_view,
    "closed mmap": closed_mmap,
    "strided view": lambda: memoryview(CONTENT * 2)[::2],
    "backwards view": lambda: memoryview(CONTENT)[::-1],
    "doubles": lambda: array.array("d", [1.5]),
    "doubles view": lambda: memoryview(array.array("d", [1.5])),
    "zero-dimensional view": lambda: memoryview(ctypes.c_int(5)),
    "two-dimensional view": lambda: memoryview(bytearray(12)).cast("B", (3, 4)),
    "ctypes structure": lambda: type("Point", (ctypes.Structure,), {"_fields_": [("x", ctypes.c_int)]})(5),
    "bytes that lie": lambda: LongBytes(CONTENT),
    "bytearray that lies": lambda: ShortBytearray(CONTENT),
    "class": lambda: bytes,
    "list of numbers": lambda: [1, 2, 3],
}


def plain(value):
    """The bytes that a truthful reader of the buffer gets, or None."""
    try:
        return memoryview(value).tobytes()
    except (TypeError, ValueError, BufferError):
        return None


@pytest.mark.only_tulipa  # asyncio sends some in part and closes the connection over others
@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("method", ["write", "writelines"])
async def test_a_strange_buffer_is_refused_or_sent_whole(loop, name, method):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        value = STRANGE[name]()
        expected = plain(value)
        try:
            transport.write(value) if method == "write" else transport.writelines([value])
        except (TypeError, ValueError, BufferError, LookupError, NotImplementedError) as error:
            assert str(error)
            expected = b""
        transport.write(b"|end")
        assert await asyncio.wait_for(receive(loop, peer, len(expected or b"") + 4), 2) == (expected or b"") + b"|end"


@pytest.mark.only_tulipa  # asyncio counts items for bytes, and hangs or sends twice
@pytest.mark.parametrize("name", STRANGE)
async def test_a_strange_buffer_in_sock_sendall(loop, name):
    async with transport_and_peer(loop, "unix") as (_, protocol, peer):
        try:
            await asyncio.wait_for(loop.sock_sendall(peer, STRANGE[name]()), 0.2)
        except (TypeError, ValueError, BufferError, LookupError, NotImplementedError) as error:
            assert str(error)
        await loop.sock_sendall(peer, b"|end")
        await protocol.until(lambda: protocol.data.endswith(b"|end"))


@pytest.mark.parametrize("name", STRANGE)
async def test_a_strange_buffer_in_sock_recv_into(loop, name):
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        transport.write(b"x")
        try:
            count = await loop.sock_recv_into(peer, STRANGE[name]())
        except (TypeError, ValueError, BufferError, LookupError, NotImplementedError) as error:
            assert str(error)
        else:
            assert count in (0, 1)


@python_buffers
async def test_a_buffer_method_that_raises(loop):
    class Raising:
        def __buffer__(self, flags):
            raise LookupError("__buffer__")

    async with transport_and_peer(loop) as (transport, protocol, peer):
        for write in (transport.write, lambda data: transport.writelines([data])):
            with pytest.raises((LookupError, TypeError)):
                write(Raising())
        transport.write(b"unharmed")
        assert await receive(loop, peer, 8) == b"unharmed"


@python_buffers
@pytest.mark.parametrize("result", [None, 5, b"bytes", "text"], ids=repr)
async def test_a_buffer_method_that_gives_no_memoryview(loop, result):
    class Wrong:
        def __buffer__(self, flags):
            return result

    async with transport_and_peer(loop) as (transport, protocol, peer):
        with pytest.raises(TypeError):
            transport.write(Wrong())
        transport.write(b"unharmed")
        assert await receive(loop, peer, 8) == b"unharmed"


@python_buffers
@pytest.mark.parametrize(
    "action", ["close", "abort", "write", "writelines", "pause_reading", "set_protocol", "stop", "collect"]
)
async def test_a_buffer_method_may_act_on_the_transport(loop, action):  # R2 R3
    """`write` asks for the buffer, and the buffer's owner closes the transport."""

    class Acting:
        acted = False

        def __buffer__(self, flags):
            if not self.acted:
                self.acted = True
                {
                    "close": transport.close,
                    "abort": transport.abort,
                    "write": lambda: transport.write(b"inner"),
                    "writelines": lambda: transport.writelines([b"inner"]),
                    "pause_reading": transport.pause_reading,
                    "set_protocol": lambda: transport.set_protocol(protocol),
                    "stop": lambda: transport.write(self),
                    "collect": gc.collect,
                }[action]()
            return memoryview(CONTENT)

        def __release_buffer__(self, view):
            transport.get_write_buffer_size()
            gc.collect()

    async with transport_and_peer(loop) as (transport, protocol, peer):
        try:
            transport.write(Acting())
        except TypeError as error:  # asyncio takes bytes, bytearray and memoryview only
            assert "Acting" in str(error)
        transport.writelines([b"x"]) if not transport.is_closing() else None
        await turns(3)


@python_buffers
async def test_a_buffer_that_changes_its_size_between_two_looks(loop):
    class Shrinking:
        size = 1000

        def __buffer__(self, flags):
            self.size //= 10
            return memoryview(bytes(max(self.size, 1)))

    async with transport_and_peer(loop) as (transport, protocol, peer):
        for _ in range(5):
            try:
                transport.write(Shrinking())
            except TypeError:
                break
        transport.write(b"|end")
        transport.close()
        got = bytearray()
        while data := await loop.sock_recv(peer, 10_000):
            got += data
        assert got.endswith(b"|end")


@python_buffers
async def test_a_get_buffer_whose_object_lies(loop, reported):
    """The protocol's own buffer class acts while it lends its memory."""

    class Lending:
        def __init__(self, transport):
            self.transport = transport
            self.memory = bytearray(64)

        def __buffer__(self, flags):
            self.transport.pause_reading()
            self.transport.resume_reading()
            return memoryview(self.memory)

        def __release_buffer__(self, view):
            gc.collect()

    class Protocol(BufferedRecorder):
        def get_buffer(self, sizehint):
            self.lent = Lending(self.transport)
            return self.lent

        def buffer_updated(self, count):
            self.data += self.lent.memory[:count]
            self.note("buffer_updated")

    async with transport_and_peer(loop, factory=Protocol) as (transport, protocol, peer):
        peer.send(b"lent")
        await protocol.until(lambda: protocol.data == b"lent" or "connection_lost" in protocol.events)
    reported.clear()


async def test_a_buffer_resized_by_another_thread_while_it_is_read_into(loop):
    """An export blocks resizing: the other side gets BufferError, nobody reads freed memory."""
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        buffer = bytearray(1 << 16)
        task = loop.create_task(loop.sock_recv_into(peer, buffer))
        await turns(2)
        try:
            buffer.clear()
            buffer.extend(bytes(1 << 16))
        except BufferError:
            pass
        transport.write(b"x" * 100)
        try:
            await asyncio.wait_for(task, 2)
        except (ValueError, BufferError):
            pass

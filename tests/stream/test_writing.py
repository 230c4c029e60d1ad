"""Writing: what may be written, in which order it leaves, and what happens after the end. # T13 # T14 # G10"""

import array
import asyncio
import ctypes
import logging
import mmap
import os
import socket

import pytest

from tests.support.streams import KINDS, receive, receive_all, transport_and_peer, turns

pytestmark = pytest.mark.all_drivers
kinds = pytest.mark.parametrize("kind", KINDS)

BUFFERS = {
    "bytes": lambda: b"0123456789",
    "bytearray": lambda: bytearray(b"0123456789"),
    "memoryview": lambda: memoryview(b"0123456789"),
    "slice": lambda: memoryview(b"xx0123456789xx")[2:12],
    "writable view": lambda: memoryview(bytearray(b"0123456789")),
    "bytes subclass": lambda: type("Sub", (bytes,), {})(b"0123456789"),
}


@kinds
@pytest.mark.parametrize("name", BUFFERS)
async def test_buffers_of_all_kinds_can_be_written(loop, kind, name):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        transport.write(BUFFERS[name]())
        assert await receive(loop, peer, 10) == b"0123456789"


@pytest.mark.only_tulipa
@pytest.mark.parametrize(
    "make",
    [
        lambda: array.array("B", b"0123456789"),
        lambda: array.array("H", [0x3130, 0x3332, 0x3534, 0x3736, 0x3938]),
        lambda: (ctypes.c_char * 10)(*b"0123456789"),
        lambda: memoryview(b"0123456789").cast("B", (2, 5)),
    ],
    ids=["array", "array of words", "ctypes", "two dimensions"],
)
async def test_other_contiguous_buffers_are_sent_or_refused_whole(loop, make):
    """asyncio refuses most of these; whoever takes them must send each byte."""
    async with transport_and_peer(loop) as (transport, protocol, peer):
        try:
            transport.write(make())
        except TypeError as error:
            assert str(error)
            transport.write(b"0123456789")
        assert await receive(loop, peer, 10) == b"0123456789"


@pytest.mark.parametrize("wrong", ["text", None, 1, 1.5, [1], object(), ()], ids=repr)
async def test_what_is_no_buffer_is_a_type_error_that_names_the_type(loop, wrong):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            transport.write(wrong)
        transport.write(b"unharmed")
        assert await receive(loop, peer, 8) == b"unharmed"


async def test_writing_nothing_sends_nothing(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.write(b"")
        transport.write(bytearray())
        transport.writelines([])
        transport.writelines([b"", b""])
        transport.write(b"x")
        transport.close()
        assert await receive_all(loop, peer) == b"x"


@kinds
@pytest.mark.parametrize("size", [10, 5_000_000])
async def test_a_buffer_changed_after_write_is_sent_as_it_was(loop, kind, size):  # T14
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        for make in (bytearray, lambda data: memoryview(bytearray(data))):
            data = make(b"a" * size)
            transport.write(data)
            data[:] = b"b" * size
            as_it_was = await receive(loop, peer, size) == b"a" * size
            assert as_it_was, "what was written later went out"  # pytest would compare two long values for minutes


async def test_a_bytearray_can_be_resized_right_after_write(loop):  # T14
    """A kept view would make `clear` raise BufferError."""
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        data = bytearray(b"a" * 3_000_000)
        transport.write(data)
        data.clear()
        more = bytearray(b"b" * 10)
        transport.writelines([more])
        more.extend(b"more")
        assert await receive(loop, peer, 3_000_010) == b"a" * 3_000_000 + b"b" * 10


async def test_a_memoryview_can_be_released_right_after_write(loop):  # T14
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        with mmap.mmap(-1, 1_000_000) as mapped:
            mapped[:] = b"m" * 1_000_000
            view = memoryview(mapped)
            transport.write(view)
            view.release()
        assert await receive(loop, peer, 1_000_000) == b"m" * 1_000_000


@kinds
async def test_many_small_writes_keep_their_order(loop, kind):  # G10
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        chunks = [b"%d," % number for number in range(5000)]
        for chunk in chunks:
            transport.write(chunk)
        expected = b"".join(chunks)
        assert await receive(loop, peer, len(expected)) == expected


async def test_small_and_large_writes_keep_their_order(loop):  # G10
    async with transport_and_peer(loop) as (transport, protocol, peer):
        chunks = [os.urandom(size) for size in (1, 100_000, 3, 0, 2_000_000, 7, 65_536, 1)]
        for chunk in chunks:
            transport.write(chunk)
        transport.writelines(chunks)
        expected = b"".join(chunks) * 2
        assert await receive(loop, peer, len(expected)) == expected


async def test_writes_of_several_tasks_are_not_interleaved(loop):  # G10
    async with transport_and_peer(loop) as (transport, protocol, peer):

        async def write(letter):
            for _ in range(50):
                transport.write(letter * 5000)
                await asyncio.sleep(0)

        tasks = [loop.create_task(write(letter)) for letter in (b"a", b"b", b"c")]
        got = await receive(loop, peer, 3 * 50 * 5000)
        await asyncio.gather(*tasks)
        assert all(len(set(got[start : start + 5000])) == 1 for start in range(0, len(got), 5000))


async def test_writelines_takes_any_iterable_of_buffers(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
        transport.writelines(chunk for chunk in (b"d", b"e"))
        transport.writelines((b"f",))
        transport.writelines({b"g": 1})
        transport.writelines([b"%d" % (number % 10) for number in range(3000)])
        assert (await receive(loop, peer, 3007))[:9] == b"abcdefg01"


@pytest.mark.parametrize("wrong", [1, [1], ["text"], [b"ok", None], [b"ok", 5]], ids=repr)
async def test_writelines_of_something_else_is_a_type_error(loop, wrong):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        with pytest.raises(TypeError):
            transport.writelines(wrong)


async def test_writelines_with_an_iterator_that_raises_sends_nothing_or_the_beginning(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):

        def broken():
            yield b"beginning"
            raise LookupError("iterator")

        with pytest.raises(LookupError, match="iterator"):
            transport.writelines(broken())
        transport.write(b"|end")
        transport.close()
        assert await receive_all(loop, peer) in (b"|end", b"beginning|end")


async def test_an_iterator_of_writelines_may_act_on_the_transport(loop):  # R2
    async with transport_and_peer(loop) as (transport, protocol, peer):

        def chunks():
            yield b"a"
            transport.get_write_buffer_size()
            transport.write(b"inner")
            yield b"b"
            transport.pause_reading()
            yield b"c"

        transport.writelines(chunks())
        transport.close()
        got = await receive_all(loop, peer)
        assert sorted(got) == sorted(b"abcinner")
        assert got in (b"innerabc", b"ainnerbc")


async def test_write_after_close_is_dropped_without_an_error(loop):  # T13
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.write(b"before")
        transport.close()
        transport.write(b"after")
        assert await receive_all(loop, peer) in (b"before", b"beforeafter")
        await protocol.until("connection_lost")
        transport.write(b"long after")


async def test_writelines_after_close_is_dropped_without_an_error(loop):  # T13
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.write(b"before")
        transport.close()
        transport.writelines([b"after"])
        assert await receive_all(loop, peer) in (b"before", b"beforeafter")
        await protocol.until("connection_lost")
        transport.writelines([b"long after"])


async def test_write_after_a_lost_connection_warns_from_the_fifth_time(loop, caplog):  # T13
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.abort()
        await protocol.until("connection_lost")
        with caplog.at_level(logging.WARNING, "asyncio"):
            for _ in range(20):
                transport.write(b"x")
        assert caplog.records
        assert len(caplog.records) < 20
        assert "socket.send()" in caplog.records[0].getMessage()


async def test_write_after_the_peer_is_gone_ends_the_connection_quietly(loop):  # T13
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.pause_reading()
        peer.close()
        for _ in range(20):
            transport.write(b"x" * 1000)
            await asyncio.sleep(0.001)
        await protocol.until("connection_lost")
        assert isinstance(protocol.error, (ConnectionResetError, BrokenPipeError))


@kinds
async def test_write_leaves_without_waiting_for_the_next_turn(loop, kind):
    """A program that blocks after `write`, at the end of its callback, must not keep the bytes back for ever."""
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        transport.write(b"leaves")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert peer.recv(100) == b"leaves"


@kinds
async def test_what_was_written_is_there_a_turn_later(loop, kind):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        transport.write(b"at the end")
        await turns(1)
        assert peer.recv(100) == b"at the end"


def test_what_the_last_callback_wrote_is_sent(loop):
    """`run_until_complete` ends with bytes still in hand: they leave before it returns, as on asyncio."""
    from tests.support.recorders import Recorder
    from tests.support.streams import raw_pair

    left, right = raw_pair("tcp")
    with right:

        async def main():
            transport, _ = await loop.create_connection(Recorder, sock=left)
            transport.write(b"last callback")
            return transport

        transport = loop.run_until_complete(main())
        right.setblocking(True)
        right.settimeout(5)
        assert right.recv(100) == b"last callback"
        transport.abort()
        loop.run_until_complete(asyncio.sleep(0))


def test_what_is_written_outside_a_run_is_sent(loop):
    from tests.support.recorders import Recorder
    from tests.support.streams import raw_pair

    left, right = raw_pair("tcp")
    with right:

        async def main():
            return (await loop.create_connection(Recorder, sock=left))[0]

        transport = loop.run_until_complete(main())
        transport.write(b"between two runs")
        loop.run_until_complete(asyncio.sleep(0))
        right.setblocking(True)
        right.settimeout(5)
        assert right.recv(100) == b"between two runs"
        transport.abort()
        loop.run_until_complete(asyncio.sleep(0))


async def test_bytes_written_before_the_user_takes_the_socket_come_first(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.write(b"through the transport ")
        await turns(1)
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as raw:
            raw.send(b"through the socket")
        assert await receive(loop, peer, 40) == b"through the transport through the socket"


async def test_gigantic_writes_are_taken_in_pieces(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        data = os.urandom(1 << 20) * 40
        transport.write(data)
        got = await receive(loop, peer, len(data))
        assert got == data
        await turns(2)
        assert transport.get_write_buffer_size() == 0

"""asyncio's streams over our transports: read, readline, readexactly, readuntil, drain. # T8"""

import asyncio
import contextlib
import os

import pytest

from tests.support.streams import raw_pair, receive, receive_all, turns


@contextlib.asynccontextmanager
async def streams(**options):
    left, right = raw_pair("tcp")
    with right:
        reader, writer = await asyncio.open_connection(sock=left, **options)
        try:
            yield reader, writer, right
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def test_read_some(loop):
    async with streams() as (reader, writer, peer):
        peer.send(b"hello")
        assert await reader.read(100) == b"hello"
        peer.send(b"hello")
        assert await reader.read(2) == b"he"
        assert await reader.read(100) == b"llo"
        assert await reader.read(0) == b""


async def test_read_all(loop):
    async with streams() as (reader, writer, peer):
        data = os.urandom(300_000)
        sending = loop.create_task(loop.sock_sendall(peer, data))
        reading = loop.create_task(reader.read())
        await sending
        peer.close()
        assert await reading == data
        assert reader.at_eof()
        assert await reader.read() == b""


async def test_readexactly(loop):
    async with streams() as (reader, writer, peer):
        task = loop.create_task(reader.readexactly(10))
        for _ in range(5):
            peer.send(b"ab")
            await turns(2)
        assert await task == b"ababababab"
        peer.send(b"short")
        peer.close()
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await reader.readexactly(10)
        assert caught.value.partial == b"short"


async def test_readline_and_readuntil(loop):
    async with streams() as (reader, writer, peer):
        peer.send(b"one\ntwo\r\nthree|rest")
        assert await reader.readline() == b"one\n"
        assert await reader.readuntil(b"\r\n") == b"two\r\n"
        assert await reader.readuntil(b"|") == b"three|"
        peer.close()
        assert await reader.readline() == b"rest"
        assert await reader.readline() == b""


async def test_iterating_over_lines(loop):
    async with streams() as (reader, writer, peer):
        peer.send(b"1\n2\n3\n")
        peer.close()
        assert [line async for line in reader] == [b"1\n", b"2\n", b"3\n"]


async def test_a_line_over_the_limit(loop):
    async with streams(limit=100) as (reader, writer, peer):
        peer.send(b"x" * 150 + b"\nshort\n")
        await turns(3)
        with pytest.raises(ValueError):
            await reader.readline()
        assert await reader.readline() == b"short\n"


async def test_two_readers_of_one_stream_are_refused(loop):  # G12
    async with streams() as (reader, writer, peer):
        first = loop.create_task(reader.read(10))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await reader.read(10)
        peer.send(b"x")
        assert await first == b"x"


async def test_the_reader_holds_back_a_fast_sender(loop):  # G17
    async with streams(limit=1000) as (reader, writer, peer):
        sending = loop.create_task(loop.sock_sendall(peer, bytes(50_000_000)))
        await asyncio.sleep(0.05)
        assert not sending.done()
        assert len(reader._buffer) < 3_000_000
        total = 0
        while total < 50_000_000:
            total += len(await reader.read(1 << 20))
        await sending


async def test_drain_after_the_connection_was_lost(loop):
    async with streams() as (reader, writer, peer):
        peer.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
        peer.close()
        with pytest.raises(ConnectionError):
            for _ in range(100):
                writer.write(bytes(1000))
                await writer.drain()
                await asyncio.sleep(0.001)


async def test_cancelled_reads_lose_nothing(loop):  # R5
    async with streams() as (reader, writer, peer):
        for number in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await reader.readexactly(2)
            peer.send(b"%02d" % number)
            assert await reader.readexactly(2) == b"%02d" % number


async def test_write_drain_and_close(loop):
    async with streams() as (reader, writer, peer):
        data = os.urandom(5_000_000)
        receiving = loop.create_task(receive_all(loop, peer))
        writer.write(data[:1000])
        writer.writelines([data[1000:2000], data[2000:]])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert await receiving == data


async def test_write_eof(loop):
    async with streams() as (reader, writer, peer):
        assert writer.can_write_eof()
        writer.write(b"all")
        writer.write_eof()
        assert await receive_all(loop, peer) == b"all"
        peer.send(b"answer")
        peer.close()
        assert await reader.read() == b"answer"


async def test_an_echo_server_of_streams(loop):
    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for number in range(100):
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.005)


async def test_an_exception_in_a_stream_handler_is_reported(loop, reported):  # R8
    async def broken(reader, writer):
        try:
            raise LookupError("handler")
        finally:
            writer.close()

    async with await asyncio.start_server(broken, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    while not reported:
        await asyncio.sleep(0.001)
    assert str(reported.pop()["exception"]) == "handler"


async def test_pipelined_frames(loop):
    """Four-byte length, then the frame, thousands in one go."""
    async with streams() as (reader, writer, peer):
        frames = [os.urandom(number % 300) for number in range(2000)]
        data = b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)
        sending = loop.create_task(loop.sock_sendall(peer, data))
        for frame in frames:
            size = int.from_bytes(await reader.readexactly(4), "big")
            assert await reader.readexactly(size) == frame
        await sending


async def test_a_subclass_of_the_reader_is_obeyed(loop):
    class Counting(asyncio.StreamReader):
        fed = 0

        def feed_data(self, data):
            self.fed += len(data)
            super().feed_data(data)

    left, right = raw_pair("tcp")
    with right:
        reader = Counting(loop=loop)
        transport, _ = await loop.create_connection(lambda: asyncio.StreamReaderProtocol(reader, loop=loop), sock=left)
        right.send(b"counted")
        assert await reader.readexactly(7) == b"counted"
        assert reader.fed == 7
        transport.abort()
        await turns(2)


async def test_open_unix_connection(loop, tmp_path):
    async def greet(reader, writer):
        writer.write(b"hello\n")
        writer.close()

    path = str(tmp_path / "socket")
    async with await asyncio.start_unix_server(greet, path):
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b"hello\n"
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.005)


async def test_both_directions_at_once_through_streams(loop):
    async with streams() as (reader, writer, peer):
        data = os.urandom(3_000_000)

        async def send():
            for start in range(0, len(data), 10_000):
                writer.write(data[start : start + 10_000])
                await writer.drain()

        results = await asyncio.gather(
            send(), receive(loop, peer, len(data)), loop.sock_sendall(peer, data), reader.readexactly(len(data))
        )
        assert results[1] == data
        assert results[3] == data

"""`tulipa.join`: one transport of two halves, whoever made them. # G7 # G8 # G17 # P7"""

import asyncio
import gc
import os
import weakref

import pytest

import tulipa
from tests.support.certificates import NAME, client_context, server_context
from tests.support.descriptors import pipe_files, socket_pair
from tests.support.joined import Half, halves, joined_pipes, two_joined
from tests.support.memory_transport import memory_pair
from tests.support.recorders import BufferedRecorder, Recorder
from tests.support.streams import turns

# -- a life -------------------------------------------------------------------------------------


async def test_bytes_go_both_ways_and_callbacks_come_in_order(loop):
    async with joined_pipes(loop) as (transport, protocol, feed, sink):
        assert isinstance(transport, asyncio.Transport)
        assert transport.get_protocol() is protocol
        assert protocol.transport is transport
        feed.write(b"in")
        await protocol.until_data(2)
        transport.write(b"o")
        transport.writelines([b"u", bytearray(b"t")])
        transport.close()
        assert transport.is_closing()
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "data_received", "connection_lost"]
        assert protocol.error is None
        assert sink.read() == b"out"


async def test_a_buffered_protocol_is_served(loop):
    async with joined_pipes(loop, BufferedRecorder) as (_transport, protocol, feed, _sink):
        feed.write(bytes(range(200)))
        await protocol.until_data(200)
        assert protocol.data == bytes(range(200))


async def test_what_a_stream_reader_has_read_too_far_is_delivered_first(loop):
    with pipe_files() as (reading, feed), pipe_files() as (_sink, writing):
        stream = asyncio.StreamReader()
        reader, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), reading)
        feed.write(b"line\ntoo far")
        assert await stream.readline() == b"line\n"
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, writing)
        protocol = Recorder()
        transport = tulipa.join(reader, writer, protocol)
        feed.write(b" and more")
        await protocol.until_data(16)
        assert protocol.data == b"too far and more"
        transport.close()
        await protocol.until("connection_lost")


async def test_the_protocol_can_be_changed_to_one_of_another_kind(loop):
    async with joined_pipes(loop) as (transport, protocol, feed, _sink):
        feed.write(b"one")
        await protocol.until_data(3)
        for other in (BufferedRecorder(), Recorder()):
            transport.set_protocol(other)
            feed.write(b"other")
            await other.until_data(5)
        assert protocol.data == b"one"
        transport.close()
        await other.until("connection_lost")
        assert "connection_lost" not in protocol.events


async def test_nothing_is_read_without_a_protocol(loop):
    with pipe_files() as (reading, feed), pipe_files() as (_sink, writing):
        transport = tulipa.join(*await halves(loop, reading, writing))
        feed.write(b"early")
        await turns(5)
        protocol = Recorder()
        transport.set_protocol(protocol)
        await protocol.until_data(5)
        transport.close()
        await protocol.until("connection_lost")


async def test_streams_work_over_it(loop):
    with pipe_files() as (reading, feed), pipe_files() as (sink, writing):
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = tulipa.join(*await halves(loop, reading, writing), protocol)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        feed.write(b"question\n")
        assert await reader.readline() == b"question\n"
        feed.close()
        assert await reader.read() == b""
        writer.write(b"answer after the end of the input")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert sink.read() == b"answer after the end of the input"


# -- flow control -------------------------------------------------------------------------------


async def test_reading_can_be_paused(loop):  # G17
    async with joined_pipes(loop) as (transport, protocol, feed, _sink):
        assert transport.is_reading()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        feed.write(b"while paused")
        feed.close()
        await turns(5)
        assert protocol.events == ["connection_made"]
        transport.resume_reading()
        transport.resume_reading()
        await protocol.until("connection_lost")
        assert protocol.data == b"while paused"


async def test_reading_can_be_paused_by_the_protocol_between_two_pieces_read_ahead(loop):
    with pipe_files() as (reading, feed), pipe_files() as (_sink, writing):
        protocol = Recorder()

        def pausing(data):
            Recorder.data_received(protocol, data)
            protocol.transport.pause_reading()

        protocol.data_received = pausing
        transport = tulipa.JoinedTransport(loop, *await halves(loop, reading, writing), protocol, read_ahead=b"first")
        feed.write(b"second")
        await protocol.until_data(5)
        await turns(3)
        assert protocol.data == b"first"
        transport.resume_reading()
        await protocol.until_data(11)
        transport.close()
        await protocol.until("connection_lost")


async def test_writing_pauses_and_resumes_the_protocol(loop):  # G17
    async with joined_pipes(loop) as (transport, protocol, _feed, sink):
        transport.set_write_buffer_limits(high=1000)
        assert transport.get_write_buffer_limits() == (250, 1000)
        transport.write(bytes(500_000))
        assert protocol.events[-1] == "pause_writing"
        assert transport.get_write_buffer_size() > 1000
        await loop.run_in_executor(None, lambda: [os.read(sink.fileno(), 1 << 16) for _ in range(6)])
        total = 0
        while "resume_writing" not in protocol.events:
            total += len(await loop.run_in_executor(None, os.read, sink.fileno(), 1 << 16))
            await turns(2)
        assert transport.get_write_buffer_size() <= 250


async def test_a_half_that_cannot_pause_says_so(loop):
    reader, writer = Half(), Half()
    protocol = Recorder()
    transport = tulipa.join(reader, writer, protocol)
    await turns(2)
    with pytest.raises(NotImplementedError, match="cannot pause"):
        transport.pause_reading()
    reader.protocol.data_received(b"goes on")
    assert protocol.data == b"goes on"
    for half in (reader, writer):
        half.protocol.connection_lost(None)
    await turns(2)


# -- anybody's transports -----------------------------------------------------------------------


async def test_a_writer_with_write_and_close_alone_is_enough(loop):
    class Sink:
        def __init__(self):
            self.data = b""
            self.closed = 0

        def write(self, data):
            self.data += data

        def close(self):
            self.closed += 1

    sink = Sink()
    with pipe_files() as (reading, feed):
        reader, _ = await loop.connect_read_pipe(asyncio.Protocol, reading)
        protocol = Recorder()
        transport = tulipa.join(reader, sink, protocol)
        assert not transport.can_write_eof()
        with pytest.raises(NotImplementedError):
            transport.write_eof()
        transport.writelines([b"a", b"b"])
        assert transport.get_write_buffer_size() == 0
        feed.close()
        await protocol.until("connection_lost")
        assert (sink.data, sink.closed) == (b"ab", 1)


async def test_one_direction_of_a_socket_is_a_half(loop):
    with socket_pair() as (left, right), socket_pair() as (third, fourth):
        reader, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        writer, _ = await loop.create_connection(asyncio.Protocol, sock=third)
        protocol = Recorder()
        transport = tulipa.join(reader, writer, protocol)
        right.send(b"in")
        await protocol.until_data(2)
        transport.write(b"out")
        transport.write_eof()
        assert await loop.sock_recv(fourth, 10) == b"out"
        assert await loop.sock_recv(fourth, 10) == b""
        right.send(b"more")
        await protocol.until_data(6)
        transport.close()
        await protocol.until("connection_lost")


async def test_joined_transports_can_be_joined(loop):
    client, server = Recorder(), Recorder()
    async with two_joined(loop, client, server) as (one, other):
        with pipe_files() as (_sink, writing):
            writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, writing)
            protocol = Recorder()
            outer = tulipa.join(one, writer, protocol)
            other.write(b"through two")
            await protocol.until_data(11)
            outer.close()
            await protocol.until("connection_lost")
            await server.until("connection_lost")


@pytest.mark.only_tulipa
async def test_tls_over_two_pipes(loop):  # G8
    client, server = Recorder(), Recorder()
    async with two_joined(loop, client, server) as (one, other):
        secure, accepted = await asyncio.gather(
            loop.start_tls(one, client, client_context(), server_hostname=NAME),
            loop.start_tls(other, server, server_context(), server_side=True),
        )
        large = os.urandom(1_000_000)
        secure.write(large)
        accepted.write(large)
        await server.until_data(len(large))
        await client.until_data(len(large))
        assert client.data == server.data == large
        accepted.write(b"last words")
        accepted.close()
        await client.until("connection_lost")
        await server.until("connection_lost")
        assert client.data[-10:] == b"last words"
        assert one.is_closing() and other.is_closing()
        await turns(4)


@pytest.mark.only_tulipa
async def test_tls_by_the_streams_start_tls(loop):  # G8
    served = loop.create_future()

    async def serve(reader, writer):
        await writer.start_tls(server_context())
        writer.write((await reader.readline()).upper())
        writer.close()
        await writer.wait_closed()
        served.set_result(None)

    with pipe_files() as (one, other), pipe_files() as (third, fourth):
        answering = asyncio.StreamReaderProtocol(asyncio.StreamReader(), serve)
        tulipa.join(*await halves(loop, third, other), answering)
        reader = asyncio.StreamReader()
        asking = asyncio.StreamReaderProtocol(reader)
        writer = asyncio.StreamWriter(tulipa.join(*await halves(loop, one, fourth), asking), asking, reader, loop)
        await writer.start_tls(client_context(), server_hostname=NAME)
        writer.write(b"question\n")
        assert await reader.readline() == b"QUESTION\n"
        writer.close()
        await writer.wait_closed()
        await served
        await turns(4)


@pytest.mark.only_tulipa
async def test_tls_over_halves_of_the_users(loop):  # G8
    """Four ends in memory, of a class that knows nothing of tulipa, are two connections, and TLS runs over them."""
    ends = [Recorder() for _ in range(4)]
    to_server, at_server = memory_pair(loop, ends[0], ends[1])
    to_client, at_client = memory_pair(loop, ends[2], ends[3])
    client, server = Recorder(), Recorder()
    one = tulipa.join(at_client, to_server, client)
    other = tulipa.join(at_server, to_client, server)
    secure, accepted = await asyncio.gather(
        loop.start_tls(one, client, client_context(), server_hostname=NAME),
        loop.start_tls(other, server, server_context(), server_side=True),
    )
    secure.write(b"x" * 300_000)
    await server.until_data(300_000)
    accepted.close()
    await client.until("connection_lost")
    await server.until("connection_lost")
    await turns(10)


@pytest.mark.only_tulipa
async def test_a_file_is_sent_over_it(loop, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 1000)
    async with joined_pipes(loop) as (transport, _protocol, _feed, sink):
        with path.open("rb") as file:
            sending = loop.create_task(loop.sendfile(transport, file))
            received = b""
            while len(received) < 256_000:
                received += await loop.run_in_executor(None, os.read, sink.fileno(), 1 << 16)
            assert await sending == 256_000
        assert received == path.read_bytes()


# -- what is refused ----------------------------------------------------------------------------


async def test_what_is_no_transport_is_refused(loop):
    with pipe_files() as (_sink, writing):
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, writing)
        for wrong in (None, object(), "transport"):
            with pytest.raises(TypeError, match="set_protocol"):
                tulipa.join(wrong, writer)
        with pytest.raises(TypeError, match="no write"):
            tulipa.join(writer, object())
        with pytest.raises(ValueError, match="both halves"):
            tulipa.join(writer, writer)
        writer.close()
        with pytest.raises(RuntimeError, match="is closing"):
            tulipa.join(Half(), writer)
        await turns(2)


async def test_datagrams_are_refused(loop):
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    with pytest.raises(TypeError):
        tulipa.join(transport, Half())
    transport.close()
    await turns(2)


# A reading pipe of asyncio's lets what a protocol raises pass, and goes on.
@pytest.mark.only_tulipa
async def test_what_a_protocol_raises_is_reported_and_ends_the_transport(loop, reported):  # R8
    for method in ("data_received", "eof_received"):

        def broken(self, *args, method=method):
            raise LookupError(method)

        kind = type("Broken", (Recorder,), {method: broken})
        async with joined_pipes(loop, kind) as (_transport, protocol, feed, _sink):
            feed.write(b"x")
            feed.close()
            await protocol.until("connection_lost")
            assert isinstance(protocol.error, LookupError)
            assert str(reported[0]["exception"]) == method
            reported.clear()


async def test_writing_after_the_end_is_dropped_with_a_warning(loop, caplog):
    async with joined_pipes(loop) as (transport, protocol, _feed, _sink):
        transport.close()
        for _ in range(6):
            transport.write(b"late")
        assert "what is written is dropped" in caplog.text
        await protocol.until("connection_lost")


async def test_a_joined_transport_is_collected(loop):  # R9
    references = []
    for _ in range(3):
        async with joined_pipes(loop) as (transport, protocol, _feed, _sink):
            references += [weakref.ref(transport), weakref.ref(protocol)]
            transport.close()
            await protocol.until("connection_lost")
            await turns(3)
        del transport, protocol
    await turns(2)
    gc.collect()
    assert [reference() for reference in references] == [None] * 6

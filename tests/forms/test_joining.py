"""`tulipa.join`: one transport of two halves, whoever made them. # G7 # G8 # G17 # P7"""

import asyncio
import contextlib
import gc
import os
import weakref

import pytest

import tulipa
from tests.support.certificates import NAME, client_context, server_context
from tests.support.descriptors import pipe_files, socket_pair
from tests.support.memory_transport import memory_pair
from tests.support.recorders import BufferedRecorder, Recorder
from tests.support.streams import turns


async def halves(loop, reading, writing):
    """Two pipe transports, the first of which reads nothing yet."""
    reader, _ = await loop.connect_read_pipe(asyncio.Protocol, reading)
    reader.pause_reading()
    writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, writing)
    return reader, writer


@contextlib.asynccontextmanager
async def joined_pipes(loop, factory=Recorder):
    """A joined transport with its protocol, and the two far ends: where it reads from and where it writes to."""
    with pipe_files() as (reading, feed), pipe_files() as (sink, writing):
        protocol = factory()
        transport = tulipa.join(*await halves(loop, reading, writing), protocol)
        await turns(2)
        try:
            yield transport, protocol, feed, sink
        finally:
            transport.abort()
            await turns(6)


@contextlib.asynccontextmanager
async def two_joined(loop, *protocols):
    """Two joined transports that talk to each other over two pipes."""
    with pipe_files() as (one, other), pipe_files() as (third, fourth):
        made = [
            tulipa.join(*await halves(loop, one, fourth), protocols[0]),
            tulipa.join(*await halves(loop, third, other), protocols[1]),
        ]
        await turns(2)
        try:
            yield made
        finally:
            for transport in made:
                transport.abort()
            await turns(6)


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


# -- ends ---------------------------------------------------------------------------------------


async def test_the_end_of_the_input_closes_it_unless_the_protocol_says_otherwise(loop):
    async with joined_pipes(loop) as (transport, protocol, feed, sink):
        feed.write(b"last")
        feed.close()
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
        assert transport.is_closing()
        assert sink.read() == b""
    async with joined_pipes(loop) as (transport, protocol, feed, sink):
        protocol.keep_open_at_eof = True
        feed.close()
        await protocol.until("eof_received")
        await turns(5)
        assert not transport.is_closing()
        transport.write(b"still")
        transport.close()
        await protocol.until("connection_lost")
        assert protocol.events.count("eof_received") == 1
        assert sink.read() == b"still"


async def test_the_output_can_end_alone(loop):  # P7
    async with joined_pipes(loop) as (transport, protocol, feed, sink):
        assert transport.can_write_eof()
        transport.write(b"all")
        transport.write_eof()
        transport.write_eof()
        assert await loop.run_in_executor(None, sink.read) == b"all"
        with pytest.raises(RuntimeError, match="after write_eof"):
            transport.write(b"more")
        feed.write(b"still read")
        await protocol.until_data(10)
        assert not transport.is_closing()
        feed.close()
        await protocol.until("connection_lost")
        assert protocol.error is None


# asyncio's writing pipe breaks when it is aborted after it was closed.
@pytest.mark.only_tulipa
async def test_closing_twice_and_aborting_after_closing_are_allowed(loop):
    async with joined_pipes(loop) as (transport, protocol, _feed, _sink):
        transport.close()
        transport.close()
        transport.abort()
        await protocol.until("connection_lost")
        transport.close()
        transport.abort()
        transport.pause_reading()
        transport.resume_reading()
        await turns(5)
        assert protocol.events.count("connection_lost") == 1


async def test_closing_writes_what_is_left_and_aborting_does_not(loop):
    for end, complete in (("close", True), ("abort", False)):
        async with joined_pipes(loop) as (transport, protocol, _feed, sink):
            transport.write(bytes(1_000_000))
            await turns(3)
            getattr(transport, end)()
            received = await loop.run_in_executor(None, sink.read)
            await protocol.until("connection_lost")
            assert (len(received) == 1_000_000) is complete
            assert protocol.error is None


async def test_closing_the_reading_half_is_the_end_of_the_input(loop):
    with pipe_files() as (reading, _feed), pipe_files() as (_sink, writing):
        reader, writer = await halves(loop, reading, writing)
        protocol = Recorder()
        tulipa.join(reader, writer, protocol)
        await turns(3)
        reader.close()
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "eof_received", "connection_lost"]
        assert writer.is_closing()


async def test_closing_the_writing_half_leaves_the_input(loop):
    with pipe_files() as (reading, feed), pipe_files() as (_sink, writing):
        reader, writer = await halves(loop, reading, writing)
        protocol = Recorder()
        transport = tulipa.join(reader, writer, protocol)
        await turns(3)
        writer.close()
        feed.write(b"still read")
        await protocol.until_data(10)
        transport.write(b"to nobody")
        await protocol.until("connection_lost")
        assert isinstance(protocol.error, BrokenPipeError)
        assert reader.is_closing()


async def test_an_output_that_nobody_reads_leaves_the_input_until_something_is_written(loop):
    async with joined_pipes(loop) as (transport, protocol, feed, sink):
        sink.close()
        feed.write(b"still read")
        await protocol.until_data(10)
        transport.write(b"to nobody")
        await protocol.until("connection_lost")
        assert isinstance(protocol.error, BrokenPipeError)
        assert protocol.events.count("connection_lost") == 1


class Half(asyncio.Transport):
    """A half that a test moves by hand, with the fewest methods that will do."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.protocol = None

    def set_protocol(self, protocol):
        self.protocol = protocol

    def is_closing(self):
        return False

    def write(self, data):
        self.calls.append(("write", data))

    def close(self):
        self.calls.append("close")

    def abort(self):
        self.calls.append("abort")


@pytest.mark.parametrize("broken", ["reader", "writer"])
async def test_an_error_of_one_half_aborts_the_other(loop, broken):
    reader, writer = Half(), Half()
    protocol = Recorder()
    transport = tulipa.join(reader, writer, protocol)
    await turns(2)
    failed, other = (reader, writer) if broken == "reader" else (writer, reader)
    failed.protocol.connection_lost(OSError("broken"))
    assert other.calls == ["abort"]
    assert transport.is_closing()
    await turns(2)
    assert "connection_lost" not in protocol.events, "the other half is still there"
    other.protocol.connection_lost(None)
    await turns(2)
    assert str(protocol.error) == "broken"
    assert protocol.events == ["connection_made", "connection_lost"]


async def test_the_first_of_two_errors_is_told(loop):
    reader, writer = Half(), Half()
    protocol = Recorder()
    tulipa.join(reader, writer, protocol)
    await turns(2)
    writer.protocol.connection_lost(OSError("first"))
    reader.protocol.connection_lost(OSError("second"))
    await turns(2)
    assert str(protocol.error) == "first"


async def test_data_and_the_end_before_connection_made_wait_for_it(loop):
    reader, writer = Half(), Half()
    protocol = Recorder()
    tulipa.join(reader, writer, protocol)
    reader.protocol.data_received(b"early")
    reader.protocol.eof_received()
    assert protocol.events == []
    await turns(2)
    assert protocol.events == ["connection_made", "data_received", "eof_received"]
    for half in (reader, writer):
        half.protocol.connection_lost(None)
    await turns(2)


async def test_a_half_that_closes_itself_without_eof_has_ended(loop):
    reader, writer = Half(), Half()
    protocol = Recorder()
    tulipa.join(reader, writer, protocol)
    await turns(2)
    reader.protocol.connection_lost(None)
    assert protocol.events == ["connection_made", "eof_received"]
    assert writer.calls == ["close"]
    writer.protocol.connection_lost(None)
    await turns(2)
    assert protocol.events[-1] == "connection_lost"


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

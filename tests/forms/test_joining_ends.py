"""How a joined transport ends, and each half of it. # G7 # P7 # R8"""

import pytest

import tulipa
from tests.support.descriptors import pipe_files
from tests.support.joined import Half, halves, joined_pipes
from tests.support.recorders import Recorder
from tests.support.streams import turns


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

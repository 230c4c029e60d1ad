"""`connect_write_pipe` on pipes, FIFOs, sockets and terminals. # P3 # P7 # T25"""

import asyncio
import os
import pty
import socket
import subprocess
import sys
import tty

import pytest

from tests.support.descriptors import pipe_files
from tests.support.recorders import Recorder

pytestmark = pytest.mark.all_drivers


async def read_exactly(loop, reader, count):
    """Read in a thread, so that the loop's own side is free."""

    def read():
        got = bytearray()
        while len(got) < count:
            data = os.read(reader.fileno(), count - len(got))
            if not data:
                break
            got += data
        return bytes(got)

    return await loop.run_in_executor(None, read)


async def test_bytes_arrive_and_close_ends_the_stream(loop):
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.write(b"hello ")
        transport.write(b"world")
        transport.close()
        await protocol.until("connection_lost")
        assert reader.read() == b"hello world"
        assert protocol.events == ["connection_made", "connection_lost"]
        assert protocol.error is None


async def test_the_transport_is_a_write_transport(loop):  # T2 T4
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        assert isinstance(transport, asyncio.WriteTransport)
        assert transport.get_extra_info("pipe") is writer
        assert transport.get_protocol() is protocol
        assert transport.can_write_eof()
        assert transport.get_write_buffer_size() == 0
        assert str(writer.fileno()) in repr(transport)
        transport.abort()
        await protocol.until("connection_lost")


async def test_the_writing_end_has_no_reading_to_pause(loop):
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        for method in (transport.pause_reading, transport.resume_reading, transport.is_reading):
            with pytest.raises(NotImplementedError):
                method()
        assert "reading" not in repr(transport)
        transport.close()
        await protocol.until("connection_lost")


async def test_write_eof_sends_what_is_left_and_closes(loop):  # P7
    data = bytes(500_000)
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.write(data)
        transport.write_eof()
        assert await read_exactly(loop, reader, len(data) + 1) == data
        await protocol.until("connection_lost")


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview], ids=["bytes", "bytearray", "memoryview"])
async def test_any_buffer_can_be_written(loop, make):
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.write(make(b"buffer"))
        assert await read_exactly(loop, reader, 6) == b"buffer"
        transport.write(b"")
        transport.close()
        await protocol.until("connection_lost")


async def test_a_buffer_changed_after_write_is_sent_as_it_was(loop):  # T14
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        data = bytearray(b"a" * 300_000)
        transport.write(data)
        data[:] = b"b" * 300_000
        assert await read_exactly(loop, reader, 300_000) == b"a" * 300_000
        transport.close()
        await protocol.until("connection_lost")


async def test_writelines(loop):
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.writelines([b"one ", bytearray(b"two "), memoryview(b"three")])
        assert await read_exactly(loop, reader, 13) == b"one two three"
        transport.close()
        await protocol.until("connection_lost")


@pytest.mark.parametrize("wrong", ["text", None, 1, object()], ids=["text", "None", "number", "object"])
async def test_what_is_no_buffer_is_refused(loop, wrong):
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        with pytest.raises((TypeError, AssertionError)):
            transport.write(wrong)
        transport.close()
        await protocol.until("connection_lost")


async def test_writing_is_paused_and_resumed_at_the_marks(loop):  # G17 T15
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.set_write_buffer_limits(high=100_000, low=20_000)
        transport.write(bytes(1_000_000))
        assert protocol.events == ["connection_made", "pause_writing"]
        assert transport.get_write_buffer_size() > 100_000
        await read_exactly(loop, reader, 990_000)
        await protocol.until("resume_writing")
        assert transport.get_write_buffer_size() <= 20_000
        transport.abort()
        await protocol.until("connection_lost")


async def test_abort_drops_what_is_left(loop):
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.write(bytes(1_000_000))
        transport.abort()
        await protocol.until("connection_lost")
        assert protocol.error is None
        assert len(reader.read()) < 1_000_000


async def test_close_with_much_left_sends_it_all(loop):
    data = os.urandom(1_000_000)
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.write(data)
        transport.close()
        assert transport.is_closing()
        assert await read_exactly(loop, reader, len(data) + 1) == data
        await protocol.until("connection_lost")


async def test_a_reader_that_goes_away_ends_an_idle_writer(loop):
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        await asyncio.sleep(0)
        reader.close()
        await protocol.until("connection_lost")
        assert transport.is_closing()


async def test_a_reader_that_goes_away_ends_a_writer_with_an_error(loop):
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.write(bytes(1_000_000))
        reader.close()
        await protocol.until("connection_lost")
        assert isinstance(protocol.error, BrokenPipeError)


async def test_write_after_close_with_bytes_left_is_dropped(loop):  # T13
    """What was written before goes out, and nothing else."""
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.write(bytes(100_000))
        transport.close()
        transport.write(b"late")
        assert transport.get_write_buffer_size() < 100_000
        assert await read_exactly(loop, reader, 100_004) == bytes(100_000)
        await protocol.until("connection_lost")


async def test_write_after_close_is_dropped(loop, reported):  # T13
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.close()
        for _ in range(10):
            transport.write(b"dropped")
        await protocol.until("connection_lost")
        transport.write(b"dropped")
        assert reader.read() == b""


async def test_a_named_pipe(loop, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    read_end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(read_end, "rb", 0) as reader:
        transport, protocol = await loop.connect_write_pipe(Recorder, open(path, "wb", 0))
        transport.write(b"through the fifo")
        transport.close()
        await protocol.until("connection_lost")
        os.set_blocking(read_end, True)
        assert reader.read() == b"through the fifo"


async def test_a_socket(loop):
    left, right = socket.socketpair()
    with right:
        transport, protocol = await loop.connect_write_pipe(Recorder, left)
        data = os.urandom(1_000_000)
        transport.write(data)
        right.setblocking(False)
        got = bytearray()
        while len(got) < len(data):
            got += await loop.sock_recv(right, 1 << 16)
        assert got == data
        transport.close()
        await protocol.until("connection_lost")


async def test_a_terminal(loop):
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        transport, protocol = await loop.connect_write_pipe(Recorder, os.fdopen(slave, "wb", 0))
        transport.write(b"shown")
        assert await loop.run_in_executor(None, os.read, master, 100) == b"shown"
        transport.close()
        await protocol.until("connection_lost")
    finally:
        os.close(master)


async def test_it_closes_the_file_object_once(loop, reported):  # T25
    with pipe_files() as (reader, writer):
        closed = []

        class Watched:
            def fileno(self):
                return writer.fileno()

            def close(self):
                closed.append(True)
                writer.close()

        transport, protocol = await loop.connect_write_pipe(Recorder, Watched())
        transport.close()
        transport.abort()
        await protocol.until("connection_lost")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert closed == [True]
        assert protocol.events.count("connection_lost") == 1
        assert not reported


@pytest.mark.parametrize("action", ["close", "abort", "write", "get_write_buffer_size"])
async def test_pause_writing_may_act_on_the_transport(loop, reported, action):  # R3 R2
    class Acting(Recorder):
        def pause_writing(self):
            super().pause_writing()
            if len(self.events) < 5:
                arguments = (b"more",) if action == "write" else ()
                getattr(self.transport, action)(*arguments)

    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Acting, writer)
        transport.write(bytes(1_000_000))
        assert "pause_writing" in protocol.events
        transport.abort()
        await protocol.until("connection_lost")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert protocol.events.count("connection_lost") == 1
        assert not reported


async def test_a_stream_writer_over_a_pipe(loop):
    with pipe_files() as (reader, file):
        transport, protocol = await loop.connect_write_pipe(lambda: asyncio.streams.FlowControlMixin(loop=loop), file)
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        data = os.urandom(300_000)
        reading = loop.create_task(read_exactly(loop, reader, len(data)))
        writer.write(data)
        await writer.drain()
        assert await reading == data
        transport.close()
        await asyncio.sleep(0.001)


async def test_a_child_reads_what_is_written(loop):
    program = "import sys, hashlib; print(hashlib.md5(sys.stdin.buffer.read()).hexdigest())"
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    import hashlib

    data = os.urandom(3_000_000)
    transport, protocol = await loop.connect_write_pipe(Recorder, child.stdin)
    transport.write(data)
    transport.write_eof()
    await protocol.until("connection_lost")
    assert (await loop.run_in_executor(None, child.stdout.read)).decode().strip() == hashlib.md5(data).hexdigest()
    child.stdout.close()
    child.wait()


@pytest.mark.parametrize("steps", range(4))
async def test_cancelling_the_connection_leaves_nothing_behind(loop, steps):  # R5
    with pipe_files() as (reader, writer):
        task = loop.create_task(loop.connect_write_pipe(Recorder, writer))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            transport, protocol = await task
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
        else:
            transport.close()
            await protocol.until("connection_lost")


async def test_both_ends_of_a_pipe_on_one_loop(loop):
    with pipe_files() as (reader, writer):
        read_transport, received = await loop.connect_read_pipe(Recorder, reader)
        write_transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        data = os.urandom(2_000_000)
        write_transport.write(data)
        await received.until_data(len(data))
        assert received.data == data
        write_transport.close()
        await received.until("connection_lost")
        await protocol.until("connection_lost")
        assert received.events[-2:] == ["eof_received", "connection_lost"]

"""`connect_read_pipe` on pipes, FIFOs, sockets and terminals. # P1 # P3 # T25 # T36"""

import asyncio
import gc
import os
import pty
import socket
import subprocess
import sys
import tty
import warnings
import weakref

import pytest

from tests.support.descriptors import pipe_files
from tests.support.recorders import Recorder

pytestmark = pytest.mark.all_drivers


async def ended(transport, protocol):
    transport.close()
    await protocol.until("connection_lost")


async def test_callbacks_come_in_order(loop):  # P3
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        assert protocol.events == ["connection_made"]
        writer.write(b"hello")
        await protocol.until_data(5)
        writer.close()
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
        assert protocol.data == b"hello"
        assert protocol.error is None


async def test_the_transport_is_a_read_transport(loop):  # T2 T4
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        assert isinstance(transport, asyncio.ReadTransport)
        assert transport.get_extra_info("pipe") is reader
        assert transport.get_protocol() is protocol
        assert transport.is_reading()
        assert not transport.is_closing()
        assert str(reader.fileno()) in repr(transport)
        await ended(transport, protocol)
        assert transport.is_closing()


async def test_the_reading_end_takes_nothing_to_write(loop):  # R8
    with pipe_files() as (reader, _writer):
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        for name in ("write", "writelines", "write_eof"):
            assert not hasattr(transport, name)
        await ended(transport, protocol)


async def test_every_chunk_arrives_when_it_was_written(loop):  # P1
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        for number in range(1, 50):
            writer.write(b"%02d" % number)
            await protocol.until_data(2 * number)
        assert protocol.data == b"".join(b"%02d" % number for number in range(1, 50))
        await ended(transport, protocol)


async def test_data_left_in_the_pipe_arrives_after_the_writer_is_gone(loop):
    with pipe_files() as (reader, writer):
        writer.write(bytes(60_000))
        writer.close()
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        await protocol.until("connection_lost")
        assert len(protocol.data) == 60_000


async def test_several_processes_write_to_one_pipe(loop):  # P2
    """Writes of up to PIPE_BUF bytes stay whole."""
    program = "import os\nfor n in range(200): os.write(1, (os.environ['NAME'] * 99 + '\\n').encode())"
    with pipe_files() as (reader, writer):
        children = [
            subprocess.Popen([sys.executable, "-S", "-c", program], stdout=writer, env={**os.environ, "NAME": name})
            for name in "abcd"
        ]
        writer.close()
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        await protocol.until("connection_lost")
        for child in children:
            child.wait()
        lines = protocol.data.decode().split()
        assert sorted(lines) == sorted([name * 99 for name in "abcd"] * 200)


async def test_reading_can_be_paused_and_resumed(loop):  # G17
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        transport.pause_reading()
        assert not transport.is_reading()
        writer.write(b"while paused")
        for _ in range(5):
            await asyncio.sleep(0)
        assert protocol.data == b""
        transport.resume_reading()
        await protocol.until_data(12)
        transport.pause_reading()
        transport.pause_reading()
        transport.resume_reading()
        transport.resume_reading()
        writer.write(b"!")
        await protocol.until_data(13)
        await ended(transport, protocol)


async def test_the_end_is_not_seen_while_paused(loop):
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        transport.pause_reading()
        writer.write(b"last")
        writer.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert protocol.events == ["connection_made"]
        transport.resume_reading()
        await protocol.until("connection_lost")
        assert protocol.data == b"last"


async def test_it_closes_the_file_object_once(loop):  # T25
    with pipe_files() as (reader, writer):
        closed = []

        class Watched:
            def fileno(self):
                return reader.fileno()

            def close(self):
                closed.append(True)
                reader.close()

        transport, protocol = await loop.connect_read_pipe(Recorder, Watched())
        transport.close()
        transport.close()
        await protocol.until("connection_lost")
        await asyncio.sleep(0)
        assert closed == [True]
        assert reader.closed


async def test_a_named_pipe(loop, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    read_end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    transport, protocol = await loop.connect_read_pipe(Recorder, os.fdopen(read_end, "rb", 0))
    with open(path, "wb", 0) as writer:
        writer.write(b"through the fifo")
        await protocol.until_data(16)
    await protocol.until("connection_lost")


async def test_a_socket(loop):
    left, right = socket.socketpair()
    with right:
        transport, protocol = await loop.connect_read_pipe(Recorder, left)
        right.send(b"through the socket")
        await protocol.until_data(18)
        right.shutdown(socket.SHUT_WR)
        await protocol.until("connection_lost")
    assert left.fileno() == -1


async def test_a_terminal(loop):
    master, slave = pty.openpty()
    tty.setraw(slave)
    transport, protocol = await loop.connect_read_pipe(Recorder, os.fdopen(slave, "rb", 0))
    try:
        os.write(master, b"typed")
        await protocol.until_data(5)
        await ended(transport, protocol)
    finally:
        os.close(master)


async def test_the_master_of_a_terminal_ends_when_the_child_is_gone(loop):  # T36
    """The kernel says EIO there; that is the end, not an error."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    transport, protocol = await loop.connect_read_pipe(Recorder, os.fdopen(master, "rb", 0))
    os.write(slave, b"last words")
    os.close(slave)
    await protocol.until("connection_lost")
    assert protocol.data == b"last words"
    assert protocol.events[-2:] == ["eof_received", "connection_lost"]
    assert protocol.error is None


async def test_a_stream_reader_over_a_pipe(loop):
    with pipe_files() as (file, writer):
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        writer.write(b"one\ntwo\nrest")
        assert await reader.readline() == b"one\n"
        assert await reader.readuntil(b"\n") == b"two\n"
        writer.close()
        assert await reader.read() == b"rest"
        assert reader.at_eof()
        transport.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("wrong", [None, 1, "pipe", object()], ids=["None", "number", "text", "object"])
async def test_what_is_no_file_is_refused(loop, wrong):
    with pytest.raises((TypeError, AttributeError, ValueError)):
        await loop.connect_read_pipe(Recorder, wrong)
    gc.collect()


async def test_a_closed_file_is_a_value_error(loop):  # P5
    with pipe_files() as (reader, writer):
        reader.close()
        with pytest.raises(ValueError) as caught:
            await loop.connect_read_pipe(Recorder, reader)
        assert str(caught.value)
        del caught
        gc.collect()


async def test_a_factory_that_raises_leaves_the_file_to_the_caller_or_closes_it(loop):
    def broken():
        raise LookupError("factory")

    with pipe_files() as (reader, writer):
        with pytest.raises(LookupError, match="factory"):
            await loop.connect_read_pipe(broken, reader)


@pytest.mark.parametrize("steps", range(4))
async def test_cancelling_the_connection_leaves_nothing_behind(loop, steps):  # R5
    with pipe_files() as (reader, writer):
        task = loop.create_task(loop.connect_read_pipe(Recorder, reader))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            transport, protocol = await task
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
        else:
            await ended(transport, protocol)


async def test_every_callback_may_close(loop):  # R3
    for method in ("connection_made", "data_received", "eof_received", "connection_lost"):

        def closing(self, *args, method=method):
            result = getattr(Recorder, method)(self, *args)
            self.transport.close()
            return result

        protocol_class = type("Closer", (Recorder,), {method: closing})
        with pipe_files() as (reader, writer):
            writer.write(b"x")
            writer.close()
            _, protocol = await loop.connect_read_pipe(protocol_class, reader)
            await protocol.until("connection_lost")
            assert protocol.events.count("connection_lost") == 1


@pytest.mark.parametrize("method", ["connection_made", "data_received", "eof_received", "connection_lost"])
async def test_a_protocol_method_that_raises_is_reported(loop, reported, method):  # R8
    def broken(self, *args):
        getattr(Recorder, method)(self, *args)
        raise LookupError(method)

    protocol_class = type("Broken", (Recorder,), {method: broken})
    with pipe_files() as (reader, writer):
        writer.write(b"x")
        writer.close()
        transport, protocol = await loop.connect_read_pipe(protocol_class, reader)
        await protocol.until("connection_lost")
        await asyncio.sleep(0)
        transport.close()
        assert str(reported[0]["exception"]) == method
        reported.clear()


async def test_set_protocol_takes_effect_for_the_next_data(loop):
    with pipe_files() as (reader, writer):
        transport, first = await loop.connect_read_pipe(Recorder, reader)
        writer.write(b"first")
        await first.until_data(5)
        second = Recorder()
        second.transport = transport
        transport.set_protocol(second)
        writer.write(b"second")
        await second.until_data(6)
        assert first.data == b"first"
        transport.close()
        await second.until("connection_lost")


async def test_nothing_is_left_after_the_end(loop):  # R9
    references = []
    for _ in range(5):
        with pipe_files() as (reader, writer):
            transport, protocol = await loop.connect_read_pipe(Recorder, reader)
            references += [weakref.ref(transport), weakref.ref(protocol)]
            await ended(transport, protocol)
            del transport, protocol
    await asyncio.sleep(0)
    gc.collect()
    assert [reference() for reference in references] == [None] * 10


async def test_much_data_arrives_whole(loop):
    total = 20_000_000
    program = f"import os\nleft = {total}\nwhile left: left -= os.write(1, bytes(min(left, 1 << 16)))"
    child = subprocess.Popen([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE, bufsize=0)
    transport, protocol = await loop.connect_read_pipe(Recorder, child.stdout)
    await protocol.until("connection_lost")
    assert len(protocol.data) == total
    child.wait()


@pytest.mark.only_tulipa
@pytest.mark.parametrize("kind", ["pipe", "terminal"])
async def test_a_second_reader_of_one_source_is_warned_of_the_first(loop, kind):  # G12 R6
    if kind == "pipe":
        number, other = os.pipe()
    else:
        other, number = pty.openpty()
    first, protocol = await loop.connect_read_pipe(Recorder, os.fdopen(number, "rb", 0))
    again = os.fdopen(os.dup(number), "rb", 0)
    with pytest.warns(RuntimeWarning, match=f"fd={again.fileno()}.* reads from what .*fd={number}"):
        second, second_protocol = await loop.connect_read_pipe(Recorder, again)
    await ended(second, second_protocol)
    third = os.fdopen(os.dup(number), "rb", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            await loop.connect_read_pipe(Recorder, third)
    await ended(first, protocol)
    assert third.closed
    os.close(other)


async def test_one_reader_after_another_is_not_warned(loop):  # G12
    with pipe_files() as (reader, writer):
        for _ in range(3):
            transport, protocol = await loop.connect_read_pipe(Recorder, os.fdopen(os.dup(reader.fileno()), "rb", 0))
            await ended(transport, protocol)

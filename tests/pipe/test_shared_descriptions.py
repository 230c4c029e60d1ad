"""What others share stays as it was: no O_NONBLOCK left on a terminal or a pipe. # P6 # P3"""

import asyncio
import os
import pty
import socket
import subprocess
import tty

import pytest

from tests.support.descriptors import pipe_files
from tests.support.programs import run_program, start_program
from tests.support.recorders import Recorder


async def test_reading_leaves_the_flags_of_a_shared_pipe(loop):  # P6
    with pipe_files() as (reader, writer):
        shared = os.dup(reader.fileno())
        try:
            transport, protocol = await loop.connect_read_pipe(Recorder, reader)
            during = os.get_blocking(shared)
            writer.write(b"x")
            await protocol.until_data(1)
            transport.close()
            await protocol.until("connection_lost")
            assert (during, os.get_blocking(shared)) == (True, True)
        finally:
            os.close(shared)


async def test_writing_leaves_the_flags_of_a_shared_pipe(loop):  # P6
    with pipe_files() as (reader, writer):
        shared = os.dup(writer.fileno())
        try:
            transport, protocol = await loop.connect_write_pipe(Recorder, writer)
            during = os.get_blocking(shared)
            transport.write(b"x")
            transport.close()
            await protocol.until("connection_lost")
            assert (during, os.get_blocking(shared)) == (True, True)
            assert os.read(reader.fileno(), 10) == b"x"
        finally:
            os.close(shared)


async def test_a_full_shared_pipe_does_not_block_the_loop(loop):  # P6
    """The description stays blocking, and still no write may stop the loop."""
    with pipe_files() as (reader, writer):
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.write(bytes(1_000_000))
        for _ in range(20):
            await asyncio.sleep(0.001)
        got = 0
        while got < 1_000_000:
            got += len(await loop.run_in_executor(None, os.read, reader.fileno(), 1 << 16))
        transport.close()
        await protocol.until("connection_lost")


async def test_another_reader_that_takes_the_data_first_does_not_block_the_loop(loop):  # P6
    """The poll says readable, then another process reads: a blocking read here would hang the loop."""
    with pipe_files() as (reader, writer):
        other = os.dup(reader.fileno())
        try:
            transport, protocol = await loop.connect_read_pipe(Recorder, reader)

            def steal():
                writer.write(b"stolen")
                os.set_blocking(other, True)
                os.read(other, 100)

            for _ in range(50):
                steal()
                await asyncio.sleep(0)
            writer.write(b"ours")
            await protocol.until(lambda: protocol.data.endswith(b"ours"))
            transport.close()
            await protocol.until("connection_lost")
        finally:
            os.close(other)


@pytest.mark.parametrize("kind", ["pipe", "terminal", "socket"])
def test_a_child_leaves_its_standard_streams_blocking(backend, kind):  # P6
    """The parent shares the descriptions, as a shell shares the terminal with what it starts."""
    source = """
        import os, sys
        async def main():
            loop = asyncio.get_running_loop()
            reader = asyncio.StreamReader()
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
            transport, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
            data = await reader.readexactly(5)
            transport.write(b"got " + data)
            await asyncio.sleep(0.01)
        run(main())
        os._exit(0)
    """
    if kind == "pipe":
        child_in, our_out = os.pipe()
        our_in, child_out = os.pipe()
    elif kind == "socket":
        ours, childs = (sock.detach() for sock in socket.socketpair())
        child_in, our_out, our_in, child_out = childs, ours, os.dup(ours), os.dup(childs)
    else:
        master, slave = pty.openpty()
        tty.setraw(slave)
        child_in, our_out, our_in, child_out = slave, master, os.dup(master), os.dup(slave)
    try:
        with start_program(backend, source, stdin=child_in, stdout=child_out, stderr=subprocess.PIPE) as program:
            os.write(our_out, b"typed")
            assert os.read(our_in, 100) == b"got typed"
            _, err = program.communicate(timeout=10)
            assert err == ""
        assert os.get_blocking(child_in), "standard input of the child"
        assert os.get_blocking(child_out), "standard output of the child"
    finally:
        for number in (child_in, our_out, our_in, child_out):
            os.close(number)


def test_print_never_meets_a_full_pipe_as_an_error(backend):  # P6
    source = """
        import sys
        async def main():
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_write_pipe(asyncio.Protocol, open(1, "wb", 0, closefd=False))
            for _ in range(2000):
                print("x" * 100, flush=True)
            transport.abort()
        run(main())
    """
    with start_program(backend, source) as program:
        out, err = program.communicate(timeout=20)
    assert "BlockingIOError" not in err
    assert out.count("\n") == 2000
    assert program.returncode == 0


def test_the_standard_streams_of_a_program_through_protocols(backend):  # P3 P1
    source = """
        import sys
        class Echo(asyncio.Protocol):
            def __init__(self): self.events = []
            def connection_made(self, transport): self.events.append("made")
            def data_received(self, data):
                assert type(data) is bytes
                self.events.append("data")
                output.write(data.upper())
            def eof_received(self): self.events.append("eof")
            def connection_lost(self, error):
                self.events.append("lost")
                done.set_result(self.events)
        async def main():
            global output, done
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            output, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
            await loop.connect_read_pipe(Echo, sys.stdin)
            events = await done
            output.write(repr(events).encode())
            output.close()
            await asyncio.sleep(0.01)
        run(main())
    """
    with start_program(backend, source, stdin=subprocess.PIPE) as program:
        for chunk in ("no newline", "again"):
            program.stdin.write(chunk)
            program.stdin.flush()
            assert os.read(program.stdout.fileno(), 100) == chunk.upper().encode()
        out, err = program.communicate(timeout=10)
    assert out == "['made', 'data', 'data', 'eof', 'lost']"
    assert program.returncode == 0, err


def test_a_closed_standard_input_is_a_clear_error(backend):  # P5
    source = """
        import os, sys
        file = open(0, "rb", 0, closefd=False)
        os.close(0)
        async def main():
            loop = asyncio.get_running_loop()
            try:
                await loop.connect_read_pipe(asyncio.Protocol, file)
            except (ValueError, OSError) as error:
                print(type(error).__name__)
        run(main())
    """
    done = run_program(backend, source)
    assert done.stdout in ("ValueError\n", "OSError\n"), done.stderr

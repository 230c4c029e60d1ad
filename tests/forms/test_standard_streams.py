"""Standard input and output together, `tulipa.stdio` above all, in programs of their own. # P1 # P3 # P6 # P7 # P8"""

import os
import pty
import signal
import socket
import subprocess
import termios

import pytest

from tests.support.programs import SECONDS, until_asleep
from tests.support.tulipa_programs import run, start

# -- both ---------------------------------------------------------------------------------------


def test_a_reader_and_a_writer():
    program = """
    async def main():
        reader, writer = await tulipa.stdio()
        async for line in reader:
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()
    tulipa.run(main())
    print("done")
    """
    assert run(program, b"one\ntwo") == b"ONE\nTWOdone\n"


@pytest.mark.parametrize("kind", ["pipes", "socket"])
def test_what_was_written_to_both_as_one_is_written_before_the_program_ends(kind):
    program = """
    async def main():
        reader, writer = await tulipa.stdio()
        writer.write(b"x" * 3_000_000)
    tulipa.run(main())
    """
    ours, theirs = socket.socketpair()
    one = {"stdin": theirs, "stdout": theirs} if kind == "socket" else {"stdin": theirs, "stdout": subprocess.PIPE}
    with ours, theirs, start(program, **one, stderr=subprocess.PIPE) as process:
        theirs.close()
        until_asleep(process)
        read = ours.makefile("rb").read if kind == "socket" else process.stdout.read
        assert len(read()) == 3_000_000
        process.stderr.read()  # asyncio's warning of a writer that was not closed
        assert process.wait(SECONDS) == 0


def test_cancelling_and_failing_leave_the_streams_as_they_were():  # R5
    program = """
    def broken():
        raise LookupError("factory")
    async def main():
        before = os.listdir("/proc/self/fd")
        for steps in range(4):
            task = asyncio.create_task(tulipa.stdio(asyncio.Protocol))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            try:
                transport, _ = await task
            except asyncio.CancelledError:
                pass
            else:
                transport.abort()
            for _ in range(4):
                await asyncio.sleep(0)
        try:
            await tulipa.stdio(broken)
        except LookupError:
            pass
        for _ in range(2):
            async with tulipa.stdin() as stdin, tulipa.stdout() as out:
                task = asyncio.create_task(stdin.read())
                await asyncio.sleep(0)
                task.cancel()
        assert os.listdir("/proc/self/fd") == before
        out = tulipa.stdout()
        out.write(bytes(1_000_000))
        closing = asyncio.create_task(out.aclose())
        await asyncio.sleep(0.01)
        closing.cancel()
        try:
            await closing
        except asyncio.CancelledError:
            sys.stderr.write("cancelled\\n")
        async with tulipa.stdin() as stdin:
            sys.stderr.write(f"{await stdin.read()}\\n")
    tulipa.run(main())
    """
    with start(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"all of it")
        process.stdin.close()
        assert process.stderr.read() == b"cancelled\nb'all of it'\n"
        assert len(process.stdout.read()) < 1_000_000


def test_a_transport_and_a_protocol():
    program = """
    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            self.lost = asyncio.get_running_loop().create_future()
        def data_received(self, data):
            self.transport.write(data)
        def connection_lost(self, exc):
            self.lost.set_result(exc)
    async def main():
        transport, protocol = await tulipa.stdio(Echo)
        assert isinstance(transport, asyncio.Transport) and protocol.transport is transport
        assert await protocol.lost is None
    tulipa.run(main())
    """
    assert run(program, b"echo") == b"echo"


def test_the_output_can_end_before_the_input():  # P7
    program = """
    async def main():
        reader, writer = await tulipa.stdio()
        writer.write(b"all")
        writer.write_eof()
        sys.stderr.write(f"{await reader.read()}\\n")
        try:
            print("too late", flush=True)
        except OSError as error:
            sys.stderr.write(f"{error}\\n")
        sys.stdout = None
        writer.close()
    tulipa.run(main())
    """
    with start(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read() == b"all"
        process.stdin.write(b"still read")
        process.stdin.close()
        assert process.stderr.read().splitlines()[:2] == [b"b'still read'", b"[Errno 9] Bad file descriptor"]


def test_one_socket_is_both_and_can_end_one_way():  # P7
    program = """
    async def main():
        reader, writer = await tulipa.stdio()
        writer.write(await reader.readline())
        writer.write_eof()
        sys.stderr.write(f"{await reader.read()}\\n")
        writer.close()
    tulipa.run(main())
    """
    ours, theirs = socket.socketpair()
    with ours, theirs, start(program, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE) as process:
        theirs.close()
        ours.sendall(b"line\n")
        assert ours.makefile("rb").read() == b"line\n"
        ours.sendall(b"rest")
        ours.shutdown(socket.SHUT_WR)
        assert process.stderr.read() == b"b'rest'\n"


def test_a_terminal_is_both_and_stays_as_it_was():  # P6 P8
    program = """
    async def main():
        reader, writer = await tulipa.stdio()
        async for line in reader:
            writer.write(b"<" + line.strip() + b">\\n")
        writer.close()
        await writer.wait_closed()
    tulipa.run(main())
    print(input())
    """
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        with start(program, stdin=slave, stdout=slave, stderr=slave) as process:
            shown = b""
            for typed, expected in (
                (b"one\n", b"<one>\r\n"),
                (b"\x04", b""),
                (b"for input\n", b"for input\r\nfor input\r\n"),
            ):
                os.write(master, typed)
                while expected not in shown:
                    shown += os.read(master, 1000)
                if typed == b"\x04":
                    # The next line is not to be read by the program's first half.
                    until_asleep(process)
            assert process.wait(SECONDS) == 0
        assert termios.tcgetattr(slave) == before
        assert os.get_blocking(slave)
    finally:
        os.close(master)
        os.close(slave)


def test_an_interrupt_ends_the_wait_and_cleans_up():  # P8
    program = """
    async def main():
        try:
            async with tulipa.stdin() as stdin:
                print("waits", flush=True)
                await stdin.read()
        finally:
            print("cleaned up", flush=True)
    tulipa.run(main())
    """
    with start(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"waits\n"
        until_asleep(process)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b"cleaned up\n"
        assert b"KeyboardInterrupt" in process.stderr.read()


# -- what the loop has left to do ---------------------------------------------------------------


def test_open_streams_that_nobody_uses_keep_no_program_alive():  # N2
    program = """
    loop = tulipa.new_event_loop()
    async def main():
        stdin, out, err = tulipa.stdin(), tulipa.stdout(), tulipa.stderr()
        out.write(b"written " * 100_000)
    task = loop.create_task(main())
    loop.run_until_idle()
    task.result()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    """
    with start(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert len(process.stdout.read()) == 800_000
        assert process.wait(SECONDS) == 0


def test_an_input_that_is_waited_for_keeps_the_program_alive():  # N2
    program = """
    loop = tulipa.new_event_loop()
    async def main():
        print(await tulipa.stdin().read())
    loop.create_task(main())
    loop.run_until_idle()
    loop.close()
    """
    with start(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        until_asleep(process)
        process.stdin.write(b"late")
        process.stdin.close()
        assert process.stdout.read() == b"b'late'\n"

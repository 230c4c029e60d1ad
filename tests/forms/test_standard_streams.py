"""`tulipa.stdin`, `stdout`, `stderr` and `stdio`, in programs of their own. # P1 # P3 # P6 # P7 # P8"""

import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import textwrap

import pytest

from tests.support.programs import SECONDS, until_asleep

PREAMBLE = "import asyncio, os, sys, tulipa\n"


def command(source):
    return [sys.executable, "-X", "dev", "-W", "error", "-c", PREAMBLE + textwrap.dedent(source)]


def run(source, given=b"", arguments=(), **options):
    """Run a program to its end; what it wrote. Its standard error has to be silent."""
    if "stdin" not in options:
        options["input"] = given
    options.setdefault("stdout", subprocess.PIPE)
    done = subprocess.run(
        [*command(source), *arguments], stderr=subprocess.PIPE, timeout=SECONDS, check=False, **options
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b"", done.stderr.decode()
    return done.stdout


def start(source, **options):
    return subprocess.Popen(command(source), **options)


# -- input --------------------------------------------------------------------------------------


def test_lines_of_bytes():
    program = """
    async def main():
        async for line in tulipa.stdin():
            print(line)
    tulipa.run(main())
    """
    assert run(program, b"one\n\ntwo\r\n\xff\nlast") == b"b'one\\n'\nb'\\n'\nb'two\\r\\n'\nb'\\xff\\n'\nb'last'\n"


def test_lines_of_text():
    program = """
    async def main():
        async with tulipa.stdin(encoding="utf-8") as stdin:
            async for line in stdin.lines():
                print(ascii(line))
    tulipa.run(main())
    """
    assert run(program, "z\u00fcrich\r\nlast".encode()) == b"'z\\xfcrich\\n'\n'last'\n"


def test_each_chunk_is_given_when_it_arrives():  # P1
    program = """
    async def main():
        async for chunk in tulipa.stdin().chunks():
            print(chunk, flush=True)
    tulipa.run(main())
    """
    with start(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for chunk in (b"no newline", b"more", b"x" * 4096):
            os.write(process.stdin.fileno(), chunk)
            assert process.stdout.readline() == b"%r\n" % chunk
        process.stdin.close()
        assert process.stdout.read() == b""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-7"])
def test_characters_may_be_cut_anywhere(encoding):
    program = f"""
    async def main():
        text = ""
        async for chunk in tulipa.stdin(encoding="{encoding}").chunks():
            text += chunk
        print(ascii(text))
    tulipa.run(main())
    """
    text = "a\u20ac\U0001f337z\r\n\u00e9"
    with start(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        until_asleep(process)
        for byte in text.encode(encoding):
            os.write(process.stdin.fileno(), bytes([byte]))
        process.stdin.close()
        assert process.stdout.read().decode().strip() == ascii(text.replace("\r\n", "\n"))


def test_what_cannot_be_decoded_is_an_error_after_what_can():
    program = """
    async def main():
        stdin = tulipa.stdin(encoding="utf-8")
        print(await stdin.readline(), end="")
        print(await stdin.read())
        try:
            await stdin.read()
        except UnicodeDecodeError as error:
            print(error.reason)
        await stdin.aclose()
        async with tulipa.stdin(encoding="ascii", errors="replace") as stdin:
            pass
    tulipa.run(main())
    """
    assert run(program, b"fine\nso far\xff") == b"fine\nso far\ninvalid start byte\n"


def test_numbers_of_bytes():
    program = """
    async def main():
        stdin = tulipa.stdin()
        print(await stdin.read(0), await stdin.readexactly(3), await stdin.read(2), await stdin.readline())
        try:
            await stdin.readexactly(100)
        except EOFError as error:
            print(error)
        print(await stdin.read(), await stdin.read(), await stdin.readline(), stdin.at_end())
    tulipa.run(main())
    """
    assert run(program, b"abcdefg\nrest").splitlines() == [
        b"b'' b'abc' b'de' b'fg\\n'",
        b"'<standard input>' ended after 4 of 100 expected",
        b"b'rest' b'' b'' True",
    ]


def test_what_sys_stdin_has_buffered_is_not_lost():
    program = """
    async def main():
        print(await tulipa.stdin().read())
    print(eval(sys.argv[1]))
    tulipa.run(main())
    """
    given = "first\nab\u00e9\u20acc\n".encode()
    for taken in (
        "sys.stdin.readline()",
        "sys.stdin.read(6)",
        "sys.stdin.buffer.readline().decode()",
        "input() + '\\n'",
    ):
        assert run(program, given, arguments=[taken]).decode() == f"first\n\n{given[6:]!r}\n", taken


def test_a_character_that_sys_stdin_has_read_half_of_is_not_lost():
    program = """
    async def main():
        print(await tulipa.stdin().read())
    print(input())
    tulipa.run(main())
    print(repr(sys.stdin.read()))
    """
    with start(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        os.write(process.stdin.fileno(), b"first\nhalf \xe2\x82")
        until_asleep(process)
        os.write(process.stdin.fileno(), b"\xac whole")
        process.stdin.close()
        assert process.stdout.read() == b"first\nb'half \\xe2\\x82\\xac whole'\n''\n"


def test_what_one_input_has_read_too_far_the_next_begins_with():
    program = """
    async def first():
        async for line in tulipa.stdin():
            print(line)
            break
    async def second():
        async with tulipa.stdin(text=True) as stdin:
            print(await stdin.readline())
        reader, writer = await tulipa.stdio()
        print(await reader.read())
        writer.close()
    tulipa.run(first())
    tulipa.run(second())
    """
    assert run(program, b"one\ntwo\nthree\nfour") == b"b'one\\n'\ntwo\n\nb'three\\nfour'\n"


def test_input_works_afterwards_and_nothing_is_read_that_nobody_asked_for():
    program = """
    async def main():
        async with tulipa.stdin() as stdin:
            await asyncio.sleep(0.05)
        print(input())
    tulipa.run(main())
    """
    assert run(program, b"for input()\n") == b"for input()\n"


def test_a_wait_that_is_cancelled_loses_nothing():
    program = """
    async def main():
        stdin = tulipa.stdin()
        for _ in range(3):
            try:
                async with asyncio.timeout(0.01):
                    await stdin.readexactly(6)
            except TimeoutError:
                print("none yet", flush=True)
        print(await stdin.readexactly(6))
    tulipa.run(main())
    """
    with start(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        os.write(process.stdin.fileno(), b"abc")
        for _ in range(3):
            assert process.stdout.readline() == b"none yet\n"
        os.write(process.stdin.fileno(), b"def")
        assert process.stdout.readline() == b"b'abcdef'\n"


def test_two_tasks_cannot_wait_for_one_input():  # G12
    program = """
    async def main():
        stdin = tulipa.stdin()
        first = asyncio.create_task(stdin.read())
        await asyncio.sleep(0)
        for wait in (stdin.read, stdin.readline):
            try:
                await wait()
            except RuntimeError as error:
                print(error)
        try:
            tulipa.stdin()
        except RuntimeError as error:
            print("used by transport" in str(error))
        await stdin.aclose()
        await stdin.aclose()
        try:
            await first
        except ValueError as error:
            print(error)
    tulipa.run(main())
    """
    message = b"<Input '<standard input>' open> is already waited for by another task\n"
    with start(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.read() == 2 * message + b"True\n'<standard input>' was closed\n"


def test_much_input_in_bounded_memory():
    program = """
    async def main():
        stdin, count, most = tulipa.stdin(), 0, 0
        while chunk := await stdin.read(100_000):
            count += len(chunk)
            most = max(most, stdin._held)
            await asyncio.sleep(0)
        print(count, most < 2_000_000)
    tulipa.run(main())
    """
    assert run(program, bytes(20_000_000)) == b"20000000 True\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_stream_that_was_closed_at_the_start_is_an_error_in_words(closed):
    program = PREAMBLE + textwrap.dedent("""
    async def main():
        try:
            tulipa.stdin() if sys.stdin is None else tulipa.stdout()
        except ValueError as error:
            print(error, file=sys.stderr)
    tulipa.run(main())
    """)
    done = subprocess.run(
        f'{sys.executable} -c "$PROGRAM" {closed}',
        shell=True,
        capture_output=True,
        env=os.environ | {"PROGRAM": program},
    )
    name, number = ("input", 0) if closed == "<&-" else ("output", 1)
    assert done.stderr.decode().splitlines()[0] == (
        f"the program was started without standard {name}: descriptor {number} was closed"
    )


def test_a_replaced_stream_is_an_error_in_words():
    program = """
    import io
    sys.stdin = io.StringIO("text")
    async def main():
        try:
            tulipa.stdin()
        except ValueError as error:
            print("was replaced by" in str(error))
    tulipa.run(main())
    """
    assert run(program) == b"True\n"


def test_without_a_loop_there_is_an_error_in_words():
    program = """
    for form in (tulipa.stdin, tulipa.stdout):
        try:
            form()
        except RuntimeError as error:
            print("no tulipa loop here" in str(error))
    """
    assert run(program) == b"True\nTrue\n"


# -- output -------------------------------------------------------------------------------------


def test_bytes_and_text_are_written_in_order_with_what_was_printed():
    program = """
    print("printed, not flushed")
    async def main():
        async with tulipa.stdout() as out:
            out.write(b"bytes\\n")
            out.writelines([b"more ", bytearray(b"bytes\\n")])
        async with tulipa.stdout(encoding="utf-16-le", errors="strict") as out:
            out.write("\\u20ac")
        print("printed after")
    tulipa.run(main())
    """
    expected = b"printed, not flushed\nbytes\nmore bytes\n" + "\u20ac".encode("utf-16-le") + b"printed after\n"
    assert run(program) == expected


@pytest.mark.parametrize("ending", ["await out.flush()", "await out.aclose()", "pass"])
def test_everything_is_written_before_the_program_ends(ending):
    """However it ends: the reader is slow, and the pipe is full long before."""
    program = f"""
    async def main():
        out = tulipa.stdout()
        out.write(b"x" * 3_000_000)
        {ending}
    tulipa.run(main())
    """
    with start(program, stdout=subprocess.PIPE) as process:
        until_asleep(process)
        assert len(process.stdout.read()) == 3_000_000
        assert process.wait(SECONDS) == 0


def test_drain_waits_for_the_reader():
    program = """
    async def main():
        out, most = tulipa.stdout(), 0
        for _ in range(100):
            out.write(bytes(50_000))
            most = max(most, out.transport.get_write_buffer_size())
            await out.drain()
        await out.flush()
        print(out.position, most < 200_000, file=sys.stderr)
    tulipa.run(main())
    """
    done = subprocess.run(command(program), capture_output=True, timeout=SECONDS)
    assert len(done.stdout) == 5_000_000
    assert done.stderr == b"5000000 True\n"


def test_a_reader_that_has_gone_is_an_error_and_no_loss_in_silence():  # R8
    program = """
    async def main():
        out = tulipa.stdout()
        out.write(b"x" * 1_000_000)
        sys.stderr.write("written\\n")
        for wait in (out.flush, out.drain, out.aclose):
            try:
                await wait()
            except BrokenPipeError:
                sys.stderr.write("broken\\n")
        try:
            out.write(b"more")
        except ValueError as error:
            sys.stderr.write(f"{error}\\n")
    tulipa.run(main())
    """
    with start(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline() == b"written\n"
        process.stdout.close()
        assert process.stderr.read().splitlines() == [b"broken"] * 3 + [b"'<standard output>' is closed"]
        assert process.wait(SECONDS) == 0


def test_a_reader_that_goes_before_the_end_is_reported_at_the_end():  # R8
    program = """
    async def main():
        tulipa.stdout().write(b"x" * 1_000_000)
    tulipa.run(main())
    """
    with start(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert b"BrokenPipeError" in process.stderr.read()


def test_what_is_no_data_is_refused():
    program = """
    async def main():
        out, text = tulipa.stdout(), tulipa.stderr(text=True)
        for form, wrong in ((out, "text"), (text, b"bytes"), (text, None)):
            try:
                form.write(wrong)
            except TypeError:
                print("refused")
    tulipa.run(main())
    """
    assert run(program) == b"refused\n" * 3


def test_print_works_beside_it_and_after_it():  # P6
    program = """
    async def main():
        async with tulipa.stdout() as out:
            for number in range(3):
                out.write(b"%d" % number)
                await out.flush()
                print(number, flush=True)
        print(os.get_blocking(0), os.get_blocking(1))
    tulipa.run(main())
    """
    assert run(program) == b"00\n11\n22\nTrue True\n"


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

"""`tulipa.stdin`, in programs of their own. # P1 # P3 # P8"""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.support.programs import until_asleep
from tests.support.tulipa_programs import PREAMBLE, run, start


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

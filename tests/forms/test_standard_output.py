"""`tulipa.stdout` and `stderr`, in programs of their own. # P6 # R8"""

import subprocess

import pytest

from tests.support.programs import SECONDS, until_asleep
from tests.support.tulipa_programs import command, run, start


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

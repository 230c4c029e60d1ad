"""Other programs that share a pipe or FIFO before, during and after. # P1 # P2 # P6"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

SECONDS = 25

#: Writes its argument's lines while another program writes its own to the same pipe.
LINES = """
    import sys
    class Writer(asyncio.Protocol):
        def __init__(self): self.may, self.ended = asyncio.Event(), asyncio.Event(); self.may.set()
        def pause_writing(self): self.may.clear()
        def resume_writing(self): self.may.set()
        def connection_lost(self, error): self.ended.set()
    async def main():
        loop = asyncio.get_running_loop()
        transport, writer = await loop.connect_write_pipe(Writer, sys.stdout)
        for number in range(1000):
            transport.write(b"ours %04d " % number + b"o" * (number * 3 % 4000) + b"\\n")
            await writer.may.wait()
        transport.close()
        await writer.ended.wait()
    run(main())
"""

#: Takes one chunk, tells what it is, and leaves.
ONE_CHUNK = """
    import sys
    class One(asyncio.Protocol):
        def connection_made(self, transport): self.transport = transport
        def data_received(self, data):
            print("ours:", data.decode(), flush=True)
            self.transport.close()
        def connection_lost(self, error): done.set_result(error)
    async def main():
        global done
        done = asyncio.get_running_loop().create_future()
        await asyncio.get_running_loop().connect_read_pipe(One, sys.stdin)
        await done
    run(main())
"""

NEIGHBOUR = """
import sys
for number in range(1000):
    print(f"theirs {number:04d} " + "t" * (number * 7 % 4000))
"""


@pytest.fixture
def program(backend, tmp_path):
    """A function that gives the command of a program."""

    def program(source):
        path = tmp_path / f"program{len(list(tmp_path.iterdir()))}.py"
        path.write_text(backend.preamble + textwrap.dedent(source))
        return f"{sys.executable} {path}"

    return program


def shell(command, **options):
    """A shell that runs this, with a pipe for each stream that is not given."""
    return subprocess.Popen(["sh", "-c", command], stderr=subprocess.PIPE, **options)


def test_a_pipe_is_read_by_one_program_after_another(backend, program):  # P1
    reader, writer = os.pipe()
    command = f"head -c 6; {program(ONE_CHUNK)}; echo gone; head -c 6"
    with shell(command, stdin=reader, stdout=subprocess.PIPE) as process:
        os.close(reader)
        os.write(writer, b"first\n")
        assert process.stdout.readline() == b"first\n"
        os.write(writer, b"second")
        assert process.stdout.readline() == b"ours: second\n"
        assert process.stdout.readline() == b"gone\n"
        os.write(writer, b"third\n")
        assert process.stdout.readline() == b"third\n"
        os.close(writer)
        assert process.communicate(timeout=SECONDS) == (b"", b"")


def test_a_fifo_is_read_by_one_program_after_another(backend, program, tmp_path):  # P1
    path = tmp_path / "fifo"
    os.mkfifo(path)
    command = f"(head -c 6; {program(ONE_CHUNK)}; echo gone; head -c 6) < {path}"
    with shell(command, stdout=subprocess.PIPE) as process, open(path, "wb", 0) as writer:
        writer.write(b"first\n")
        assert process.stdout.readline() == b"first\n"
        writer.write(b"second")
        assert process.stdout.readline() == b"ours: second\n"
        assert process.stdout.readline() == b"gone\n"
        writer.write(b"third\n")
        assert process.stdout.readline() == b"third\n"
        assert process.communicate(timeout=SECONDS) == (b"", b"")


def test_a_program_that_is_killed_leaves_the_pipe_to_the_next(backend, program):
    """SIGKILL in the middle: `cat` gets what comes then, and waits for it as ever."""
    reader, writer = os.pipe()
    source = ONE_CHUNK.replace("self.transport.close()", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with shell(f"{program(source)} ; cat", stdin=reader, stdout=subprocess.PIPE) as process:
        os.close(reader)
        os.write(writer, b"one")
        assert process.stdout.readline() == b"ours: one\n"
        assert process.poll() is None
        os.write(writer, b"two")
        os.close(writer)
        out, err = process.communicate(timeout=SECONDS)
    assert out == b"two"
    assert b"unavailable" not in err


def test_two_programs_write_to_one_full_pipe(backend, program, tmp_path):  # P2
    """Neither fails, and every write of up to PIPE_BUF bytes stays in one piece."""
    neighbour = tmp_path / "neighbour"
    neighbour.write_text(NEIGHBOUR)
    reader, writer = os.pipe()
    # The neighbour's own buffer would break its lines; with -u each is one write.
    command = f"{program(LINES)} & {sys.executable} -S -u {neighbour}; wait"
    with shell(command, stdin=subprocess.DEVNULL, stdout=writer) as process:
        os.close(writer)
        with open(reader, "rb") as pipe:
            lines = pipe.read().decode().splitlines()
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 0
    ours = [line for line in lines if line.startswith("ours")]
    theirs = [line for line in lines if line.startswith("theirs")]
    assert ours == [f"ours {number:04d} " + "o" * (number * 3 % 4000) for number in range(1000)]
    assert theirs == [f"theirs {number:04d} " + "t" * (number * 7 % 4000) for number in range(1000)]
    assert len(lines) == 2000


def test_many_processes_write_to_a_pipe_that_is_read(backend, program):  # P1 P2
    source = """
        import sys
        class All(asyncio.Protocol):
            data = b""
            def data_received(self, data): All.data += data
            def connection_lost(self, error): done.set_result(error)
        async def main():
            global done
            done = asyncio.get_running_loop().create_future()
            await asyncio.get_running_loop().connect_read_pipe(All, sys.stdin)
            await done
            lines = All.data.split()
            print(len(lines), sorted(set(lines)) == sorted({name * 4095 for name in (b"a", b"b", b"c")}))
        run(main())
    """
    writer = "import os, sys\nfor _ in range(300): os.write(1, (sys.argv[1] * 4095 + chr(10)).encode())"
    one = f"{sys.executable} -S -c '{writer}'"
    command = f"({one} a & {one} b & {one} c & wait) | {program(source)}"
    with shell(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (out, err) == (b"900 True\n", b"")

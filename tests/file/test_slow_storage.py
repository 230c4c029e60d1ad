"""A disk that takes its time (strace delays the call): the loop goes on, and calls keep their order."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.support.tracing import require_strace

pytestmark = pytest.mark.only_tulipa

# How long the disk takes for each call of the kind, in microseconds.
DELAY = 300_000


def on_a_slow_disk(backend, call, source, folder):
    """Run a program whose system calls of that name take long; what it printed."""
    strace = require_strace()
    text = backend.preamble + textwrap.dedent(source)
    command = [
        strace,
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:delay_enter={DELAY}",
    ]
    done = subprocess.run(
        [*command, sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, timeout=25, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_loop_goes_on_while_the_disk_works(backend, tmp_path):  # V1
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            async with tulipa.open_file("file", "w+") as file:
                for call in (lambda: file.write(b"tulip"), lambda: file.sync()):
                    turns, begun, future = 0, loop.time(), call()
                    while not future.done():
                        await asyncio.sleep(0.001)
                        turns += 1
                    print(turns > 50, loop.time() - begun >= 0.29)
        run(main())
    """
    assert on_a_slow_disk(backend, "pwrite64,fdatasync", source, tmp_path) == "True True\nTrue True\n"


def test_a_cancelled_write_that_has_begun_takes_effect_before_those_behind_it(backend, tmp_path):  # R5
    source = """
        async def main():
            async with tulipa.open_file("file", "w+") as file:
                first, second = file.write(b"first "), file.write(b"second")
                await asyncio.sleep(0.1)
                print(first.cancel(), await second, await file.read_at(0, 99), file.position)
        run(main())
    """
    assert on_a_slow_disk(backend, "pwrite64", source, tmp_path) == "True 6 b'first second' 12\n"


def test_a_call_that_waits_for_a_thread_can_be_taken_back(backend, tmp_path):  # R5
    source = """
        import os
        async def main():
            async with tulipa.open_file("file", "w+") as file, tulipa.open_file("/dev/zero") as zero:
                reads = [zero.read_at(0, 1) for _ in range(8)]
                write = file.write(b"tulip")
                await asyncio.sleep(0.1)
                names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
                print(names.count("tulipa-storage\\n"), write.cancel(), await file.size(), file.position)
                await asyncio.gather(*reads)
        run(main())
    """
    assert on_a_slow_disk(backend, "pread64", source, tmp_path) == "8 True 0 0\n"


def test_reads_at_an_offset_run_side_by_side(backend, tmp_path):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            async with tulipa.open_file("/dev/zero") as file:
                begun = loop.time()
                await asyncio.gather(*(file.read_at(n, 1) for n in range(8)))
                # Eight after one another would take 2.4 seconds of the disk's time alone.
                print(loop.time() - begun < 2.4)
        run(main())
    """
    assert on_a_slow_disk(backend, "pread64", source, tmp_path) == "True\n"


def test_closing_waits_for_a_call_that_was_cancelled(backend, tmp_path):  # R4
    source = """
        import os
        async def main():
            file = await tulipa.open_file("file", "w")
            write = file.write(b"tulip")
            await asyncio.sleep(0.1)
            write.cancel()
            number = file.fileno()
            await file.close()
            print(os.path.getsize("file"), os.path.exists(f"/proc/self/fd/{number}"))
        run(main())
    """
    assert on_a_slow_disk(backend, "pwrite64", source, tmp_path) == "5 False\n"

"""Whose children are whose: the loop reaps its own and no others, and says so when somebody else was first. # R10"""

import asyncio
import os
import signal
import subprocess
from textwrap import dedent

import pytest

from tests.support.children import children, state_of
from tests.support.programs import check_program, run_program
from tests.support.sandbox import PIDFD_OPEN, REFUSE, needs_seccomp

PIPE = asyncio.subprocess.PIPE
# On 3.12 and 3.13 asyncio's own way to children warns that it will go.
QUIET = ("-W", "ignore::DeprecationWarning")


def test_children_that_the_kernel_reaps(backend):
    """A program that ignores SIGCHLD has no statuses: each end is told, as 255, with asyncio's warning."""
    source = """
        import logging, signal, sys
        logging.basicConfig(stream=sys.stdout, format="%(name)s %(levelname)s %(message)s")
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        async def main():
            process = await asyncio.create_subprocess_exec("echo", "x", stdout=-1)
            print(await process.communicate(), process.returncode)
            process = await asyncio.create_subprocess_exec("sleep", "60")
            process.kill()
            print(await process.wait())
            try:
                await asyncio.create_subprocess_exec("/missing")
            except FileNotFoundError as exc:
                print(exc)
        run(main())
        print(signal.getsignal(signal.SIGCHLD).name)
    """
    lines = check_program(backend, source, flags=QUIET).splitlines()
    warnings = [line for line in lines if line.startswith("asyncio WARNING")]
    assert [line for line in lines if line not in warnings] == [
        "(b'x\\n', None) 255",
        "255",
        "[Errno 2] No such file or directory: '/missing'",
        "SIG_IGN",
    ]
    # Two children were there; the one that never became a program is nobody's to hear of.
    assert len(warnings) == 2
    assert all("exit status already read" in line for line in warnings)


async def test_a_child_whose_status_the_program_reads_itself(loop, caplog):
    process = await asyncio.create_subprocess_exec("sleep", "60")
    os.kill(process.pid, signal.SIGKILL)
    # The loop stands still, so that it cannot be first.
    assert os.waitpid(process.pid, 0)[1] == signal.SIGKILL
    assert await process.wait() == 255
    assert f"pid {process.pid}" in caplog.text
    assert "will report returncode 255" in caplog.text


async def test_a_status_that_is_read_through_popen_is_known(loop):
    transport, _ = await loop.subprocess_exec(asyncio.SubprocessProtocol, "sh", "-c", "exit 7", stdin=None)
    assert transport.get_extra_info("subprocess").wait() == 7
    assert await transport._wait() == 7
    transport.close()


async def test_the_loop_reaps_no_child_of_others(loop):  # T33
    mine = subprocess.Popen(["sh", "-c", "exit 3"])
    while state_of(mine.pid) != "Z":
        await asyncio.sleep(0.001)
    for _ in range(5):
        process = await asyncio.create_subprocess_exec("true")
        assert await process.wait() == 0
    assert children() == [mine.pid]
    assert mine.wait() == 3


def test_a_handler_of_sigchld_that_reaps_all_it_finds(backend):  # T33
    """As old programs do. Whoever is first reads a status; nobody waits for ever."""
    source = """
        import logging, os, signal
        logging.disable()
        def reap(*_):
            while True:
                try:
                    if os.waitpid(-1, os.WNOHANG)[0] == 0:
                        break
                except ChildProcessError:
                    break
        signal.signal(signal.SIGCHLD, reap)
        async def one(number):
            process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {number}")
            assert await process.wait() in (number, 255)
        async def main():
            await asyncio.gather(*map(one, range(20)))
        run(main())
        assert signal.getsignal(signal.SIGCHLD) is reap
        print("done")
    """
    assert check_program(backend, source, flags=QUIET) == "done\n"


def test_nothing_is_left_when_the_loop_ends_with_its_children(backend):
    source = """
        import gc, os
        async def main():
            for command in (["true"], ["sh", "-c", "exit 1"]):
                process = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1, stderr=-1)
                await process.communicate()
        before = os.listdir("/proc/self/fd")
        run(main())
        gc.collect()
        assert os.listdir("/proc/self/fd") == before
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("none left")
    """
    assert check_program(backend, source, flags=QUIET) == "none left\n"


def test_children_make_no_thread(backend):
    """One that stays would make every later fork unsafe, and CPython warn of it."""
    source = """
        import os, warnings
        warnings.simplefilter("error")
        async def main():
            processes = await asyncio.gather(*(asyncio.create_subprocess_exec("sleep", "60") for _ in range(5)))
            print(len(os.listdir("/proc/self/task")))
            for process in processes:
                process.kill()
                await process.wait()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            run(main())
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
    """
    done = run_program(backend, source)
    if backend.is_tulipa:
        assert (done.stdout, done.stderr) == ("1\n", "")
    else:
        assert done.returncode == 0  # a thread for each child before 3.12


@needs_seccomp
def test_without_descriptors_of_processes_a_thread_waits(backend):
    source = f"""
        import logging, signal
        refuse({PIDFD_OPEN}, 38)
        async def main():
            process = await asyncio.create_subprocess_exec("sh", "-c", "echo x; exit 3", stdout=-1)
            print(await process.communicate(), process.returncode)
            try:
                await asyncio.create_subprocess_exec("/missing", stdout=-1)
            except FileNotFoundError:
                print("missing")
            process = await asyncio.create_subprocess_exec("sleep", "60")
            process.terminate()
            print(await process.wait())
        run(main())
    """
    assert check_program(backend, REFUSE + dedent(source), flags=QUIET) == "(b'x\\n', None) 3\nmissing\n-15\n"


@needs_seccomp
@pytest.mark.only_tulipa
def test_a_child_that_nothing_could_watch_is_ended(backend):
    """The kernel refuses the descriptor, and `Thread.start` refuses as it does when no thread can be had."""
    source = f"""
        import os, threading
        refuse({PIDFD_OPEN}, 24)
        def no_thread(self):
            raise RuntimeError("can't start new thread")
        threading.Thread.start = no_thread
        async def main():
            try:
                await asyncio.create_subprocess_exec("sleep", "60", stdin=-1, stdout=-1)
            except RuntimeError as exc:
                print(exc)
        run(main())
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("none left")
    """
    assert check_program(backend, REFUSE + dedent(source)) == "can't start new thread\nnone left\n"

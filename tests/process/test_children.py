"""Children and the rest of the program: SIGCHLD stays free, cancellation, other threads. # T23 # T33 # R5"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.support.children import children
from tests.support.programs import run_program
from tests.support.streams import until

PIPE = subprocess.PIPE
QUIET = ("-W", "ignore::DeprecationWarning")


def test_sigchld_belongs_to_the_program(loop, run):  # T33 R10
    """A handler set by the program sees the end of children that the loop started, and the loop gets its code."""
    seen = []
    old = signal.signal(signal.SIGCHLD, lambda *args: seen.append(args[0]))
    try:

        async def main():
            process = await asyncio.create_subprocess_exec("true")
            return await process.wait()

        assert run(main()) == 0
        assert seen
    finally:
        signal.signal(signal.SIGCHLD, old)


def test_a_signal_handler_of_the_loop_for_sigchld_and_children(loop, run):  # T23 T33
    async def main():
        arrived = asyncio.Event()
        loop.add_signal_handler(signal.SIGCHLD, arrived.set)
        process = await asyncio.create_subprocess_exec("sleep", "0.01")
        assert await process.wait() == 0
        await arrived.wait()
        loop.remove_signal_handler(signal.SIGCHLD)

    run(main())


def test_starting_children_takes_no_signal_machinery(loop, run):  # R10
    before = signal.getsignal(signal.SIGCHLD)

    async def main():
        process = await asyncio.create_subprocess_exec("true")
        wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakeup)
        assert wakeup == -1
        assert signal.getsignal(signal.SIGCHLD) == before
        await process.wait()

    run(main())


def test_children_of_others_are_left_alone(loop, run):
    """The loop waits for its own children only: `subprocess` elsewhere gets its codes."""

    async def main():
        other = subprocess.Popen([sys.executable, "-S", "-c", "import sys; sys.exit(9)"])
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        assert await asyncio.to_thread(other.wait) == 9

    run(main())


def test_a_child_reaped_by_somebody_else_is_told_and_does_not_hang(loop, run, caplog):
    async def main():
        process = await asyncio.create_subprocess_exec("sleep", "0.05")
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, 0)
        return await process.wait()

    assert run(main()) in (0, 255)


def test_children_in_a_thread_that_is_not_the_main_one(loop_factory):
    results = []

    def work():
        loop = loop_factory()

        async def main():
            process = await asyncio.create_subprocess_exec("echo", "threaded", stdout=PIPE)
            return (await process.communicate())[0]

        results.append(loop.run_until_complete(main()))
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [b"threaded\n"]


async def test_communicate_that_times_out_leaves_a_usable_process(loop):  # R5
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await process.stdout.read()
    process.stdin.write(b"still there")
    process.stdin.close()
    assert await process.stdout.read() == b"still there"
    assert await process.wait() == 0


async def test_cancelled_communicate_and_kill(loop):  # R5
    process = await asyncio.create_subprocess_exec("sleep", "60", stdout=PIPE)
    task = loop.create_task(process.communicate())
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    process.kill()
    assert await process.wait() == -signal.SIGKILL


async def test_cancelled_wait_and_wait_again(loop):  # R5
    process = await asyncio.create_subprocess_exec("sleep", "0.05")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.wait(), 0.001)
    assert await process.wait() == 0


@pytest.mark.parametrize("delay", [0, 1, 2, 3, 5, 8])
async def test_cancelling_the_start_leaves_no_child_and_no_descriptor(loop, delay):  # R5
    before = children()
    task = loop.create_task(asyncio.create_subprocess_exec("sleep", "60", stdin=PIPE, stdout=PIPE, stderr=PIPE))
    for _ in range(delay):
        await asyncio.sleep(0)
    task.cancel()
    try:
        process = await task
    except asyncio.CancelledError:
        await until(lambda: children() == before)
    else:
        process.kill()
        await process.communicate()


async def test_a_protocol_factory_that_raises_starts_no_child(loop):
    def broken():
        raise LookupError("factory")

    before = children()
    with pytest.raises(LookupError, match="factory"):
        await loop.subprocess_exec(broken, "sleep", "60")
    assert children() == before


async def test_a_subprocess_protocol_that_raises_is_reported(loop, reported):  # R8
    class Broken(asyncio.SubprocessProtocol):
        def pipe_data_received(self, fd, data):
            raise LookupError("pipe_data_received")

    transport, _ = await loop.subprocess_exec(Broken, "echo", "x")
    await transport._wait()
    while not reported:
        await asyncio.sleep(0.001)
    transport.close()
    assert any(str(context.get("exception")) == "pipe_data_received" for context in reported)
    reported.clear()
    await asyncio.sleep(0.01)


def test_closing_the_loop_with_a_running_child(backend):
    source = """
        import os, signal, warnings
        warnings.simplefilter("ignore")
        loop = new_loop()
        async def main():
            return await asyncio.create_subprocess_exec("sleep", "60", stdout=-1)
        process = loop.run_until_complete(main())
        loop.close()
        os.kill(process.pid, signal.SIGKILL)
        print("closed")
        os._exit(0)
    """
    assert run_program(backend, source, flags=QUIET).stdout == "closed\n"


def test_runner_with_a_child_that_is_still_running_at_the_end(backend):
    source = """
        import warnings
        warnings.simplefilter("ignore")
        async def main():
            process = await asyncio.create_subprocess_exec("sleep", "60")
            process.kill()
        run(main())
        print("ended")
    """
    assert run_program(backend, source, flags=QUIET).stdout == "ended\n"


async def test_pause_and_resume_of_a_childs_output(loop):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", "import os\nfor _ in range(300): os.write(1, bytes(10000))", stdout=PIPE, limit=1000
    )
    total = 0
    while data := await process.stdout.read(5000):
        total += len(data)
    assert total == 3_000_000
    assert await process.wait() == 0


async def test_input_to_a_slow_child_respects_flow_control(loop):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-S",
        "-c",
        "import os, time\ntotal = 0\nwhile data := os.read(0, 1 << 16): total += len(data)\nprint(total)",
        stdin=PIPE,
        stdout=PIPE,
    )
    for _ in range(50):
        process.stdin.write(bytes(100_000))
        await process.stdin.drain()
        assert process.stdin.transport.get_write_buffer_size() <= 200_000
    process.stdin.close()
    assert (await process.stdout.read()).strip() == b"5000000"
    await process.wait()

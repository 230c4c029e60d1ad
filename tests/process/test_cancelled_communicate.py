"""Cancelling `communicate()` at any moment leaks nothing, and leaves a process that can be used. # R5"""

import asyncio
import gc
import signal

import pytest

from tests.support.children import children, transport_ended
from tests.support.descriptors import open_descriptors

PIPE = asyncio.subprocess.PIPE
PIPES = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}
# Takes little of its input, writes without end.
BUSY = ("sh", "-c", "head -c 100000 >/dev/null; yes")


async def cancel_after(loop, turns, coroutine):
    task = loop.create_task(coroutine)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def end(process):
    process.kill()
    # Streams that nobody reads any more hold back their end.
    for number in (1, 2):
        process._transport.get_pipe_transport(number).close()
    process.stdin.close()
    returncode = await process.wait()
    await transport_ended(process)
    return returncode


@pytest.mark.all_drivers
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 10, 50])
async def test_communicate_that_is_cancelled_leaks_nothing(loop, turns):
    before = open_descriptors().keys()
    process = await asyncio.create_subprocess_exec(*BUSY, **PIPES)
    await cancel_after(loop, turns, process.communicate(bytes(10_000_000)))
    assert process.returncode is None
    assert await end(process) == -signal.SIGKILL
    del process
    gc.collect()
    assert not children()
    assert open_descriptors().keys() <= before


async def test_no_task_is_left_behind(loop):
    process = await asyncio.create_subprocess_exec(*BUSY, **PIPES)
    await cancel_after(loop, 5, process.communicate(bytes(10_000_000)))
    await asyncio.sleep(0.001)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await end(process)


async def test_communicate_again_after_one_that_was_cancelled(loop):
    """What the first had not read yet, the second reads."""
    process = await asyncio.create_subprocess_exec("sh", "-c", "read line; echo $line; exit 3", stdin=PIPE, stdout=PIPE)
    await cancel_after(loop, 3, process.stdout.read())
    process.stdin.write(b"one\n")
    assert await process.communicate() == (b"one\n", None)
    assert process.returncode == 3


async def test_a_time_limit_around_communicate(loop):
    process = await asyncio.create_subprocess_exec("sleep", "60", stdout=PIPE)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await process.communicate()
    process.terminate()
    assert await process.communicate() == (b"", None)
    assert process.returncode == -signal.SIGTERM


async def test_cancelled_in_a_group_with_others(loop):
    before = open_descriptors().keys()
    processes = []

    async def one(command):
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        processes.append(process)
        try:
            await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.communicate()
            raise
        if process.returncode:
            raise LookupError(process.returncode)

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(one(("sleep", "60")))
            group.create_task(one(("sh", "-c", "exit 3")))
    assert [str(error) for error in caught.value.exceptions] == ["3"]
    for process in processes:
        assert process.returncode in (-signal.SIGKILL, 3)
        await transport_ended(process)
    assert not children()
    assert open_descriptors().keys() <= before


async def test_what_is_dropped_in_the_middle_says_so_and_leaves_no_descriptor(loop):
    """Nobody ends this child: its transport kills it when it is collected, with a warning."""
    before = open_descriptors().keys()
    transport, _ = await loop.subprocess_exec(asyncio.SubprocessProtocol, "sleep", "60", stdin=None, stderr=None)
    number = transport.get_pid()
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        transport.__del__()
    del transport
    while children() or open_descriptors().keys() - before:
        await asyncio.sleep(0.001)
    gc.collect()
    assert number not in children()
    assert open_descriptors().keys() <= before

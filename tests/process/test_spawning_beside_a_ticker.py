"""Spawning does not stop the loop: nothing waits until a child is its program, and one turn starts one child."""

import asyncio
import gc
import os
import signal
import statistics
import time

import pytest

from tests.support.children import children, held_back, state_of
from tests.support.descriptors import open_descriptors

PIPE = asyncio.subprocess.PIPE


async def turns(number):
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.only_tulipa
@pytest.mark.all_drivers
async def test_the_loop_runs_while_the_kernel_keeps_a_child_from_its_program(loop, tmp_path):
    with held_back(tmp_path) as (path, release):
        starting = loop.create_task(asyncio.create_subprocess_exec(str(path), stdout=PIPE))
        # Timers, threads and other children go on, for as long as it takes.
        await asyncio.sleep(0.01)
        assert await asyncio.to_thread(lambda: 7) == 7
        other = await asyncio.create_subprocess_exec("echo", "other", stdout=PIPE)
        assert (await other.communicate())[0] == b"other\n"
        assert not starting.done()
        release()
        process = await starting
        assert await process.communicate() == (b"", None)
        assert process.returncode == 0


@pytest.mark.only_tulipa
async def test_cancelling_a_start_that_the_kernel_holds_back(loop, tmp_path):  # R5
    before = open_descriptors().keys()
    with held_back(tmp_path) as (path, _release):
        starting = loop.create_task(asyncio.create_subprocess_exec(str(path), stdin=PIPE, stdout=PIPE, stderr=PIPE))
        while not children():
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not children()
    assert open_descriptors().keys() <= before


@pytest.mark.only_tulipa
async def test_cancelling_such_a_start_twice_still_reaps_the_child(loop, tmp_path):  # R5
    with held_back(tmp_path) as (path, _release):
        starting = loop.create_task(asyncio.create_subprocess_exec(str(path), stdout=PIPE))
        while not children():
            await asyncio.sleep(0)
        starting.cancel()
        loop.call_soon(starting.cancel)
        with pytest.raises(asyncio.CancelledError):
            await starting
        while children():
            await asyncio.sleep(0.001)


@pytest.mark.only_tulipa
def test_a_loop_that_is_closed_while_a_child_is_on_its_way(loop_factory, tmp_path):  # R5
    loop = loop_factory()
    before = open_descriptors().keys()
    with held_back(tmp_path) as (path, _release):
        coroutine = asyncio.create_subprocess_exec(str(path), stdin=PIPE, stdout=PIPE)
        loop.call_soon(lambda: loop.call_later(0.01, loop.stop))
        starting = loop.create_task(coroutine)
        loop.run_forever()
        assert len(children()) == 1
        loop.close()
        # Whoever drops the coroutine drops the child: nobody else knows of it.
        starting._log_destroy_pending = False
        coroutine.close()
        assert not children()
        del starting
    gc.collect()
    assert open_descriptors().keys() <= before


@pytest.mark.only_tulipa
async def test_a_signal_of_the_terminal_reaches_a_child_on_its_way(loop, tmp_path):
    """Between its making and its program it has no handler of ours, and blocks nothing that we do not."""
    with held_back(tmp_path) as (path, _release):
        starting = loop.create_task(asyncio.create_subprocess_exec(str(path)))
        while not (made := children()) or state_of(made[0]) != "S":
            await asyncio.sleep(0)
        os.kill(made[0], signal.SIGINT)
        process = await starting
        assert await process.wait() == -signal.SIGINT


@pytest.mark.only_tulipa
@pytest.mark.parametrize("pipes", [False, True], ids=["plain", "pipes"])
async def test_one_turn_starts_one_child(loop, pipes):
    """Each start is seen by its argument, which is turned into a string then."""
    turn = 0
    started_in = []

    class Argument(os.PathLike):
        def __fspath__(self):
            started_in.append(turn)
            return "argument"

    def count():
        nonlocal turn, handle
        turn += 1
        handle = loop.call_soon(count)

    handle = loop.call_soon(count)
    options = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE} if pipes else {}
    try:
        processes = await asyncio.gather(
            *(asyncio.create_subprocess_exec("true", Argument(), **options) for _ in range(20))
        )
        for process in processes:
            await process.communicate()
    finally:
        handle.cancel()
    assert len(started_in) == 20
    assert len(set(started_in)) == 20
    assert started_in == sorted(started_in)


@pytest.mark.only_tulipa
async def test_a_ticker_beside_fifty_starts_drifts_less_than_a_start_takes(loop):
    """What delays a tick is what the thread of the loop computes in one turn.

    The clock of the thread's own processor time leaves out what else the machine does. How long a start takes is read
    from the clock on the wall, which a busy machine makes longer, never shorter.
    """

    async def start():
        before = time.perf_counter()
        process = await asyncio.create_subprocess_exec("true", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        taken = time.perf_counter() - before
        await process.communicate()
        return taken

    one = statistics.median([await start() for _ in range(21)])
    gc.disable()
    try:
        # Fifty tasks begin in one turn, whatever they do.
        starts = [loop.create_task(start()) for _ in range(50)]
        await turns(2)
        delays = []
        last = time.thread_time()

        def tick():
            nonlocal last, handle
            now = time.thread_time()
            delays.append(now - last)
            last = now
            handle = loop.call_soon(tick)

        handle = loop.call_soon(tick)
        await asyncio.gather(*starts)
        handle.cancel()
    finally:
        gc.enable()
    # The fifty longest turns are those with a start in them, and now and then one that met a cold cache.
    assert len(delays) >= 100
    delay = statistics.median(sorted(delays)[-50:])
    assert delay < one, f"a start delays a tick by {delay} s, and takes {one} s"


async def test_starts_come_in_the_order_in_which_they_are_asked_for(loop):
    read_end, write_end = os.pipe()
    try:
        processes = await asyncio.gather(*(asyncio.create_subprocess_exec("true", stdin=read_end) for _ in range(10)))
        numbers = [process.pid for process in processes]
        for process in processes:
            assert await process.wait() == 0
    finally:
        os.close(read_end)
        os.close(write_end)
    # Numbers are given in order; they begin anew where they end.
    assert sum(second < first for first, second in zip(numbers, numbers[1:], strict=False)) <= 1


async def test_a_start_that_waits_for_its_turn_can_be_cancelled(loop):
    tasks = [loop.create_task(asyncio.create_subprocess_exec("true")) for _ in range(6)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if not isinstance(result, asyncio.CancelledError):
            assert await result.wait() == 0
    process = await asyncio.create_subprocess_exec("true")
    assert await process.wait() == 0
    await turns(3)
    assert not children()

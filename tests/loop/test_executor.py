"""Blocking code in threads. # T4 # T7 # T12 # T38"""

import asyncio
import concurrent.futures
import threading
import time

import pytest


async def test_run_in_executor_gives_the_result(loop):
    assert await loop.run_in_executor(None, pow, 2, 10) == 1024


async def test_run_in_executor_raises_what_the_function_raises(loop):
    def broken():
        raise LookupError("in the thread")

    with pytest.raises(LookupError, match="in the thread"):
        await loop.run_in_executor(None, broken)


async def test_threads_of_the_default_executor_are_named_asyncio(loop):  # T12
    name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
    assert name.startswith("asyncio_")


async def test_an_executor_of_the_user(loop):
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        name = await loop.run_in_executor(pool, lambda: threading.current_thread().name)
    assert name.startswith("mine")


async def test_the_default_executor_can_be_set_to_a_thread_pool_only(loop):  # T12
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="chosen")
    loop.set_default_executor(pool)
    name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
    assert name.startswith("chosen")
    for wrong in (None, object(), 1):
        with pytest.raises(TypeError, match="ThreadPoolExecutor"):
            loop.set_default_executor(wrong)


async def test_the_loop_goes_on_while_threads_block(loop):
    release = threading.Event()
    waiting = loop.run_in_executor(None, release.wait)
    for _ in range(10):
        await asyncio.sleep(0.001)
    assert not waiting.done()
    release.set()
    assert await waiting is True


async def test_many_results_arrive(loop):
    results = await asyncio.gather(*(loop.run_in_executor(None, lambda number=number: number) for number in range(500)))
    assert results == list(range(500))


async def test_cancelling_the_future_leaves_the_thread_to_finish(loop):
    started, release, finished = threading.Event(), threading.Event(), threading.Event()

    def work():
        started.set()
        release.wait()
        finished.set()

    future = loop.run_in_executor(None, work)
    await asyncio.to_thread(started.wait)
    future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await future
    release.set()
    assert await asyncio.to_thread(finished.wait, 10)


async def test_to_thread_carries_the_context(loop):
    import contextvars

    variable = contextvars.ContextVar("variable")
    variable.set("carried")
    assert await asyncio.to_thread(variable.get) == "carried"


async def test_run_in_executor_refuses_coroutines_in_debug_mode(loop):
    async def coroutine():
        pass

    loop.set_debug(True)
    with pytest.raises(TypeError):
        loop.run_in_executor(None, coroutine)


def test_shutdown_waits_for_the_threads(loop):
    finished = []

    def work():
        time.sleep(0.05)
        finished.append(True)

    async def main():
        loop.run_in_executor(None, work)

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    assert finished == [True]


def test_shutdown_takes_its_timeout_by_position(loop):  # T12
    import inspect

    if "timeout" not in inspect.signature(asyncio.BaseEventLoop.shutdown_default_executor).parameters:
        pytest.skip("the timeout came with Python 3.12")
    release = threading.Event()
    helper = threading.Timer(3, release.set)
    helper.start()

    async def main():
        future = loop.run_in_executor(None, release.wait)
        try:
            with pytest.warns(RuntimeWarning, match="did not finish"):
                await loop.shutdown_default_executor(0.01)
        finally:
            helper.cancel()
            release.set()
            await future

    loop.run_until_complete(main())


def test_no_work_after_shutdown(loop):
    async def main():
        await loop.run_in_executor(None, int)
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="shutdown"):
            loop.run_in_executor(None, int)

    loop.run_until_complete(main())


def test_a_result_that_comes_after_the_loop_was_closed_is_dropped(loop_factory):
    loop = loop_factory()
    started, release = threading.Event(), threading.Event()

    def work():
        started.set()
        release.wait()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        async def main():
            loop.run_in_executor(pool, work)

        loop.run_until_complete(main())
        started.wait()
        loop.close()
        release.set()


async def test_threads_run_python_while_the_loop_is_busy(loop):
    """Neither the loop nor the thread keeps the GIL from the other. # N10"""
    stop = threading.Event()

    def count():
        counted = 0
        while not stop.is_set():
            counted += 1
        return counted

    future = loop.run_in_executor(None, count)
    for _ in range(20):
        await asyncio.sleep(0.001)
    stop.set()
    assert await future > 0

"""Programs that change the loop's clock: tests replace `loop.time`, subclasses override it. # T17"""

import asyncio

import pytest


def test_timers_obey_a_replaced_clock(loop):
    """aiohttp's own tests do this: set `loop.time` on the instance and expect timers to move."""
    real = loop.time
    seen = []
    loop.call_later(3600, seen.append, "due")
    loop.time = lambda: real() + 4000
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    assert seen == ["due"]


def test_call_later_counts_from_the_replaced_clock(loop):
    loop.time = lambda: 5000.0
    timer = loop.call_later(10, print)
    assert timer.when() == 5010.0
    timer.cancel()
    del loop.time


def test_a_clock_that_stands_still_keeps_timers_waiting(loop):
    real = loop.time
    start = real()
    loop.time = lambda: start
    seen = []
    loop.call_later(0.005, seen.append, 1)
    for _ in range(5):
        loop.run_until_complete(asyncio.sleep(0))
    assert seen == []
    loop.time = lambda: start + 1
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    assert seen == [1]
    del loop.time


def test_a_subclass_with_a_clock_of_its_own(backend, loop_factory):
    base = type(loop_factory())

    class Virtual(base):
        now = 100.0

        def time(self):
            return self.now

    loop = Virtual()
    try:
        seen = []
        loop.call_later(50, seen.append, "late")
        loop.call_later(5, seen.append, "early")
        loop.now = 106.0
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.sleep(0))
        assert seen == ["early"]
        loop.now = 151.0
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.sleep(0))
        assert seen == ["early", "late"]
    finally:
        loop.close()


def test_a_clock_that_raises_is_an_error_and_not_a_crash(loop):
    real = loop.time

    def broken():
        raise LookupError("broken clock")

    loop.time = broken
    with pytest.raises(LookupError, match="broken clock"):
        loop.call_later(1, print)
    loop.time = real
    assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1


def test_a_replaced_clock_serves_timeouts(loop):
    real = loop.time
    jump = 0.0
    loop.time = lambda: real() + jump

    async def main():
        nonlocal jump
        loop.call_soon(advance)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                while True:
                    await asyncio.sleep(0)

    def advance():
        nonlocal jump
        jump = 2000.0

    loop.run_until_complete(main())

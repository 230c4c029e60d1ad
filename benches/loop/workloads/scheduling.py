"""What programs do all day without the network: callbacks, timers, wake-ups, tasks."""

from __future__ import annotations

import asyncio
import threading

from workloads.model import Scheduling

AT_ONCE = 1000
TASKS = 10


def nothing():
    pass


async def call_soon(loop, count):
    for _ in range(count // AT_ONCE):
        for _ in range(AT_ONCE):
            loop.call_soon(nothing)
        await asyncio.sleep(0)


async def turn(loop, count):
    """One callback per turn, each of which schedules the next."""
    done = loop.create_future()

    def tick():
        nonlocal count
        count -= 1
        if count:
            loop.call_soon(tick)
        else:
            done.set_result(None)

    loop.call_soon(tick)
    await done


async def cancelled_timers(loop, count):
    for _ in range(count // AT_ONCE):
        for _ in range(AT_ONCE):
            loop.call_later(60, nothing).cancel()
        await asyncio.sleep(0)


async def call_soon_threadsafe(loop, count):
    """All of them from one other thread, as fast as it can."""
    done = loop.create_future()

    def call():
        for _ in range(count - 1):
            loop.call_soon_threadsafe(nothing)
        loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=call)
    thread.start()
    await done
    thread.join()


async def future_wakeup(loop, count):
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


async def task_switch(loop, count):
    async def switch():
        for _ in range(count // TASKS):
            await asyncio.sleep(0)

    await asyncio.gather(*(switch() for _ in range(TASKS)))


WORKLOADS = (
    Scheduling("call_soon", f"call_soon, {AT_ONCE:,} callbacks per turn", call_soon, usual=True),
    Scheduling("turn", "call_soon, one callback per turn", turn),
    Scheduling("timers/cancelled", "call_later, and cancelled", cancelled_timers, usual=True),
    Scheduling("call_soon_threadsafe", "call_soon_threadsafe, from another thread", call_soon_threadsafe, usual=True),
    Scheduling("future", "A future is set, and its waiter wakes up", future_wakeup, usual=True),
    Scheduling("switch", f"Task switch: sleep(0) in {TASKS} tasks", task_switch, usual=True),
)

"""What programs do all day without the network: callbacks, timers, wake-ups, tasks."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading

from workloads.model import Scheduling

AT_ONCE = 1000
TASKS = 10
MANY = 100_000
PENDING: list[asyncio.TimerHandle] = []


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


async def call_soon_arguments(loop, count):
    for _ in range(count // AT_ONCE):
        for _ in range(AT_ONCE):
            loop.call_soon(takes_two, loop, count)
        await asyncio.sleep(0)


def takes_two(one, other):
    pass


async def fired_timers(loop, count):
    """Timers that are due when they are made, and fire one turn later."""
    for _ in range(count // AT_ONCE):
        for _ in range(AT_ONCE):
            loop.call_later(0, nothing)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def timers_beside_many(loop, count):
    """The same while a hundred thousand are pending."""
    if not PENDING:
        PENDING.extend(loop.call_later(3600 + number % 977, nothing) for number in range(MANY))
    await fired_timers(loop, count)


async def plain_calls(loop, count):
    """What a task switch is measured against: awaiting a coroutine that does not wait."""

    async def call():
        pass

    for _ in range(count):
        await call()


async def spawned(loop, count):
    async def task():
        pass

    for _ in range(count // AT_ONCE):
        tasks = [loop.create_task(task()) for _ in range(AT_ONCE)]
        await tasks[-1]


async def gathered(loop, count):
    async def task():
        await asyncio.sleep(0)

    for _ in range(count // TASKS):
        await asyncio.gather(*(task() for _ in range(TASKS)))


async def wait_for(loop, count):
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await asyncio.wait_for(future, 60)


async def many_tasks(loop, count):
    """A switch where a great many tasks take turns."""

    async def switch():
        for _ in range(3):
            await asyncio.sleep(0)

    await asyncio.gather(*(switch() for _ in range(count // 3)))


async def executor(loop, count):
    for _ in range(count):
        await loop.run_in_executor(None, nothing)


async def names(host, loop, count):
    for _ in range(count):
        await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)


def scheduling(name, title, run, **options) -> Scheduling:
    return Scheduling(name=name, title=title, run=run, **options)


WORKLOADS = (
    scheduling("call_soon", f"call_soon, {AT_ONCE:,} callbacks per turn", call_soon, usual=True),
    scheduling("call_soon/arguments", "call_soon with two arguments", call_soon_arguments),
    scheduling("turn", "call_soon, one callback per turn", turn),
    scheduling("timers/cancelled", "call_later, and cancelled", cancelled_timers, usual=True),
    scheduling("timers/fired", "call_later, and fired", fired_timers, usual=True),
    scheduling("timers/100k", f"call_later, and fired, beside {MANY:,} that are pending", timers_beside_many),
    scheduling("call_soon_threadsafe", "call_soon_threadsafe, from another thread", call_soon_threadsafe, usual=True),
    scheduling("future", "A future is set, and its waiter wakes up", future_wakeup, usual=True),
    scheduling("switch", f"Task switch: sleep(0) in {TASKS} tasks", task_switch, usual=True),
    scheduling("switch/10k", "Task switch: sleep(0) in 10,000 tasks", many_tasks, batch=30_000),
    scheduling("switch/call", "Plain call: await of a coroutine that does not wait", plain_calls, batch=100_000),
    scheduling("spawn", "A task starts and ends", spawned),
    scheduling("gather", f"gather, {TASKS} tasks that sleep(0), per task", gathered),
    scheduling("wait_for", "wait_for with a timeout that is not reached", wait_for),
    scheduling("executor", "run_in_executor, one after another", executor, batch=1000),
    scheduling("names/numeric", "getaddrinfo of a literal address", functools.partial(names, "127.0.0.1"), batch=1000),
    scheduling("names/local", "getaddrinfo of localhost", functools.partial(names, "localhost"), batch=100),
)

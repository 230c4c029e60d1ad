"""What is left for others while tasks compute: fifty of them, a fifth of a millisecond between any two awaits."""

from __future__ import annotations

import asyncio
import time

from workloads.connections import Echo, serve_protocol
from workloads.model import LATENCY, Scheduling, Served

TASKS = 50
SLICE = 0.0002


async def compute():
    """Forever: a slice of work, and then everybody else's turn."""
    clock = time.perf_counter
    while True:
        end = clock() + SLICE
        while clock() < end:
            pass
        await asyncio.sleep(0)


async def serve_beside(sock, context):
    loop = asyncio.get_running_loop()
    return await serve_protocol(Echo, sock, context), [loop.create_task(compute()) for _ in range(TASKS)]


async def turns(loop, count):
    """How long each turn takes while they compute."""
    tasks = [loop.create_task(compute()) for _ in range(TASKS)]
    durations, last = [], time.perf_counter()
    for _ in range(count):
        await asyncio.sleep(0)
        now = time.perf_counter()
        durations.append(now - last)
        last = now
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return durations


WORKLOADS = (
    Served(name="fairness/echo", title=f"Protocol echo beside {TASKS} tasks that compute, 1 connection",
           serve=serve_beside, judged=LATENCY),
    Scheduling(name="fairness/turn", title=f"Turns with {TASKS} tasks that compute", run=turns, judged=LATENCY,
               batch=5),
)  # fmt: skip

"""Runs jobs side by side on one loop, and compares what the process holds after a warm-up and at the end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import random
import tempfile
from collections import Counter
from dataclasses import dataclass

from tests.soak import census
from tests.soak.jobs import PAYLOAD, WEIGHTS, Town
from tests.support.descriptors import threads_named

AT_ONCE = 16
SECONDS_PER_JOB = 30
TURNS_TO_REST = 3000


@dataclass
class Report:
    done: Counter[str]
    before: census.Census
    after: census.Census
    problems: list[str]


async def soak(seconds: float, seed: int, warm_up: int, tell=lambda text: None) -> Report:
    """Churn for so many seconds, after `warm_up` jobs of each kind."""
    loop = asyncio.get_running_loop()
    complaints = []
    loop.set_exception_handler(lambda loop, context: complaints.append(f"reported: {context}"))
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(2))
    with tempfile.TemporaryDirectory() as folder:
        town = Town(loop, folder)
        await town.open()
        watched = {
            "loop": loop,
            "server's context": town.server_context,
            "client's context": town.client_context,
            "payload": PAYLOAD,
        }
        # Whatever grows once (threads, pools, caches) grows here; with more at once than later.
        for job in WEIGHTS:
            generator = random.Random(seed)
            for _ in range(0, warm_up, 2 * AT_ONCE):
                await asyncio.gather(*(job(town, generator) for _ in range(2 * AT_ONCE)))
        await rest(loop)
        before = census.take(watched)
        tell(f"after the warm-up: {before}")
        done = Counter()
        end = loop.time() + seconds
        await asyncio.gather(*(work(town, random.Random(f"{seed} {number}"), end, done) for number in range(AT_ONCE)))
        await rest(loop)
        after = census.take(watched)
        tell(f"after {done.total()} jobs: {after}")
        await town.close()
    return Report(done, before, after, complaints + after.grown_since(before))


async def work(town, generator, end, done) -> None:
    """Do jobs until it is late."""
    while town.loop.time() < end:
        (job,) = generator.choices(list(WEIGHTS), list(WEIGHTS.values()))
        try:
            async with asyncio.timeout(SECONDS_PER_JOB):
                await job(town, generator)
        except Exception as error:
            error.add_note(f"in the job {job.__name__}")
            raise
        done[job.__name__] += 1


async def rest(loop) -> None:
    """Wait until all that is left is what was there from the beginning: the far ends of connections have to hear of
    the end as well."""
    me = asyncio.current_task()
    for turn in range(TURNS_TO_REST):
        if asyncio.all_tasks() == {me} and not list(loop._transports.values()):
            # They end when they have had nothing to do for a while.
            while threads_named("tulipa-files") or threads_named("tulipa-storage"):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)  # the handle of the present turn holds what this task waited for
            return
        if turn % 100 == 99:
            gc.collect()  # asyncio's mapping has transports that have ended, as long as something holds them
        await asyncio.sleep(0.001)
    raise AssertionError(f"left: {asyncio.all_tasks() - {me}}, {list(loop._transports.values())}")

"""The process whose instructions and system calls are counted: one loop, path after path.

    subject.py LOOP PATHS ROUNDS

It marks the borders of what counts by a system call that nothing else makes, `getpgid`: callgrind writes down what it
has counted when it meets the function, strace shows the call. Between the marks of each path stand ROUNDS rounds and
then twice as many, so that the difference holds the rounds alone; and that SPANS times, since now and then a table
grows or the interpreter thinks again about a piece of code. Prints the paths as they are done.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import sys

import paths

WARM_UP = 5
SPANS = 5


def mark() -> None:
    os.getpgid(0)


async def count(path: paths.Path, rounds: int) -> None:
    loop = asyncio.get_running_loop()
    async with path.prepare(loop) as run:
        await run(WARM_UP)
        gc.collect()
        for number in (rounds, 2 * rounds) * SPANS:
            mark()
            await run(number)
            mark()


def main() -> None:
    name, chosen, rounds = sys.argv[1:]
    known = {path.name: path for path in (*paths.FAR_ENDS, *paths.PATHS)}
    # When a collection comes depends on all that was made before, in other paths too.
    gc.disable()
    with asyncio.Runner(loop_factory=importlib.import_module(name).new_event_loop) as runner:
        for word in chosen.split(","):
            runner.run(count(known[word], int(rounds)))
            print(word, flush=True)


if __name__ == "__main__":
    main()

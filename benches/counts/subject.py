"""The process whose instructions and system calls are counted: one loop, path after path.

    subject.py LOOP PATHS ROUNDS LAYOUT

It marks the borders of what counts by a system call that nothing else makes, `getpgid`: callgrind writes down what it
has counted when it meets the function, strace shows the call. Between the marks of each path stand ROUNDS rounds and
then twice as many, so that the difference holds the rounds alone; and that some times, since now and then a table
grows or the interpreter thinks again about a piece of code. Prints the paths as they are done.

CPython's cache of methods goes by the addresses of names and the versions of types: two that are often asked for may
fall on the same entry, and then a path costs a quarter more, by accident. LAYOUT moves both, so that such an accident
can be told from a loss.
"""

from __future__ import annotations

import sys

# Before anything is imported. A type has a version from when it is first asked for something.
LAYOUT = int(sys.argv[4])
SPACE = [bytes(20 + number % 400) for number in range(LAYOUT * 777)]
TYPES = [type("Type", (), {})().__doc__ for _ in range(LAYOUT * 37)]

import asyncio  # noqa: E402
import gc  # noqa: E402
import importlib  # noqa: E402
import os  # noqa: E402

import paths  # noqa: E402

WARM_UP = 5


def mark() -> None:
    os.getpgid(0)


async def count(path: paths.Path, rounds: int) -> None:
    loop = asyncio.get_running_loop()
    async with path.prepare(loop) as run:
        await run(WARM_UP)
        gc.collect()
        for number in (rounds, 2 * rounds) * paths.SPANS:
            mark()
            await run(number)
            mark()


def main() -> None:
    name, chosen, rounds, _ = sys.argv[1:]
    known = {path.name: path for path in (*paths.FAR_ENDS, *paths.PATHS)}
    # When a collection comes depends on all that was made before, in other paths too.
    gc.disable()
    with asyncio.Runner(loop_factory=importlib.import_module(name).new_event_loop) as runner:
        for word in chosen.split(","):
            runner.run(count(known[word], int(rounds)))
            print(word, flush=True)


if __name__ == "__main__":
    main()

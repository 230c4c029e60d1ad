"""The main job of an event loop, shown: `make demo`.

Three jobs, each on asyncio, uvloop and tulipa, side by side: an HTTP server of a public framework under load, a large
file that comes in through standard input, and 70 MB to a slow reader with a ticker beside it.

Each measurement runs in fresh processes with a time limit. The loops take turns within a round, so that what disturbs
the machine disturbs all three; the numbers are medians over the rounds. Ends with status 1 if tulipa failed a job.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import measure
from show import (
    Column,
    Measured,
    Outcome,
    console,
    kibibytes,
    machine,
    megabytes_per_second,
    microseconds,
    milliseconds,
    per_second,
    table,
)

LOOPS = ("asyncio", "uvloop", "tulipa")
ROUNDS = 3


@dataclass(frozen=True)
class Job:
    """What is done on each loop, and what is shown of it."""

    name: str
    title: str
    measure: Callable[[str], Measured]
    columns: tuple[Column, ...]
    note: str


def http(framework: str, title: str) -> Job:
    return Job(
        framework,
        title,
        functools.partial(measure.serve_http, framework=framework),
        (
            Column("requests/s", "requests_per_second", per_second, compared=True, bar=True),
            Column("CPU per request", "cpu_per_request", microseconds, compared=True),
        ),
        f"{measure.CONNECTIONS} kept-alive connections, one request at a time on each. CPU is the server's.",
    )


def jobs(file) -> tuple[Job, ...]:
    megabytes, rate = measure.SLOW_MEGABYTES, measure.SLOW_BYTES_PER_SECOND / 1e6
    return (
        http("uvicorn", "HTTP: uvicorn and Starlette"),
        http("aiohttp", "HTTP: aiohttp"),
        Job(
            "pipe",
            "Standard input: cat FILE | program, through connect_read_pipe",
            functools.partial(measure.read_stdin, file=file),
            (
                Column("throughput", "bytes_per_second", megabytes_per_second, compared=True, bar=True),
                Column("CPU in all", "cpu", milliseconds, compared=True),
                Column("bytes", "bytes", per_second),
            ),
            "Every byte is counted, and the last ones are compared. CPU is the reader's, for the whole file.",
        ),
        Job(
            "slow-reader",
            f"A slow reader: {megabytes} MB at {rate:.0f} MB/s, and a ticker every 10 ms beside it",
            measure.send_to_slow_reader,
            (
                Column("arrived, bytes", "bytes", per_second),
                Column("largest buffer", "buffer_max", kibibytes, worst=True),
                Column("memory growth", "memory_growth", kibibytes, worst=True),
                Column("latest tick", "late_max", milliseconds, worst=True),
                Column("CPU", "cpu", milliseconds, compared=True),
            ),
            "The sender stops at pause_writing(); the SHA-256 of what arrived is that of what was sent. CPU is the\n"
            "sender's; everything else is the worst of all rounds. A tick that is 10 ms late is a tick lost.",
        ),
    )  # fmt: skip


def run(job: Job, loops: list[str], rounds: int, say: Callable[[str], None]) -> dict[str, Outcome]:
    outcomes = {loop: Outcome() for loop in loops}
    for round_number in range(1, rounds + 1):
        for loop, outcome in outcomes.items():
            if outcome.failure is None:
                say(f"{job.title}: round {round_number} of {rounds}, {loop}")
                try:
                    outcome.measured.append(job.measure(loop))
                except measure.Failed as failed:
                    outcome.failure = f"failed in round {round_number}: {failed}"
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", default=",".join(LOOPS), help="which loops, separated by commas")
    parser.add_argument("--jobs", default="", help="which jobs: uvicorn, aiohttp, pipe, slow-reader")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each is measured")
    parser.add_argument("--json", metavar="FILE", help="write every single measurement there, too")
    options = parser.parse_args()
    loops = options.loops.split(",")
    if unknown := set(loops) - set(LOOPS):
        parser.error(f"no such loops: {', '.join(unknown)}")

    out = console()
    out.print(f"[bold]tulipa[/] beside asyncio and uvloop\n{machine()}\n", highlight=False)
    begun = time.monotonic()
    everything = {}
    with measure.large_file() as file:
        chosen = [job for job in jobs(file) if not options.jobs or job.name in options.jobs.split(",")]
        for job in chosen:
            with out.status(job.title) as status:
                outcomes = run(job, loops, options.rounds, status.update)
            out.print(table(job.title, job.columns, outcomes))
            for loop, outcome in outcomes.items():
                if outcome.failure is not None:
                    out.print(f"{loop} {outcome.failure}", style="red", markup=False)
            out.print(f"{job.note}\n", style="dim", highlight=False)
            everything[job.name] = {loop: asdict(outcome) for loop, outcome in outcomes.items()}
    here, there = measure.processors()
    where = f"processor {here}, its peer to {there}" if here != there else f"the only processor, {here}, as its peer is"
    out.print(
        f"Numbers are medians of {options.rounds} rounds in fresh processes. What is measured is pinned to {where}.\n"
        f"{time.monotonic() - begun:.0f} s in all.",
        highlight=False,
    )
    if options.json:
        with open(options.json, "w") as file:
            json.dump(everything, file, indent=2)
    return int(any("tulipa" in each and each["tulipa"]["failure"] for each in everything.values()))


if __name__ == "__main__":
    sys.exit(main())

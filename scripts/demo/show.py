"""What a person sees: one table per job, and what is happening meanwhile.

Lives here: numbers become words and bars. Not here: measuring. Rule: each number is a median over the rounds (or the
worst of them, where the note says so), and a loop that failed stays in the table, with the reason below it.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

BASE = "asyncio"
BAR_WIDTH = 16
BUSY_NOTABLY = 0.15

Measured = dict[str, float]


@dataclass
class Outcome:
    """What came of one job on one loop, over all rounds."""

    measured: list[Measured] = field(default_factory=list)
    failure: str | None = None

    def works(self) -> bool:
        return self.failure is None and bool(self.measured)

    def median(self, name: str) -> float:
        return statistics.median(each[name] for each in self.measured)

    def worst(self, name: str) -> float:
        return max(each[name] for each in self.measured)


def per_second(count: float) -> str:
    return f"{count:,.0f}"


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} µs"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms"


def megabytes_per_second(count: float) -> str:
    return f"{count / 1e6:,.0f} MB/s"


def kibibytes(count: float) -> str:
    return f"{count / 1024:,.0f} KiB"


@dataclass(frozen=True)
class Column:
    """One number per loop."""

    heading: str
    name: str
    text: Callable[[float], str]
    # Beside it, how many times asyncio's it is.
    compared: bool = False
    # The worst round instead of the median.
    worst: bool = False
    bar: bool = False

    def value(self, outcome: Outcome) -> float:
        return outcome.worst(self.name) if self.worst else outcome.median(self.name)


def table(title: str, columns: tuple[Column, ...], outcomes: dict[str, Outcome]) -> Table:
    made = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    made.add_column("loop", style="bold", no_wrap=True)
    for column in columns:
        made.add_column(column.heading, justify="right", no_wrap=True)
        if column.compared:
            made.add_column(f"x {BASE}", justify="right", style="bold", no_wrap=True)
        if column.bar:
            made.add_column("", min_width=BAR_WIDTH)
    for loop, outcome in outcomes.items():
        if outcome.works():
            made.add_row(loop, *cells(columns, outcome, outcomes), style="green" if loop == "tulipa" else "")
        else:
            # Also where a row has no room for the reason: it is printed below the table.
            made.add_row(loop, Text("failed", style="bold red"))
    return made


def cells(columns: tuple[Column, ...], outcome: Outcome, outcomes: dict[str, Outcome]) -> list[str]:
    base = outcomes.get(BASE)
    found = []
    for column in columns:
        value = column.value(outcome)
        found.append(column.text(value))
        if column.compared:
            comparable = base is not None and base.works() and base is not outcome
            found.append(f"{value / column.value(base):.2f}" if comparable else "")
        if column.bar:
            found.append(bar(value / max(column.value(each) for each in outcomes.values() if each.works())))
    return found


def bar(share: float) -> str:
    eighths = round(share * BAR_WIDTH * 8)
    return "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8]


def machine() -> str:
    """Where the numbers come from, and whether it was at rest."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("tulipa", "uvloop", "uvicorn", "aiohttp"))
    lines = [f"{python}, {platform.system()} {platform.release()}, {processor()}", versions]
    if (share := busy()) > BUSY_NOTABLY:
        lines.append(f"Other programs keep this machine {share:.0%} busy: expect numbers that vary.")
    return "\n".join(lines)


def busy() -> float:
    """How much of the processors' time goes elsewhere, looked at for half a second."""
    try:
        (used_before, all_before), _, (used, all_) = processor_time(), time.sleep(0.5), processor_time()
    except OSError:
        return 0.0
    return (used - used_before) / max(1, all_ - all_before)


def processor_time() -> tuple[int, int]:
    with open("/proc/stat") as file:
        times = [int(word) for word in file.readline().split()[1:9]]
    waiting = times[3] + times[4]
    return sum(times) - waiting, sum(times)


def version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        models = []
    return f"{len(models)} x {models[0]}" if models else platform.machine()


def console() -> Console:
    made = Console()
    # A pipe or a log has no width of its own.
    return made if made.is_terminal else Console(width=110)

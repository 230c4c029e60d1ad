"""What came of a workload over all rounds: medians, ratios with their spread, tables, JSON.

Rule: a ratio compares two loops within one round, since what disturbs the machine then disturbs both. Shown is the
median of the rounds' ratios, and from where to where they go. What a loop does not support stays in the table.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import loops
from measure import Numbers, Processors
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from workloads.model import CPU, LATENCY, MEMORY, WORST, Workload

# From this share of its processor on, a client cannot ask for more.
CLIENT_IS_THE_LIMIT = 0.95


@dataclass
class Outcome:
    """One workload on one loop: its numbers round by round, or why there are none."""

    rounds: list[Numbers] = field(default_factory=list)
    unsupported: str | None = None
    failed: str | None = None

    @property
    def works(self) -> bool:
        return bool(self.rounds) and self.unsupported is None and self.failed is None

    def each(self, name: str) -> list[float]:
        return [derived(numbers)[name] for numbers in self.rounds]

    def median(self, name: str) -> float:
        return statistics.median(self.each(name))


@dataclass(frozen=True)
class Ratio:
    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


Outcomes = dict[str, Outcome]


def derived(numbers: Numbers) -> Numbers:
    seconds, operations = numbers["seconds"], numbers["operations"]
    more = {
        "cpu_per_operation": numbers["cpu"] / operations,
        "per_second": operations / seconds,
        "busy": numbers["cpu"] / seconds,
    }
    if "client_cpu" in numbers:
        more["client_busy"] = numbers["client_cpu"] / seconds
    return numbers | more


def ratio(one: Outcome, other: Outcome, judged: str = CPU) -> Ratio:
    """What is judged (the lower, the better), `one` against `other`, round by round."""
    pairs = zip(one.each(judged), other.each(judged), strict=True)
    ratios = [ours / theirs if theirs > 0 else float("nan") for ours, theirs in pairs]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def best_peer(outcomes: Outcomes, judged: str = CPU) -> str | None:
    """Of all loops but ours, the one with the lowest number. The limit is no loop."""
    peers = {
        name: outcome
        for name, outcome in outcomes.items()
        if name not in (loops.OURS, loops.LIMIT) and outcome.works
    }  # fmt: skip
    return min(peers, key=lambda name: peers[name].median(judged), default=None)


@dataclass(frozen=True)
class Column:
    heading: str
    show: Callable[[Outcome], str]


def columns(workload: Workload, outcomes: Outcomes) -> list[Column]:
    """What is shown of each loop: what is judged first, then what it is judged against, then everything else."""
    judged, base, limit = workload.judged, outcomes.get(loops.BASE), outcomes.get(loops.LIMIT)
    best = outcomes.get(best_peer(outcomes, judged) or "")
    numbers = {key for outcome in outcomes.values() if outcome.works for key in derived(outcome.rounds[0])}

    def number(key: str, show: Callable[[float], str]) -> Callable[[Outcome], str]:
        return lambda outcome: show(outcome.median(key)) if key in derived(outcome.rounds[0]) else ""

    def against(other: Outcome | None) -> Callable[[Outcome], str]:
        comparable = other is not None and other.works
        return lambda outcome: str(ratio(outcome, other, judged)) if comparable and outcome is not other else ""

    named = {
        CPU: Column("CPU/op", number(CPU, microseconds)),
        MEMORY: Column("memory each", number(MEMORY, count_bytes)),
        LATENCY: Column("p50", number(LATENCY, microseconds)),
    }
    made = [named.pop(judged), Column(f"x {loops.BASE}", against(base))]
    made.append(Column(f"x best peer ({best_peer(outcomes, judged)})" if best else "x best peer", against(best)))
    if limit is not None:
        made.append(Column(f"x {loops.LIMIT}", against(limit)))
    made += [named[key] for key in (CPU,) if key in named]
    made += [Column("ops/s", throughput), Column("busy", number("busy", percent))]
    made += [named[key] for key in (MEMORY, LATENCY) if key in named and key in numbers]
    if "p99" in numbers:
        made.append(Column("p99", number("p99", microseconds)))
    if judged == LATENCY:
        made.append(Column("worst", number(WORST, microseconds)))
    if "client_busy" in numbers:
        made.append(Column("client", number("client_busy", percent)))
    return made


def table(workload: Workload, outcomes: Outcomes) -> Table:
    made = Table(title=f"{workload.name}: {workload.title}", title_style="bold", title_justify="left", box=box.SIMPLE)
    made.add_column("loop", style="bold", no_wrap=True)
    shown = columns(workload, outcomes)
    for column in shown:
        made.add_column(column.heading, justify="right", no_wrap=True)
    for name, outcome in outcomes.items():
        if not outcome.works:
            made.add_row(name, Text("unsupported", "yellow") if outcome.unsupported else Text("failed", "bold red"))
            continue
        style = {loops.OURS: "green", loops.LIMIT: "dim"}.get(name, "")
        made.add_row(name, *(column.show(outcome) for column in shown), style=style)
    return made


def percent(share: float) -> str:
    return f"{share:.0%}"


def count_bytes(number: float) -> str:
    return f"{number:,.0f} B"


def microseconds(seconds: float) -> str:
    value = seconds * 1e6
    return f"{value:,.0f} µs" if value >= 100 else f"{value:.2f} µs"


def throughput(outcome: Outcome) -> str:
    numbers = derived(outcome.rounds[0])
    client = outcome.median("client_busy") if "client_busy" in numbers else 0.0
    limited = client > max(CLIENT_IS_THE_LIMIT, outcome.median("busy"))
    return f"{'≥ ' if limited else ''}{outcome.median('per_second'):,.0f}"


def reasons(outcomes: Outcomes) -> list[str]:
    """Why a loop has no numbers, for below the table."""
    return [
        f"{name}: {reason}" for name, outcome in outcomes.items() if (reason := outcome.unsupported or outcome.failed)
    ]


def machine(processors: Processors, names: list[str]) -> dict[str, object]:
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "loop_and_client_apart": processors.apart,
        "load_average": os.getloadavg()[0],
        "versions": {name: loops.version(name) for name in names},
    }


def as_json(workload: Workload, outcomes: Outcomes) -> dict[str, object]:
    """Every number of every round, and what the table says of them."""
    judged = workload.judged
    best = best_peer(outcomes, judged)
    others = {"asyncio": loops.BASE, "best_peer": best, "limit": loops.LIMIT}
    found: dict[str, object] = {}
    for name, outcome in outcomes.items():
        if not outcome.works:
            found[name] = {"unsupported": outcome.unsupported, "failed": outcome.failed}
            continue
        against = {}
        for word, other in others.items():
            comparable = other in outcomes and outcomes[other].works
            against[word] = vars(ratio(outcome, outcomes[other], judged)) if comparable else None
        found[name] = {
            "median": {key: outcome.median(key) for key in derived(outcome.rounds[0])},
            "against": against,
            "rounds": [derived(numbers) for numbers in outcome.rounds],
        }
    return {"title": workload.title, "judged": judged, "best_peer": best, "loops": found}


def console() -> Console:
    made = Console()
    # A pipe or a log has no width of its own.
    return made if made.is_terminal else Console(width=150)

"""What came of a workload over all rounds: medians, ratios with their spread, tables, JSON.

Rule: a ratio compares two loops within one round, since what disturbs the machine then disturbs both. Shown is the
median of the rounds' ratios, and from where to where they go. What a loop does not support stays in the table.
"""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import dataclass, field

import loops
from measure import Numbers, Processors
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from workloads.model import Served, Workload

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


def ratio(one: Outcome, other: Outcome) -> Ratio:
    """Processor time per operation, `one` against `other`, round by round."""
    costs = zip(one.each("cpu_per_operation"), other.each("cpu_per_operation"), strict=True)
    ratios = [ours / theirs for ours, theirs in costs]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def best_peer(outcomes: Outcomes) -> str | None:
    """Of all loops but ours, the one that spends least per operation."""
    peers = {name: outcome for name, outcome in outcomes.items() if name != loops.OURS and outcome.works}
    return min(peers, key=lambda name: peers[name].median("cpu_per_operation"), default=None)


def table(workload: Workload, outcomes: Outcomes) -> Table:
    base, best = outcomes.get(loops.BASE), best_peer(outcomes)
    served = isinstance(workload, Served)
    made = Table(title=f"{workload.name}: {workload.title}", title_style="bold", title_justify="left", box=box.SIMPLE)
    made.add_column("loop", style="bold", no_wrap=True)
    against_best = f"x best peer ({best})" if best else "x best peer"
    seen_by_client = ("p50", "p99", "client") if served else ()
    for heading in ("CPU/op", f"x {loops.BASE}", against_best, "ops/s", "busy", *seen_by_client):
        made.add_column(heading, justify="right", no_wrap=True)
    for name, outcome in outcomes.items():
        if not outcome.works:
            made.add_row(name, Text("unsupported", "yellow") if outcome.unsupported else Text("failed", "bold red"))
            continue
        comparable = base is not None and base.works and name != loops.BASE
        row = [
            microseconds(outcome.median("cpu_per_operation")),
            str(ratio(outcome, base)) if comparable else "",
            str(ratio(outcome, outcomes[best])) if best and name != best else "",
            throughput(outcome),
            f"{outcome.median('busy'):.0%}",
        ]
        if served:
            row += [
                microseconds(outcome.median("p50")),
                microseconds(outcome.median("p99")),
                f"{outcome.median('client_busy'):.0%}",
            ]
        made.add_row(name, *row, style="green" if name == loops.OURS else "")
    return made


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


def as_json(outcomes: Outcomes) -> dict[str, object]:
    """Every number of every round, and what the table says of them."""
    base, best = outcomes.get(loops.BASE), best_peer(outcomes)
    found: dict[str, object] = {}
    for name, outcome in outcomes.items():
        if not outcome.works:
            found[name] = {"unsupported": outcome.unsupported, "failed": outcome.failed}
            continue
        keys = derived(outcome.rounds[0])
        found[name] = {
            "median": {key: outcome.median(key) for key in keys},
            "cpu_against_asyncio": vars(ratio(outcome, base)) if base is not None and base.works else None,
            "cpu_against_best_peer": vars(ratio(outcome, outcomes[best])) if best else None,
            "rounds": [derived(numbers) for numbers in outcome.rounds],
        }
    return {"best_peer": best, "loops": found}


def console() -> Console:
    made = Console()
    # A pipe or a log has no width of its own.
    return made if made.is_terminal else Console(width=130)

"""The chart of a run: each loop against asyncio, workload by workload.

    chart.py NUMBERS.json CHART.svg

draws what `run.py --json` wrote; `run.py --chart` draws at once. The lower, the better; whiskers go from the lowest
round to the highest.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import loops

FORMATS = (".svg", ".png", ".pdf")
COLOURS = {
    loops.OURS: "#1b7837",
    "uvloop": "#4393c3",
    "rloop": "#d6604d",
    "zuvloop": "#f4a582",
    loops.PATCHED: "#c2a5cf",
    loops.LIMIT: "#bababa",
}
WIDTH, HEIGHT_OF_BAR, MARGIN = 9.0, 0.16, 1.6  # inches


def draw(document: dict, file: Path) -> None:
    # Only now: it takes longer to load than a short measurement does.
    import matplotlib

    matplotlib.use("agg")
    # A chart of the same numbers is the same file, and its words stay words.
    matplotlib.rcParams.update({"svg.hashsalt": "tulipa", "svg.fonttype": "none"})
    from matplotlib import pyplot

    rows = bars(document)
    figure, axes = pyplot.subplots(figsize=(WIDTH, MARGIN + HEIGHT_OF_BAR * 1.3 * max(len(rows), 4)))
    position, seen = 0.0, set()
    ticks = []
    for name, group in by_workload(rows).items():
        first = position
        for loop, against in group:
            low, high = against["median"] - against["low"], against["high"] - against["median"]
            axes.barh(
                position, against["median"], height=0.9, color=COLOURS[loop], xerr=[[low], [high]],
                error_kw={"elinewidth": 0.6, "ecolor": "#444444"}, label=None if loop in seen else loop,
            )  # fmt: skip
            seen.add(loop)
            position += 1
        ticks.append(((first + position - 1) / 2, name))
        position += 0.8
    axes.set_yticks([where for where, _ in ticks], [name for _, name in ticks], fontsize=7)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2], ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"])
    axes.set_xlabel("against asyncio: CPU per operation, or what the workload is about (the lower, the better)")
    axes.set_title(document["machine"]["python"], fontsize=9)
    if seen:
        axes.legend(fontsize=7, loc="best")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)
    pyplot.close(figure)


def bars(document: dict) -> list[tuple[str, str, dict[str, float]]]:
    """Workload, loop, and how it stands against asyncio; without what cannot be compared."""
    return [
        (name, loop, outcome["against"]["asyncio"])
        for name, workload in document["workloads"].items()
        for loop, outcome in workload["loops"].items()
        if loop != loops.BASE and outcome.get("against", {}).get("asyncio")
    ]


def by_workload(rows: list[tuple[str, str, dict[str, float]]]) -> dict[str, list[tuple[str, dict[str, float]]]]:
    grouped: dict[str, list[tuple[str, dict[str, float]]]] = {}
    for name, loop, against in rows:
        grouped.setdefault(name, []).append((loop, against))
    return grouped


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))

"""tulipa beside its peers: `make bench`, or `python benches/loop/run.py`.

Each measurement runs in fresh processes: the loop in one, on a processor of its own, and for workloads with a server
the client in another. The loops take turns within each round. What counts is the processor time that the loop's
process spends per operation, as the kernel accounts for it; throughput and latency, as the client sees them, stand
beside it. `busy` and `client` say how much of its processor each of the two had; where the client had all of its, the
loop could do more than the throughput says, which is then marked with a ≥. Where not processor time but latency or
memory is the point, that stands first and is compared. `C` is no loop but the limit: a bare epoll loop.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
from pathlib import Path

import chart
import limit
import loops
import report
import workloads
from measure import Failed, Processors, Unsupported, does_not_apply, measure, prepared_folder
from rich.markup import escape
from rich.table import Table
from workloads.model import Workload

SECONDS = 0.4
ROUNDS = 3


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", help=f"separated by commas; those installed of {', '.join(loops.NAMES)}")
    parser.add_argument("--workloads", help="names or patterns such as 'echo/*,tls/*', or '*'; else the usual ones")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each is measured ({ROUNDS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long each time ({SECONDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers of all rounds there, too")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw what is compared: .svg, .png or .pdf")
    parser.add_argument("--list", action="store_true", help="name the workloads, and end")
    return parser


def chosen_loops(parser: argparse.ArgumentParser, asked: str | None) -> list[str]:
    names = asked.split(",") if asked else list(loops.NAMES)
    if unknown := set(names) - set(loops.NAMES):
        parser.error(f"no such loops: {', '.join(sorted(unknown))}")
    missing = [name for name in names if loops.version(name) is None]
    if missing and asked:
        parser.error(f"not installed: {', '.join(missing)}; `make bench` installs the peers")
    return [name for name in names if name not in missing]


def chosen_workloads(parser: argparse.ArgumentParser, asked: str | None) -> list[Workload]:
    if asked is None:
        return [workload for workload in workloads.ALL.values() if workload.usual]
    patterns = asked.split(",")
    for pattern in patterns:
        if not fnmatch.filter(workloads.ALL, pattern):
            parser.error(f"no such workload: {pattern}; --list names them")
    return [
        workload
        for name, workload in workloads.ALL.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]


def listing() -> Table:
    made = Table("name", "what", "usual", box=None)
    for workload in workloads.ALL.values():
        made.add_row(workload.name, workload.title, "yes" if workload.usual else "")
    return made


def main() -> int:
    parser = arguments()
    options = parser.parse_args()
    out = report.console()
    if options.list:
        out.print(listing())
        return 0
    for file in (options.json, options.chart):
        if file and not file.absolute().parent.is_dir():
            parser.error(f"there is no folder for {file}")
    if options.chart and options.chart.suffix not in chart.FORMATS:
        parser.error(
            f"--chart writes {', '.join(chart.FORMATS)}, not {options.chart.suffix or 'a file without ending'}"
        )
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    names = chosen_loops(parser, options.loops)
    if options.chart and loops.BASE not in names:
        parser.error(f"a chart compares with {loops.BASE}, which is not among the loops")
    chosen = chosen_workloads(parser, options.workloads)
    processors = Processors.of_this_machine()
    machine = report.machine(processors, names)
    out.print(f"{machine['python']}, {machine['system']}, {machine['processors']} processors", highlight=False)
    out.print(", ".join(f"{name} {version}" for name, version in machine["versions"].items()), highlight=False)
    if not processors.apart:
        out.print("There is one processor only: loop and client share it, and disturb each other.")

    everything: dict[str, report.Outcomes] = {}
    with prepared_folder() as folder:
        if loops.LIMIT in names:
            try:
                limit.build(folder)
            except limit.NoCompiler as reason:
                out.print(f"The limit is left out: {reason}", markup=False)
                names.remove(loops.LIMIT)
        for workload in chosen:
            outcomes = {name: report.Outcome() for name in names if not does_not_apply(name, workload)}
            for number in range(1, options.rounds + 1):
                for name, outcome in outcomes.items():
                    if outcome.unsupported or outcome.failed:
                        continue
                    with out.status(f"{workload.name}: round {number} of {options.rounds}, {name}"):
                        try:
                            outcome.rounds.append(measure(name, workload, folder, processors, options.seconds))
                        except Unsupported as reason:
                            outcome.unsupported = str(reason)
                        except Failed as reason:
                            outcome.failed = f"round {number}: {reason}"
            everything[workload.name] = outcomes
            out.print(report.table(workload, outcomes))
            for reason in report.reasons(outcomes):
                out.print(escape(f"  {reason}"), highlight=False)
    document = {
        "machine": machine,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "workloads": {
            name: report.as_json(workloads.ALL[name], outcomes) for name, outcomes in everything.items()
        },
    }  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.chart:
        chart.draw(document, options.chart)
    ours = [outcomes[loops.OURS] for outcomes in everything.values() if loops.OURS in outcomes]
    return 1 if any(not outcome.works for outcome in ours) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

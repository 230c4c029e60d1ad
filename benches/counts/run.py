"""Instructions and system calls per operation against their budgets: `make counts`.

A process runs path after path, under callgrind and again under strace; what it did in so many rounds is taken from what
it did in twice as many. Neither tool looks at a clock, so a busy machine gives the same numbers as an idle one. The
share of the far ends, which live in the same process, is measured alone and taken off.

`budgets.json` holds what each path may cost. Instructions depend on how the interpreter and its libraries were built:
they are judged only on the Python that they were recorded on; system calls, on each version that has a record.
With --keep the profiles stay: `callgrind_annotate --threshold=100 --auto=no FILE` shows which functions it was.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import platform
import shutil
import signal
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import paths
import tools
import trustme
from rich.console import Console
from rich.table import Table
from tools import Counts

HERE = Path(__file__).resolve().parent
BUDGETS = HERE / "budgets.json"
LOOP = "tulipa"
ROUNDS = 4
# What may be added to a budget before it counts as broken.
INSTRUCTIONS = 0.03  # of the budget
SYSTEM_CALLS = 0.02  # per operation: the heap grows now and then

# Under so many layouts of addresses a path may be counted before it is said to have become slower; see subject.py.
LAYOUTS = 3

VERSION = "{}.{}".format(*sys.version_info[:2])


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", default="*", help="names or patterns such as 'echo*,tls'; else all")
    parser.add_argument("--loop", default=LOOP, help=f"a package with a new_event_loop; else {LOOP}, which has budgets")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of each path ({ROUNDS})")
    parser.add_argument("--record", action="store_true", help="make what is counted now the budget")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all counts there, too")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave callgrind's profile of each path there")
    parser.add_argument("--list", action="store_true", help="name the paths, and end")
    return parser


def this_build() -> dict[str, str]:
    """What instruction counts depend on beside this project."""
    return {
        "python": f"{platform.python_version()} {' '.join(platform.python_build())} {platform.python_compiler()}",
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "openssl": ssl.OPENSSL_VERSION,
    }


@dataclass(frozen=True)
class Counter:
    """Counts paths on a loop, in fresh processes each time."""

    loop: str
    rounds: int
    folder: Path
    keep: Path | None

    def counts(self, chosen: list[paths.Path], layout: int = 0, with_calls: bool = True) -> dict[str, Counts]:
        """Per operation of each path, the far ends' share taken off."""
        needed = {path.far_end for path in chosen}
        everything = [path for path in paths.FAR_ENDS if path.name in needed] + chosen
        names = [path.name for path in everything]
        command = [sys.executable, HERE / "subject.py", self.loop, ",".join(names), str(self.rounds), str(layout)]
        # strace first: it leaves compiled files behind, so that all processes under callgrind load the same ones.
        calls = tools.system_calls(command, self.folder, len(names)) if with_calls else None
        instructions = tools.instructions(command, self.folder, names, self.keep)
        raw = {
            path.name: Counts(
                instructions and instructions[number], calls and calls[number]
            ).each(self.rounds * path.operations)
            for number, path in enumerate(everything)
        }  # fmt: skip
        return {
            path.name: raw[path.name].without(raw[path.far_end]) if path.far_end else raw[path.name] for path in chosen
        }

    def lowest(self, chosen: list[paths.Path], enough: Callable[[str, Counts], bool]) -> dict[str, Counts]:
        """Counted again under other layouts, the lowest taken, as long as a path does not have `enough`."""
        found = self.counts(chosen)
        for layout in range(1, LAYOUTS):
            again = [path for path in chosen if not enough(path.name, found[path.name])]
            if not again or found[again[0].name].instructions is None:
                break
            for name, counts in self.counts(again, layout, with_calls=False).items():
                found[name] = found[name].lower(counts)
        return found


@contextlib.contextmanager
def prepared_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tulipa-counts-") as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "authority.pem")
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        yield folder


def breaches(found: Counts, budget: Counts | None, same_build: bool) -> list[str]:
    """What costs more than it may."""
    if budget is None:
        return ["no budget: --record makes one"]
    broken = []
    if same_build and too_many_instructions(found, budget):
        broken.append(f"{found.instructions:,.0f} instructions, budget {budget.instructions:,.0f}")
    if None not in (found.calls, budget.calls):
        for name in sorted(found.calls.keys() | budget.calls.keys()):
            now, before = found.calls.get(name, 0.0), budget.calls.get(name, 0.0)
            if now > before + SYSTEM_CALLS:
                broken.append(f"{now:.2f} {name}, budget {before:.2f}")
    return broken


def too_many_instructions(found: Counts, budget: Counts) -> bool:
    if None in (found.instructions, budget.instructions):
        return False
    return found.instructions > budget.instructions * (1 + INSTRUCTIONS)


def table(title: str, found: dict[str, Counts], budgets: dict[str, Counts], same_build: bool) -> Table:
    made = Table(title=title, title_style="bold", title_justify="left", box=None)
    for heading in ("path", "instructions", "budget", "", "system calls", ""):
        made.add_column(heading, justify="right" if heading in ("instructions", "budget") else "left")
    for name, counts in found.items():
        budget = budgets.get(name)
        change = ""
        if same_build and budget and None not in (counts.instructions, budget.instructions):
            change = f"{counts.instructions / budget.instructions - 1:+.1%}"
        broken = bool(budgets) and bool(breaches(counts, budget, same_build))
        made.add_row(
            name,
            "" if counts.instructions is None else f"{counts.instructions:,.0f}",
            f"{budget.instructions:,.0f}" if budget and budget.instructions is not None else "",
            change,
            counts.calls_in_words(),
            "[bold red]too much" if broken else "",
        )
    return made


def load() -> dict[str, dict]:
    return json.loads(BUDGETS.read_text()) if BUDGETS.exists() else {}


def record(found: dict[str, Counts]) -> None:
    """Budgets of this version; paths that were not counted now keep theirs if the build is the same."""
    document = load()
    before = document.get(VERSION, {})
    kept = before.get("paths", {}) if before.get("build") == this_build() else {}
    merged = kept | {name: counts.as_json() for name, counts in found.items()}
    document[VERSION] = {
        "build": this_build(),
        "paths": {path.name: merged[path.name] for path in paths.PATHS if path.name in merged},
    }
    BUDGETS.write_text(json.dumps(dict(sorted(document.items())), indent=1) + "\n")


def main() -> int:
    parser = arguments()
    options = parser.parse_args()
    out = Console()
    out = out if out.is_terminal else Console(width=150)
    if options.list:
        for path in paths.PATHS:
            out.print(f"{path.name:22} {path.title}", highlight=False)
        return 0
    patterns = options.paths.split(",")
    chosen = [path for path in paths.PATHS if any(fnmatch.fnmatchcase(path.name, one) for one in patterns)]
    if not chosen:
        parser.error(f"no such path: {options.paths}; --list names them")
    if options.rounds < 1:
        parser.error("--rounds must be positive")
    if options.record and options.loop != LOOP:
        parser.error(f"only {LOOP} has budgets")
    recorded = load().get(VERSION) if options.loop == LOOP else None
    same_build = bool(recorded) and recorded["build"] == this_build()
    if shutil.which("valgrind") is None and shutil.which("strace") is None:
        out.print("neither valgrind nor strace is on PATH; on Debian: apt-get install valgrind strace")
        return 1

    budgets = {name: Counts.from_json(budget) for name, budget in recorded["paths"].items()} if recorded else {}

    def enough(name: str, counts: Counts) -> bool:
        if options.record:
            return False
        return not same_build or name not in budgets or not too_many_instructions(counts, budgets[name])

    try:
        with prepared_folder() as folder:
            found = Counter(options.loop, options.rounds, folder, options.keep).lowest(chosen, enough)
    except tools.Failed as error:
        out.print(str(error), markup=False)
        return 1
    title = f"{options.loop} on CPython {platform.python_version()}, per operation"
    out.print(table(title, found, {} if options.record else budgets, same_build), highlight=False)
    if options.json:
        document = {"loop": options.loop, "build": this_build()}
        document["paths"] = {name: counts.as_json() for name, counts in found.items()}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.record:
        record(found)
        out.print(f"recorded in {BUDGETS.relative_to(Path.cwd()) if BUDGETS.is_relative_to(Path.cwd()) else BUDGETS}")
        return 0
    if options.loop != LOOP:
        return 0
    if not recorded:
        out.print(f"There are no budgets for Python {VERSION}: nothing was judged.", style="yellow")
        return 0
    if not same_build and any(budget.instructions is not None for budget in budgets.values()):
        out.print("The instructions were not judged: they were recorded on another build.", style="yellow")
        for name, here in this_build().items():
            if here != recorded["build"].get(name):
                out.print(f"  {name}: {here}; recorded on {recorded['build'].get(name)}", highlight=False, markup=False)
    broken = {name: breaches(counts, budgets.get(name), same_build) for name, counts in found.items()}
    for name, sentences in broken.items():
        for sentence in sentences:
            out.print(f"{name}: {sentence}", style="bold red", highlight=False)
    return 1 if any(broken.values()) else 0


if __name__ == "__main__":
    # What runs under the tools has a session of its own, and is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)

"""The two tools that count, and what they write down: callgrind for instructions, strace for system calls.

A tool that is missing, or is not allowed to trace, gives None, with a word on standard error.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import far
import paths

# All paths under callgrind take half a minute of processor time.
LIMIT = 600
# `mark` of subject.py, under both names that the C library has for it.
MARKS = ("getpgid", "__getpgid")
# A path has this many: around its rounds, around twice as many, and so on.
MARKS_PER_PATH = 4 * paths.SPANS

CALL = re.compile(r"^(?:\d+ +)?(?P<name>\w+)\((?P<first>\w*)")


class Failed(Exception):
    """The process under the tool did not come to its end."""


@dataclass(frozen=True)
class Counts:
    """Per operation; None where a tool is missing."""

    instructions: float | None
    calls: dict[str, float] | None

    def each(self, operations: int) -> Counts:
        instructions = None if self.instructions is None else self.instructions / operations
        calls = None if self.calls is None else {name: count / operations for name, count in self.calls.items()}
        return Counts(instructions, calls)

    def lower(self, other: Counts) -> Counts:
        """With the lower number of instructions of the two."""
        return Counts(min(self.instructions, other.instructions), self.calls)

    def without(self, far_end: Counts) -> Counts:
        """The system calls of a far end are told apart already."""
        if self.instructions is None:
            return self
        return Counts(self.instructions - far_end.instructions, self.calls)

    def calls_in_words(self) -> str:
        if self.calls is None:
            return "not counted"
        often = sorted((item for item in self.calls.items() if item[1] >= 0.005), key=lambda item: -item[1])
        return ", ".join(f"{count:.2f} {name}" for name, count in often)

    def as_json(self) -> dict[str, object]:
        calls = self.calls and {name: round(count, 3) for name, count in sorted(self.calls.items()) if count >= 0.005}
        return {"instructions": self.instructions and round(self.instructions), "calls": calls}

    @classmethod
    def from_json(cls, document: dict) -> Counts:
        return cls(document["instructions"], document["calls"])


def run(command: list[object], folder: Path) -> None:
    """To the end, in an environment in which nothing differs from run to run."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "COUNTS_FOLDER": str(folder),
    }
    with subprocess.Popen(
        [*map(str, command)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Failed(f"{command[0]} took longer than {LIMIT} s") from None
        finally:
            # The traced process, too: one that its tracer has let go of would live on.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise Failed(f"under {command[0]}:\n{said.decode(errors='replace')}")


def instructions(command: list[object], folder: Path, names: list[str], keep: Path | None) -> list[int] | None:
    """Of the rounds of each path."""
    if shutil.which("valgrind") is None:
        print("valgrind is not on PATH: no instructions are counted", file=sys.stderr)
        return None
    profile = folder / "profile"
    options = [f"--dump-before={mark}" for mark in MARKS]
    # Each part names its functions in full, and can be read without the others.
    options += ["--compress-strings=no", f"--callgrind-out-file={profile}"]
    run([*same_addresses(), "valgrind", "--tool=callgrind", *options, *command], folder)
    # The part with number n is what lies before the mark with number n; the first one is the start.
    totals = [total(folder / f"profile.{number}") for number in range(1, MARKS_PER_PATH * len(names) + 1)]
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names, 1):
            part = folder / f"profile.{MARKS_PER_PATH * number}"
            shutil.copyfile(part, keep / f"callgrind.out.{name.replace('/', '-')}")
    return [round(of_rounds(totals[first + 1 : first + MARKS_PER_PATH : 2])) for first in starts(len(names))]


def same_addresses() -> tuple[str, ...]:
    """What comes before a command to give it the same addresses each time, and so the same hashes of objects."""
    fixed = ("setarch", "--addr-no-randomize")
    if shutil.which("setarch") and subprocess.run([*fixed, "true"], capture_output=True, check=False).returncode == 0:
        return fixed
    return ()


def starts(count: int) -> range:
    return range(0, MARKS_PER_PATH * count, MARKS_PER_PATH)


def of_rounds(spans: Sequence[float]) -> float:
    """What the rounds cost: once and twice as many take turns in `spans`."""
    return statistics.median(spans[1::2]) - statistics.median(spans[::2])


def total(part: Path) -> int:
    found = re.search(r"^(?:totals|summary): (\d+)", part.read_text(errors="replace"), re.MULTILINE)
    if found is None:
        raise Failed(f"callgrind left no total in {part.name}")
    return int(found[1])


def system_calls(command: list[object], folder: Path, count: int) -> list[dict[str, int]] | None:
    """Of the rounds of each path, by name; those of the far ends are left out."""
    trace = folder / "trace"
    if shutil.which("strace") is None:
        print("strace is not on PATH: no system calls are counted", file=sys.stderr)
        return None
    probe = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        print(f"strace cannot trace here: {probe.stderr.strip()}", file=sys.stderr)
        return None
    run(["strace", "-f", "-o", trace, *command], folder)
    spans: list[collections.Counter[str]] = [collections.Counter()]
    with trace.open(errors="replace") as lines:
        for line in lines:
            if (call := CALL.match(line)) is None:
                continue  # a signal, an exit, or the second half of a call that another thread came between
            if call["name"] == MARKS[0]:
                spans.append(collections.Counter())
            elif not (call["first"].isdigit() and int(call["first"]) >= far.FIRST):
                spans[-1][call["name"]] += 1
    if len(spans) != MARKS_PER_PATH * count + 1:
        raise Failed(f"strace saw {len(spans) - 1} marks instead of {MARKS_PER_PATH * count}")
    names = sorted({name for span in spans[1:] for name in span})
    found = []
    for first in starts(count):
        measured = spans[first + 1 : first + MARKS_PER_PATH : 2]
        found.append({name: round(of_rounds([span[name] for span in measured])) for name in names})
    return found

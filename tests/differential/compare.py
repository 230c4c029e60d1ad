"""Runs a program on two loops, and says where their traces differ."""

from __future__ import annotations

import difflib
import gc

from tests.differential.interpreter import Traces, run
from tests.differential.program import Program

TRIES = (1, 1, 5)
"""How patient each try is. What the kernel delivers late on a busy machine is no difference of the loops."""


def differences(program: Program, one, other) -> str:
    """What differs between the loops of two factories, each time that it is tried; empty if nothing does."""
    text = ""
    for patience in TRIES:
        text = diff(run(program, one, patience=patience), run(program, other, patience=patience))
        gc.collect(0)
        if not text:
            return ""
    return text


def diff(first: Traces, second: Traces) -> str:
    lines = []
    for actor in sorted(first.keys() | second.keys()):
        old, new = first.get(actor, []), second.get(actor, [])
        if old != new:
            lines.append(f"[{actor}]")
            lines += list(difflib.ndiff(old, new))
    return "\n".join(lines)


def show(program: Program, one, other) -> str:
    """Both traces of a program, side by side, whether they differ or not."""
    first, second = run(program, one), run(program, other)
    lines = []
    for actor in sorted(first.keys() | second.keys()):
        lines.append(f"[{actor}]")
        lines += list(difflib.ndiff(first.get(actor, []), second.get(actor, [])))
    return "\n".join(lines)

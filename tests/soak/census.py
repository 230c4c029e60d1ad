"""What a process holds: memory, descriptors, threads, children, objects and references."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.support.children import children
from tests.support.descriptors import open_descriptors

MEBIBYTE = 1 << 20
MARGIN = 4 * MEBIBYTE
"""By how much the resident memory may grow after the warm-up. The allocators keep some pages that are no longer full:
one to two megabytes here. Two minutes are ten to fifty thousand jobs, so a leak of a few hundred
bytes a job is more."""

COUNTED = ("tulipa", "asyncio", "_asyncio", "ssl", "_ssl", "socket", "_socket", "subprocess", "tests.soak.jobs")
"""Objects of these modules, and of those below them, are counted by type."""


@dataclass(frozen=True)
class Census:
    resident: int
    descriptors: Counter[str]
    threads: int
    children: int
    objects: Counter[str]
    references: dict[str, int]

    def grown_since(self, before: Census) -> list[str]:
        """What there is more of, in words."""
        found = []
        if self.resident - before.resident > MARGIN:
            found.append(f"memory: {before.resident / MEBIBYTE:.1f} to {self.resident / MEBIBYTE:.1f} MiB")
        for word in ("descriptors", "objects"):
            old, new = getattr(before, word), getattr(self, word)
            found += [f"{word}: {name}: {old[name]} to {new[name]}" for name in new if new[name] > old[name]]
        for word in ("threads", "children"):
            old, new = getattr(before, word), getattr(self, word)
            if new > old:
                found.append(f"{word}: {old} to {new}")
        for name, count in self.references.items():
            if count > before.references[name]:
                found.append(f"references to the {name}: {before.references[name]} to {count}")
        return found

    def __str__(self) -> str:
        return (
            f"{self.resident / MEBIBYTE:.1f} MiB, {self.descriptors.total()} descriptors, {self.threads} threads, "
            f"{self.children} children, {self.objects.total()} objects"
        )


def take(watched: dict[str, object]) -> Census:
    """Count, after everything that nobody holds is gone. References are counted of the objects given."""
    for _ in range(3):
        gc.collect()
    counted = Counter(filter(None, map(name_of, gc.get_objects())))
    give_back()
    return Census(
        resident=resident(),
        descriptors=Counter(re.sub(r"\d+", "N", target) for target in open_descriptors().values()),
        threads=len(os.listdir("/proc/self/task")),
        children=len(children()),
        objects=counted,
        references={name: sys.getrefcount(thing) for name, thing in watched.items()},
    )


def resident() -> int:
    """Bytes of memory that the process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def name_of(thing) -> str | None:
    kind = type(thing)
    module = kind.__module__
    if isinstance(module, str) and module.startswith(COUNTED):
        return f"{module}.{kind.__qualname__}"
    return None


def give_back() -> None:
    """Have the C library return the pages that it holds for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

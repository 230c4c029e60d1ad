"""Child processes: which there are, and programs whose start takes until the test allows it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal

import pytest


def children() -> list[int]:
    """The children of this process, dead ones that nobody has reaped included."""
    found = []
    for task in os.listdir("/proc/self/task"):
        # A thread may end meanwhile, asyncio's of children before 3.12 for instance.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/self/task/{task}/children") as file:
                found += [int(number) for number in file.read().split()]
    return sorted(found)


@contextlib.contextmanager
def held_back(folder, name="true"):
    """A copy of a program that the kernel does not execute before `release()`, which the end calls at the latest.

    Gives (path, release). The kernel lets whoever wants to open a file wait until a lease on it is given back.
    """
    path = folder / f"held-{name}"
    shutil.copy(shutil.which(name), path)
    # The news that somebody waits, which would end this process otherwise.
    previous = signal.signal(signal.SIGIO, signal.SIG_IGN)
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    closed = False

    def release():
        nonlocal closed
        if not closed:
            closed = True
            os.close(file)
            signal.signal(signal.SIGIO, previous)

    try:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as exc:
            pytest.skip(f"no leases on this file system: {exc}")
        yield path, release
    finally:
        release()


async def transport_ended(process) -> None:
    """Wait until a process has no open pipe either, for which `wait` waits up to Python 3.13 only."""
    while process._transport.get_protocol() is not None:
        await asyncio.sleep(0.001)


def state_of(process: int) -> str:
    """The letter of proc(5): S for a process that waits, Z for one that nobody has reaped; nothing for none."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""

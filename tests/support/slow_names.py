"""Child programs in which some names are looked up as slowly as the test likes; see `slow_names.c`."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.support.programs import check_program

SOURCE = Path(__file__).with_name("slow_names.c")

# What such a program has at hand.
PREAMBLE = """
    import fcntl, os, socket, sys
    folder = os.environ["TEST_NAMES"]
    gate_file = open(f"{folder}/gate", "w")
    def shut_gate(): fcntl.flock(gate_file, fcntl.LOCK_EX)
    def open_gate(): fcntl.flock(gate_file, fcntl.LOCK_UN)
    def asked():
        try:
            with open(f"{folder}/asked") as file:
                return file.read().split()
        except FileNotFoundError:
            return []
    async def until(condition):
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.001)
    def threads(name="tulipa-names"):
        found = []
        for task in os.listdir("/proc/self/task"):
            try:
                with open(f"/proc/self/task/{task}/comm") as file:
                    found.append(file.read().strip())
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended
        return found.count(name)
"""


def compile_library(folder: Path) -> Path:
    """Compile the C library's stand-in into `folder`."""
    library = folder / "slow_names.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs a C compiler, `cc`")
    return library


def check_with_slow_names(backend, library: Path, folder: Path, source: str, **options) -> str:
    """Run a program that finds `shut_gate`, `open_gate`, `asked`, `until` and `threads`; what it printed."""
    env = {"LD_PRELOAD": str(library), "TEST_NAMES": str(folder), **options.pop("env", {})}
    program = textwrap.dedent(PREAMBLE) + textwrap.dedent(source)
    return check_program(backend, program, env=env, **options)

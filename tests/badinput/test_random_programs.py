"""Thousands of calls in random order survive: no abort, no panic, no hang, no descriptor left. # R1 # R3 # R7 # R9

A failing seed is printed, and the run repeats:
`python tests/support/random_program.py epoll SEED STEPS`. `TULIPA_FUZZ_SEEDS=1000` tries that many seeds.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "support" / "random_program.py"
SEEDS = range(int(os.environ.get("TULIPA_FUZZ_SEEDS", 4)))
STEPS = 2000


@pytest.mark.all_drivers
@pytest.mark.only_tulipa  # asyncio does not survive
@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_program_survives(backend, seed):
    done = subprocess.run(
        [sys.executable, str(PROGRAM), backend.driver or "asyncio", str(seed), str(STEPS)],
        capture_output=True,
        text=True,
        timeout=28,
        env={**os.environ, "PYTHONASYNCIODEBUG": "1" if seed % 3 == 2 else ""},
        check=False,
    )
    assert done.returncode == 0, (
        f"seed {seed}: exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    assert done.stdout.endswith("survived\n")

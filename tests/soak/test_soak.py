"""A few seconds of churn leave nothing behind: no memory, descriptor, thread, child, object or reference. # R5 # R9

`make soak` does the same for two minutes.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("engine", ["openssl", "memorybio"])
def test_a_short_churn_leaves_nothing_behind(backend, engine):
    if engine == "memorybio" and not backend.is_tulipa:
        pytest.skip("asyncio has one engine of TLS")
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--seconds", "3", "--seed", "1", "--flood", "128", "--loop", backend.name],
        cwd=ROOT,
        env={**os.environ, "TULIPA_TLS": engine},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""What the type checkers accept also runs: the programs beside this file are run as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAMS = sorted(path.stem for path in HERE.glob("[a-z]*.py") if not path.stem.startswith("test_"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_typed_program_runs(name: str) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", str(HERE / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

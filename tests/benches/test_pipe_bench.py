"""The benchmark of `tulipa pipe` moves the bytes through each tool that is there. How fast is no test's matter."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2] / "benches/pipe"
JOBS = ["stdin-to-stdout", "stdin-to-tcp", "tcp-to-tcp", "stdin-to-tls", "file-to-file"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("job", JOBS)
def test_each_tool_is_measured(job):
    done = subprocess.run(
        [sys.executable, HERE / "run.py", "--mib", "2", "--rounds", "1", "--jobs", job],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^{job} +tulipa +\d+ \([\d.]+\) +[\d.]+ \( *[\d.]+\)$", done.stdout, re.MULTILINE)


def test_the_memory_of_a_relay_is_measured():
    done = subprocess.run(
        ["bash", HERE / "constant_memory.sh", "0"],
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert re.search(r"^status 0, most memory \d+\.\d MiB$", done.stderr, re.MULTILINE)

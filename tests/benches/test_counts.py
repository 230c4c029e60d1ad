"""The counts against their budgets. What the budgets are is no test's matter: `make counts` judges that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tracing import require_strace

COUNTS = Path(__file__).resolve().parents[2] / "benches/counts"


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, COUNTS / "run.py", *map(str, arguments)],
        capture_output=True, text=True, timeout=50, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def strace_only(tmp_path):
    """A PATH without valgrind, under which a process takes seconds to start."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/strace").symlink_to(require_strace())
    (tmp_path / "bin/true").symlink_to(shutil.which("true"))
    return str(tmp_path / "bin")


@pytest.mark.parametrize("loop", ["asyncio", "tulipa"])
def test_the_far_ends_are_no_part_of_what_is_counted(tmp_path, strace_only, loop):
    file = tmp_path / "counts.json"
    done = run("--loop", loop, "--paths", "echo,udp", "--rounds", 1, "--json", file, PATH=strace_only)
    found = json.loads(file.read_text())["paths"]
    for path in ("echo", "udp"):
        assert found[path]["instructions"] is None
        calls = found[path]["calls"]
        # One message comes in and one goes out, whichever calls do it.
        assert sum(count for name, count in calls.items() if name.startswith("recv")) >= 1
        assert sum(count for name, count in calls.items() if name.startswith("send")) == 1
    assert loop != "asyncio" or done.returncode == 0, done.stdout + done.stderr


JUDGE = """
import json, run
from tools import Counts
budget = Counts(1000, {"recvmsg": 1.0, "sendmsg": 1.0})
def judged(instructions, same_build=True, **calls):
    return run.breaches(Counts(instructions, {"recvmsg": 1.0, "sendmsg": 1.0, **calls}), budget, same_build)
print(json.dumps({
    "within": judged(1020),
    "less": judged(500, sendmsg=0.0),
    "slower": judged(1050),
    "elsewhere": judged(1050, same_build=False),
    "another call": judged(1000, epoll_ctl=1.0),
    "twice": judged(1000, same_build=False, recvmsg=2.0),
    "unknown": run.breaches(Counts(1, {}), None, True),
}))
"""


def test_what_costs_more_than_its_budget_is_named():
    done = subprocess.run(
        [sys.executable, "-c", JUDGE], capture_output=True, text=True, timeout=50,
        env={**os.environ, "PYTHONPATH": str(COUNTS)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "within": [],
        "less": [],
        "slower": ["1,050 instructions, budget 1,000"],
        "elsewhere": [],
        "another call": ["1.00 epoll_ctl, budget 0.00"],
        "twice": ["2.00 recvmsg, budget 1.00"],
        "unknown": ["no budget: --record makes one"],
    }


def test_paths_are_named_and_a_wrong_name_is_refused():
    listed = run("--list")
    assert "streams/readexactly" in listed.stdout and listed.returncode == 0
    refused = run("--paths", "echo/33")
    assert refused.returncode == 2 and "no such path: echo/33" in refused.stderr

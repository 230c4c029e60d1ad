"""One thread holds as many connections as there are descriptors for. # N1"""

from __future__ import annotations

import resource
import subprocess

import pytest

from tests.examples.programs import command

WANTED = 15_000


@pytest.mark.timeout(150)
def test_fifteen_thousand_connections_in_one_thread():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(WANTED, most - 200)
    done = subprocess.run(command("many_connections.py", count), capture_output=True, text=True, timeout=140)
    assert done.returncode == 0, done.stderr
    held, ended = done.stdout.splitlines()
    assert held.startswith(f"{count:,} connections in 1 thread, ")
    assert 0 < int(held.split()[-3].replace(",", "")) < 8_000
    assert ended == "all closed, the clients ended with status 0"
    assert done.stderr == ""

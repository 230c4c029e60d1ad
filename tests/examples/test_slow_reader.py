"""70 MB to a slow reader: all of it arrives, and the buffer stays small. # V1"""

from __future__ import annotations

from tests.examples.programs import run


def test_all_arrives_in_bounded_memory():
    done = run("slow_reader.py", 20)
    assert done.returncode == 0, done.stderr
    arrived, buffer, ticks = done.stdout.splitlines()
    assert arrived == "20,000,000 bytes of 20,000,000 arrived"
    assert int(buffer.split()[-2]) <= 128
    assert int(ticks.split()[0]) > 10

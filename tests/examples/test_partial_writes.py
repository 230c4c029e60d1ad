"""Each way to send much to a slow reader does what it says, and only some let others go on. # V1 V2"""

from __future__ import annotations

from tests.examples.programs import run


def test_who_waits_for_room_alone_loses_nothing_and_stops_nobody():
    done = run("partial_writes.py", 8)
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    arrived = {way: int(words[1].replace(",", "")) for way, words in lines.items()}
    ticks = {way: int(words[4]) for way, words in lines.items()}
    assert arrived.pop("careless") < 8_000_000
    assert set(arrived.values()) == {8_000_000}
    assert ticks["blocking"] == ticks["selecting"] == 0
    assert min(ticks[way] for way in ("callbacks", "generator", "transport")) > 0

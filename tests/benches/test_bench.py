"""The benchmark brings numbers for each loop, or says why not. How large they are is no test's matter."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "benches/loop/run.py"
LOOPS = ("tulipa", "asyncio")
LIMIT = "C"


def bench(*arguments):
    return subprocess.run([sys.executable, RUN, *map(str, arguments)], capture_output=True, text=True, timeout=50)


def measured(tmp_path, workload, *more, loops=LOOPS):
    """What the file says of one workload, after two rounds that are as short as can be."""
    file = tmp_path / "numbers.json"
    done = bench(
        "--loops", ",".join(loops), "--workloads", workload, "--rounds", 2, "--seconds", 0.02, "--json", file, *more
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(file.read_text())
    assert list(document["workloads"]) == [workload]
    assert document["machine"]["loop_and_client_apart"] == (len(os.sched_getaffinity(0)) > 1)
    for loop in set(loops) & {*LOOPS}:
        assert re.search(rf"^ *{loop} .* µs ", done.stdout, re.MULTILINE), done.stdout
    return document["workloads"][workload]


@pytest.mark.parametrize("workload", ["echo/1k/32", "tls/1k/32", "udp/1k/1", "unix/1k/32", "sock/1k/1", "echo/100k/32"])
def test_a_server_is_measured_on_each_loop(tmp_path, workload):
    found = measured(tmp_path, workload)
    for loop in LOOPS:
        numbers = found["loops"][loop]
        assert len(numbers["rounds"]) == 2
        for one in numbers["rounds"]:
            assert one["operations"] > 0
            assert one["cpu_per_operation"] == pytest.approx(one["cpu"] / one["operations"])
            assert one["client_cpu"] > 0
            assert 0 < one["p50"] <= one["p99"]
    assert found["best_peer"] == "asyncio" and found["judged"] == "cpu_per_operation"


def test_scheduling_is_measured_on_each_loop(tmp_path):
    found = measured(tmp_path, "call_soon")
    for loop in LOOPS:
        assert all(one["operations"] > 0 and one["cpu"] > 0 for one in found["loops"][loop]["rounds"])
    ratio = found["loops"]["tulipa"]["against"]["asyncio"]
    assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    assert found["loops"]["asyncio"]["against"]["asyncio"] == {"median": 1.0, "low": 1.0, "high": 1.0}


@pytest.mark.parametrize(
    ("workload", "package"),
    [
        ("tls/handshakes", None),
        ("connect", None),
        ("http/aiohttp", "aiohttp"),
        ("http/aiohttp-client", "aiohttp"),
        ("http/uvicorn", "uvicorn"),
        ("websockets", "websockets"),
    ],
)
def test_connections_and_frameworks_are_measured_on_each_loop(tmp_path, workload, package):
    if package:
        pytest.importorskip(package)
    found = measured(tmp_path, workload)
    for loop in LOOPS:
        for one in found["loops"][loop]["rounds"]:
            assert one["operations"] > 0 and one["cpu"] > 0
            assert 0 < one["p50"] <= one["p99"]


@pytest.mark.parametrize("workload", ["bulk/send", "bulk/receive", "stdin"])
def test_throughput_is_measured_on_each_loop(tmp_path, workload):
    found = measured(tmp_path, workload)
    for loop in LOOPS:
        assert all(one["per_second"] > 0 and one["cpu"] > 0 for one in found["loops"][loop]["rounds"])


def test_where_latency_is_the_point_it_is_compared(tmp_path):
    found = measured(tmp_path, "fairness/turn")
    assert found["judged"] == "p50"
    for loop in LOOPS:
        rounds = found["loops"][loop]["rounds"]
        # Fifty tasks compute between two turns, whichever loop it is.
        assert all(0.01 <= one["p50"] <= one["worst"] for one in rounds)
    costs = zip(*([one["p50"] for one in found["loops"][loop]["rounds"]] for loop in LOOPS), strict=True)
    ratios = sorted(ours / theirs for ours, theirs in costs)
    assert found["loops"]["tulipa"]["against"]["asyncio"]["low"] == pytest.approx(ratios[0])


@pytest.mark.parametrize("workload", ["echo/100k/32", "tls/1k/32", "udp/1k/32"])
def test_the_limit_does_the_same_work(tmp_path, workload):
    found = measured(tmp_path, workload, loops=("tulipa", LIMIT))
    assert all(one["operations"] > 0 for one in found["loops"][LIMIT]["rounds"])
    # It is no loop, hence nobody's peer.
    assert found["best_peer"] is None
    assert found["loops"]["tulipa"]["against"]["limit"]["median"] > 0


def test_what_a_loop_has_no_part_in_is_left_out(tmp_path):
    found = measured(tmp_path, "call_soon", loops=("asyncio", "tulipa", LIMIT))
    assert list(found["loops"]) == ["asyncio", "tulipa"]


def test_a_chart_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    chart = tmp_path / "chart.svg"
    measured(tmp_path, "call_soon", "--chart", chart)
    assert {">call_soon<", ">tulipa<"} <= set(re.findall(">[a-z_]+<", chart.read_text()))


def test_a_chart_of_an_unknown_kind_is_refused(tmp_path):
    refused = bench("--workloads", "call_soon", "--chart", tmp_path / "chart.doc")
    assert refused.returncode == 2 and ".svg" in refused.stderr


def test_nothing_is_measured_for_a_file_that_cannot_be_written(tmp_path):
    refused = bench("--workloads", "call_soon", "--json", tmp_path / "missing" / "numbers.json")
    assert refused.returncode == 2 and "no folder for" in refused.stderr


COMPARE = """
import json, report, workloads
def outcome(*costs):
    rounds = [{"operations": 10, "seconds": 1.0, "cpu": cost * 10} for cost in costs]
    return report.Outcome(rounds=rounds)
print(json.dumps(report.as_json(workloads.ALL["call_soon"], {
    "tulipa": outcome(1, 2, 6),
    "uvloop": outcome(2, 2, 2),
    "rloop": report.Outcome(unsupported="no TLS"),
    "asyncio": outcome(4, 8, 3),
})))
"""


def test_loops_are_compared_within_each_round():
    done = subprocess.run(
        [sys.executable, "-c", COMPARE], capture_output=True, text=True, timeout=50,
        env={**os.environ, "PYTHONPATH": str(RUN.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["best_peer"] == "uvloop"
    assert found["loops"]["tulipa"]["against"]["best_peer"] == {"median": 1.0, "low": 0.5, "high": 3.0}
    assert found["loops"]["tulipa"]["against"]["asyncio"] == {"median": 0.25, "low": 0.25, "high": 2.0}
    assert found["loops"]["rloop"] == {"unsupported": "no TLS", "failed": None}


def test_workloads_are_named_and_a_wrong_name_is_refused():
    listed = bench("--list")
    assert "echo/1k/32" in listed.stdout and listed.returncode == 0
    refused = bench("--workloads", "echo/1k/33")
    assert refused.returncode == 2 and "no such workload: echo/1k/33" in refused.stderr

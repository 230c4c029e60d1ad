"""The judge of `make downstream`: what it calls a difference, and what excuses one. Neither network nor suites."""

import json
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from comparison import candidates, compare  # noqa: E402
from suite import Attempt, Outcome, Run, SuiteError  # noqa: E402


def run(loop, **kinds):
    return Run(loop, [], {test: Outcome(test, kind) for test, kind in kinds.items()}, 1.0)


def judged(asyncio, tulipa, again=None, reasons=()):
    found = candidates(asyncio, tulipa)
    for difference in found:
        difference.again = again or {"asyncio": [True], "tulipa": [False]}
    return compare(asyncio, tulipa, found, reasons)


@pytest.mark.parametrize("kind", ["failed", "error", "skipped", "xfailed", "hung", "crashed", "unreached"])
def test_whatever_passes_on_asyncio_must_pass(kind):
    comparison = judged(run("asyncio", test="passed"), run("tulipa", test=kind))
    assert [(difference.test, difference.kind) for difference in comparison.differences] == [("test", kind)]
    assert not comparison.ok


def test_a_test_that_tulipas_run_lacks_is_a_difference():
    comparison = judged(run("asyncio", test="passed"), run("tulipa"))
    assert [difference.kind for difference in comparison.differences] == ["missing"]


@pytest.mark.parametrize("kind", ["failed", "error", "hung"])
def test_what_fails_on_both_is_no_difference(kind):
    comparison = judged(run("asyncio", test=kind), run("tulipa", test="failed"))
    assert comparison.ok and comparison.fails_on_both == ["test"]


def test_what_only_tulipa_passes_is_shown():
    comparison = judged(run("asyncio", test="failed"), run("tulipa", test="passed"))
    assert comparison.ok and comparison.passes_on_tulipa_only == ["test"]


def test_passing_again_on_tulipa_excuses_nothing():
    again = {"asyncio": [True, True], "tulipa": [True, True]}
    assert judged(run("asyncio", test="passed"), run("tulipa", test="failed"), again).differences


def test_failing_again_on_asyncio_makes_a_test_unstable_and_is_shown():
    again = {"asyncio": [True, False], "tulipa": [False, False]}
    comparison = judged(run("asyncio", test="passed"), run("tulipa", test="failed"), again)
    assert comparison.ok and [difference.test for difference in comparison.unstable] == ["test"]


def test_an_entry_of_the_list_explains_a_difference():
    comparison = judged(run("asyncio", test="passed"), run("tulipa", test="failed"), reasons={"test": "why"})
    assert comparison.ok and [difference.test for difference in comparison.explained] == ["test"]


@pytest.mark.parametrize("test", ["passes", "does_not_exist"])
def test_an_entry_that_explains_nothing_fails_the_run(test):
    comparison = judged(run("asyncio", passes="passed"), run("tulipa", passes="passed"), reasons={test: "why"})
    assert not comparison.ok and comparison.stale == [test]


SUITE = """
import os, pytest

def test_passes(): pass
def test_fails(): assert not "what it says"
def test_is_skipped(): pytest.skip("here")
@pytest.mark.xfail
def test_is_known(): assert False
@pytest.fixture
def broken(): raise ValueError
def test_cannot_start(broken): pass
def test_takes_the_process_down(): os._exit(3)
def test_comes_after(): pass
"""


def attempt(folder, only=None, without=(), suite=SUITE):
    (folder / "test_suite.py").write_text(suite)
    one = Attempt(folder)
    order = {"record": str(one.record), "only": only, "without": list(without)}
    command = [sys.executable, "-m", "pytest", "-p", "downstream_recorder", "-p", "no:cacheprovider", "test_suite.py"]
    environ = {"PYTHONPATH": str(HERE / "recorder"), "DOWNSTREAM_ORDER": json.dumps(order)}
    one.run(command, folder, environ, deadline=time.monotonic() + 60)
    return one


def kinds(one):
    return {test.removeprefix("test_suite.py::test_"): outcome.kind for test, outcome in one.outcomes.items()}


def test_a_crash_loses_nothing_and_the_rest_goes_on(tmp_path):
    first = attempt(tmp_path)
    before = {"passes": "passed", "fails": "failed", "is_skipped": "skipped", "is_known": "xfailed"}
    assert kinds(first) == before | {"cannot_start": "error", "takes_the_process_down": "crashed"}
    assert not first.done and len(first.names) == 7
    assert "what it says" in first.outcomes["test_suite.py::test_fails"].detail

    rest = attempt(tmp_path, without=first.outcomes)
    assert rest.done and kinds(rest) == {"comes_after": "passed"}


def test_only_what_is_asked_for_runs(tmp_path):
    one = attempt(tmp_path, only=["test_suite.py::test_fails"])
    assert one.done and kinds(one) == {"fails": "failed"}


def test_a_suite_that_cannot_be_loaded_is_no_result(tmp_path):
    with pytest.raises(SuiteError, match="nothing_of_that_name"):
        attempt(tmp_path, suite="import nothing_of_that_name")

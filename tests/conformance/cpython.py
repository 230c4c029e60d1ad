"""Runs CPython's own `test.test_asyncio`, as shipped with the running Python, on another event loop.

    python tests/conformance/cpython.py --loop tulipa:new_event_loop [--module test_events] [--json out.json]

Each test module runs in a process of its own. A test that outlives its time limit is a failure with its stack in the
report; the tests after it go on in a new process. Tests that fail are run again on plain asyncio, to tell the loop's
faults from the machine's.
"""

import argparse
import collections
import dataclasses
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import expected
import substitute

HERE = pathlib.Path(__file__).resolve().parent
DEFAULT_LOOP = "tulipa:new_event_loop"
TEST_LIMIT = 30.0
MODULE_LIMIT = 300.0
#: For all tests of a module that are run again on plain asyncio.
STOCK_LIMIT = 40.0

#: What is wrong with an entry of expected.py that does not fail.
STALE = "is listed in expected.py, but passes or does not exist: take it off the list"

#: Started first, so that a long one does not run alone at the end.
LONGEST = ("test_tasks", "test_subprocess", "test_events", "test_ssl", "test_taskgroups", "test_sslproto")


@dataclasses.dataclass
class Outcome:
    """What became of one test. `kind` is passed, failed, skipped, hung, crashed or unreached."""

    test: str
    kind: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def bad(self):
        return self.kind not in ("passed", "skipped")


@dataclasses.dataclass
class ModuleReport:
    """One module on one loop, held against the list of expected differences."""

    module: str
    seconds: float
    outcomes: dict[str, Outcome]
    #: Failures that nothing explains.
    unexpected: list[Outcome]
    #: Failures that plain asyncio shares here.
    on_asyncio_too: list[Outcome]
    #: Listed differences that did fail, or are not run because they hang.
    differences: list[str]
    #: Listed differences that passed, and listed names that do not exist.
    stale: list[str]

    @property
    def ok(self):
        return not self.unexpected and not self.stale

    def count(self, kind):
        return sum(outcome.kind == kind for outcome in self.outcomes.values())

    def complaint(self):
        """All that is wrong with this module, as text."""
        parts = [f"{test}: {STALE}" for test in self.stale]
        parts += [f"{outcome.test}: {outcome.kind}\n{outcome.detail}" for outcome in self.unexpected]
        return "\n".join(parts)


def suite_is_there():
    """Whether this Python came with its test suite (Debian packs it as libpython3.x-testsuite)."""
    try:
        return importlib.util.find_spec("test.test_asyncio") is not None
    except ModuleNotFoundError:
        return False


def modules():
    """The test modules that run, longest first."""
    folder = pathlib.Path(importlib.util.find_spec("test.test_asyncio").submodule_search_locations[0])
    names = sorted({path.stem for path in folder.glob("test_*.py")} - expected.MODULES_LEFT_OUT.keys())
    return sorted(names, key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))


@dataclasses.dataclass(frozen=True)
class Runner:
    """How to run: which loop, and for how long at most."""

    loop: str = DEFAULT_LOOP
    driver: str | None = None
    test_limit: float = TEST_LIMIT
    module_limit: float = MODULE_LIMIT

    def report(self, module, only=None):
        """Run `module` (or of it the tests named in `only`) and hold it against the expected differences."""
        started = time.monotonic()
        listed = self._listed(module)
        hanging = [test for test, entry in listed.items() if entry.hangs]
        outcomes, names = self.run(module, only, without=hanging)

        unexplained = [outcome for outcome in outcomes.values() if outcome.bad and outcome.test not in listed]
        on_asyncio_too = []
        reached = [outcome.test for outcome in unexplained if outcome.kind != "unreached"]
        if reached and self.loop != substitute.STOCK:
            stock = dataclasses.replace(
                self, loop=substitute.STOCK, driver=None, module_limit=min(self.module_limit, STOCK_LIMIT)
            )
            again, _ = stock.run(module, only=reached)
            on_asyncio_too = [outcome for outcome in unexplained if outcome.test in again and again[outcome.test].bad]
        considered = [test for test in listed if only is None or test in only]
        return ModuleReport(
            module=module,
            seconds=round(time.monotonic() - started, 1),
            outcomes=outcomes,
            unexpected=[outcome for outcome in unexplained if outcome not in on_asyncio_too],
            on_asyncio_too=on_asyncio_too,
            differences=[test for test in considered if test in hanging or (test in outcomes and outcomes[test].bad)],
            stale=[
                test
                for test in considered
                if (names and test not in names) or (test in outcomes and outcomes[test].kind == "passed")
            ],
        )

    def _listed(self, module):
        if not self.loop.startswith("tulipa"):
            return {}
        listed = expected.differences_for(sys.version_info[:3])
        return {test: entry for test, entry in listed.items() if test.startswith(module + ".")}

    def run(self, module, only=None, without=()):
        """Run `module` in as many processes as it takes. Returns the outcomes by test name, and all test names."""
        deadline = time.monotonic() + self.module_limit
        outcomes = {}
        names = []
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            while True:
                before = len(outcomes)
                record = Attempt(self, module, only, [*without, *outcomes], pathlib.Path(folder)).run(deadline)
                names = names or record.names
                outcomes.update(record.outcomes)
                if record.done:
                    break
                late = time.monotonic() > deadline
                if late or len(outcomes) == before:
                    reason = "the time limit of the module was over" if late else record.output
                    wanted = [name for name in names if name not in without and (only is None or name in only)]
                    for name in wanted or [module]:
                        outcomes.setdefault(name, Outcome(name, "unreached", reason))
                    break
        return outcomes, names


class Attempt:
    """One worker process, from its order to its record."""

    def __init__(self, runner, module, only, without, folder):
        self._record = folder / "record"
        self._stacks = folder / "stacks"
        self._output = folder / "output"
        self._folder = folder
        self._order = {
            "loop": runner.loop,
            "driver": runner.driver,
            "module": module,
            "only": only,
            "without": list(without),
            "test_limit": runner.test_limit,
            "record": str(self._record),
            "stacks": str(self._stacks),
        }
        self.names = []
        self.outcomes = {}
        self.done = False
        self.output = ""

    def run(self, deadline):
        for path in (self._record, self._stacks, self._output):
            path.unlink(missing_ok=True)
        order = self._folder / "order"
        order.write_text(json.dumps(self._order))
        with order.open() as stdin, self._output.open("w") as output:
            worker = subprocess.Popen(
                [sys.executable, str(HERE / "cpython_worker.py")],
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,
            )
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            finally:
                # The worker and whatever its tests left behind.
                try:
                    os.killpg(worker.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                worker.wait()
        self._read(worker.returncode)
        return self

    def _read(self, returncode):
        self.output = self._output.read_text(errors="replace")[-4000:]
        lines = self._record.read_text().splitlines() if self._record.exists() else []
        running = None
        for entry in map(json.loads, lines):
            match entry.pop("event"):
                case "tests":
                    self.names = entry["names"]
                case "start":
                    running = entry["test"]
                case "end":
                    running = None
                    self.outcomes[entry["test"]] = Outcome(
                        entry["test"], entry["outcome"], entry["detail"], entry["seconds"]
                    )
                case "done":
                    self.done = True
        if running is not None:
            stacks = self._stacks.read_text(errors="replace")
            # faulthandler's timer says "Timeout (...)!" and leaves with 1; a limit of the module arrives as SIGKILL.
            hung = "Timeout (" in stacks or returncode == -signal.SIGKILL
            kind = "hung" if hung else "crashed"
            self.outcomes[running] = Outcome(running, kind, f"exit status {returncode}\n{stacks}{self.output}")


def run_all(runner, chosen, jobs):
    """Yield a report per module, in the order of `chosen`, with `jobs` of them running at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(runner.report, chosen)


def summary(runner, reports, seconds):
    """The numbers of a run, as plain data for the tables in the documentation."""
    totals = collections.Counter()
    for report in reports:
        for outcome in report.outcomes.values():
            totals[outcome.kind] += 1
    known = expected.differences_for(sys.version_info[:3])
    return {
        "suite": "cpython",
        "python": ".".join(map(str, sys.version_info[:3])),
        "loop": runner.loop,
        "loop_version": substitute.version_of(runner.loop),
        "driver": runner.driver,
        "seconds": round(seconds, 1),
        "tests": totals.total(),
        "passed": totals["passed"],
        "skipped": totals["skipped"],
        "failed": sum(len(report.unexpected) for report in reports),
        "fails_on_asyncio_too": [outcome.test for report in reports for outcome in report.on_asyncio_too],
        "expected_differences": {test: known[test].reason for report in reports for test in report.differences},
        "stale": [test for report in reports for test in report.stale],
        "failures": {
            outcome.test: {"kind": outcome.kind, "detail": outcome.detail}
            for report in reports
            for outcome in report.unexpected
        },
        "modules": {
            report.module: {
                "passed": report.count("passed"),
                "skipped": report.count("skipped"),
                "failed": len(report.unexpected),
                "expected_differences": len(report.differences),
                "fails_on_asyncio_too": len(report.on_asyncio_too),
                "seconds": report.seconds,
            }
            for report in reports
        },
        "modules_left_out": expected.MODULES_LEFT_OUT,
    }


def print_report(report, verbose):
    mark = "ok  " if report.ok else "FAIL"
    print(
        f"{mark} {report.module:<26} {report.count('passed'):>4} passed {report.count('skipped'):>3} skipped"
        f" {len(report.unexpected):>3} failed {len(report.differences):>3} expected"
        f" {len(report.on_asyncio_too):>2} on asyncio too {report.seconds:>6.1f} s",
        flush=True,
    )
    for outcome in report.unexpected:
        print(f"     {outcome.kind}: {outcome.test}: {gist(outcome)}")
    for outcome in report.on_asyncio_too:
        print(f"     fails on asyncio too: {outcome.test}: {gist(outcome)}")
    for test in report.stale:
        print(f"     {test}: {STALE}")
    if verbose:
        print(report.complaint())
        slow = sorted(report.outcomes.values(), key=lambda outcome: -outcome.seconds)[:5]
        print("     slowest: " + ", ".join(f"{outcome.test} {outcome.seconds:.1f} s" for outcome in slow))


def gist(outcome):
    """One line of the detail: the error, or where the test stood."""
    lines = [line.strip() for line in outcome.detail.splitlines() if line.strip()]
    if outcome.kind in ("hung", "crashed"):
        lines = [line for line in lines if line.startswith('File "')][:1]
    return lines[-1][:160] if lines else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loop", default=DEFAULT_LOOP, help='"package.module:factory", or "asyncio" for no change')
    parser.add_argument("--driver", help="the driver of loops that a test does not choose one for (tulipa only)")
    parser.add_argument("--module", action="append", help="only this module (repeatable)")
    parser.add_argument("--test", action="append", help="only this test, as module.Class.test (repeatable)")
    parser.add_argument("--json", type=pathlib.Path, help="write the summary here")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--test-limit", type=float, default=TEST_LIMIT, metavar="SECONDS")
    parser.add_argument("--module-limit", type=float, default=MODULE_LIMIT, metavar="SECONDS")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks and the slowest tests")
    options = parser.parse_args()
    if not suite_is_there():
        parser.error("this Python came without test.test_asyncio (on Debian, install libpython3.x-testsuite)")

    runner = Runner(options.loop, options.driver, options.test_limit, options.module_limit)
    started = time.monotonic()
    reports = []
    if options.test:
        by_module = collections.defaultdict(list)
        for test in options.test:
            by_module[test.partition(".")[0]].append(test)
        running = (runner.report(module, only) for module, only in by_module.items())
    else:
        running = run_all(runner, options.module or modules(), options.jobs)
    for report in running:
        print_report(report, options.verbose)
        reports.append(report)

    result = summary(runner, reports, time.monotonic() - started)
    print(
        f"{result['loop']} on Python {result['python']}: {result['passed']} passed, {result['skipped']} skipped,"
        f" {result['failed']} failed, {len(result['expected_differences'])} expected differences,"
        f" {len(result['fails_on_asyncio_too'])} fail on asyncio too; {result['seconds']} s"
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if all(report.ok for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())

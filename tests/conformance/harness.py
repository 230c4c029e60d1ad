"""Runs the modules of a suite, each in a process of its own, and holds them against the list of expected differences.

A test that outlives its time limit is a failure with its stack in the report; the tests after it go on in a new
process. Tests that fail are run again on plain asyncio, to tell the loop's faults from the machine's.
"""

import dataclasses
import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import loops
from difference import Difference

HERE = pathlib.Path(__file__).resolve().parent
TEST_LIMIT = 30.0
MODULE_LIMIT = 300.0
#: For all tests of a module that are run again on plain asyncio.
STOCK_LIMIT = 40.0

#: What is wrong with a listed difference that does not fail, and with one that asyncio does not have.
STALE = "is listed as an expected difference, but passes or does not exist: take it off the list"
NOT_ASYNCIOS = "is listed as an expected difference, but passes on asyncio: asyncio's behaviour is no reason"


@dataclasses.dataclass(frozen=True)
class Suite:
    """Somebody's tests: where they are, how a process is made ready for them, and what is expected of them."""

    name: str
    #: The version of what the tests came with.
    version: str
    #: The package that holds the test modules.
    package: str
    #: Longest first, so that none runs alone at the end.
    modules: tuple[str, ...]
    #: Modules that say nothing about the loop under test, with the reason.
    left_out: dict[str, str]
    differences: tuple[Difference, ...]
    #: The module here whose `prepare(loop, driver)` puts the loop in its place.
    preparation: str
    #: Whether a difference has to be one of asyncio's own loop, too. So it is with tests of another loop: asyncio's
    #: behaviour is the reason, and the listed tests run on asyncio as well to see that it is. What asyncio fails and
    #: the list does not name is then a failure like any other.
    asyncio_judges: bool = False
    #: What the environment of the tests and of their child programs has on top of this process's own.
    environment: dict[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def listed(self):
        """The `Difference` of each test name that concerns the running Python."""
        version = sys.version_info[:3]
        return {test: entry for entry in self.differences if entry.concerns(version) for test in entry.tests}


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
    #: Listed differences that asyncio does not have, where it judges.
    not_asyncios: list[str]

    @property
    def ok(self):
        return not (self.unexpected or self.stale or self.not_asyncios)

    def count(self, kind):
        return sum(outcome.kind == kind for outcome in self.outcomes.values())

    def wrongly_listed(self):
        """What is wrong with the list, as pairs of a test and a sentence's end."""
        yield from ((test, STALE) for test in self.stale)
        yield from ((test, NOT_ASYNCIOS) for test in self.not_asyncios)

    def complaint(self):
        """All that is wrong with this module, as text."""
        parts = [f"{test}: {wrong}" for test, wrong in self.wrongly_listed()]
        parts += [f"{outcome.test}: {outcome.kind}\n{outcome.detail}" for outcome in self.unexpected]
        return "\n".join(parts)


@dataclasses.dataclass(frozen=True)
class Runner:
    """How to run: which tests on which loop, and for how long at most."""

    suite: Suite
    loop: str = loops.DEFAULT
    driver: str | None = None
    test_limit: float = TEST_LIMIT
    module_limit: float = MODULE_LIMIT

    def report(self, module, only=None):
        """Run `module` (or of it the tests named in `only`) and hold it against the expected differences."""
        started = time.monotonic()
        listed = self._listed(module)
        hanging = [test for test, entry in listed.items() if entry.hangs]
        outcomes, names = self.run(module, only, without=hanging)

        considered = [test for test in listed if only is None or test in only]
        failed = [outcome for outcome in outcomes.values() if outcome.bad]
        unexplained = [outcome for outcome in failed if outcome.test not in listed]
        asyncio_judges = self.suite.asyncio_judges
        on_asyncio = self._on_asyncio(module, failed if asyncio_judges else unexplained)
        shared = {outcome.test for outcome in on_asyncio.values() if outcome.bad}
        on_asyncio_too = [] if asyncio_judges else [outcome for outcome in unexplained if outcome.test in shared]
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
            not_asyncios=[
                test
                for test in considered
                if asyncio_judges and test in on_asyncio.keys() - shared and not listed[test].on_purpose
            ],
        )

    def _on_asyncio(self, module, failed):
        """Run what failed again on plain asyncio."""
        reached = [outcome.test for outcome in failed if outcome.kind != "unreached"]
        if not reached or self.loop == loops.STOCK:
            return {}
        limit = min(self.module_limit, STOCK_LIMIT)
        stock = dataclasses.replace(self, loop=loops.STOCK, driver=None, module_limit=limit)
        return stock.run(module, only=reached)[0]

    def _listed(self, module):
        if not loops.is_tulipa(self.loop):
            return {}
        return {test: entry for test, entry in self.suite.listed.items() if test.startswith(module + ".")}

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
        self._environment = os.environ | runner.suite.environment
        self._order = {
            "package": runner.suite.package,
            "preparation": runner.suite.preparation,
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
                [sys.executable, str(HERE / "worker.py")],
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=self._environment,
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

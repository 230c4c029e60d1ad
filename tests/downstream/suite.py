"""Runs the suite of a project on one loop, and gives what became of each test.

The suite runs in a process of its own. A test that crashes it, or hangs where no signal handler can end it, is recorded
as such; the tests after it go on in a new process. All of it is bounded in time.
"""

import dataclasses
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from workplace import ROOT, clean_environ

HERE = Path(__file__).resolve().parent

LOOPS = "asyncio", "tulipa"

#: One test, in seconds; and where no signal handler can run, when faulthandler ends the process.
TEST_LIMIT = 60
STUCK_LIMIT = 150


class SuiteError(Exception):
    """The suite could not be run, so there is nothing to compare."""


@dataclasses.dataclass
class Outcome:
    """What became of one test: passed, failed, error, skipped, xfailed, xpassed, hung, crashed or unreached."""

    test: str
    kind: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def passed(self):
        return self.kind == "passed"

    @property
    def failed(self):
        return self.kind not in ("passed", "skipped", "xfailed")


@dataclasses.dataclass
class Run:
    """The outcomes of one suite on one loop, by the name of the test."""

    loop: str
    #: The full names of the classes that `asyncio.new_event_loop()` and `asyncio.SelectorEventLoop` stood for.
    loop_classes: list[str]
    outcomes: dict[str, Outcome]
    seconds: float

    def count(self, *kinds):
        return sum(outcome.kind in kinds for outcome in self.outcomes.values())


@dataclasses.dataclass(frozen=True)
class Suite:
    """How to run the tests of one project."""

    workplace: object
    #: What isolates a command from the machine (isolate.py).
    isolation: tuple[str, ...] = ()
    #: For one run of all tests, in seconds.
    limit: float = 3600.0
    #: More arguments for pytest.
    arguments: tuple[str, ...] = ()

    def run(self, loop, only=None):
        """Run the tests (or those named in `only`) on `loop`, in as many processes as it takes."""
        started = time.monotonic()
        outcomes = {}
        with tempfile.TemporaryDirectory(prefix="downstream-") as folder:
            while True:
                before = len(outcomes)
                attempt = self._attempt(loop, only, list(outcomes), Path(folder), started + self.limit)
                outcomes.update(attempt.outcomes)
                if attempt.done:
                    break
                late = time.monotonic() > started + self.limit
                if not attempt.names or (len(outcomes) == before and not late):
                    raise SuiteError(f"the suite ends without a result:\n{attempt.output}")
                if late:
                    reason = f"the suite took longer than {self.limit:.0f} s"
                    for name in attempt.names:
                        outcomes.setdefault(name, Outcome(name, "unreached", reason))
                    break
        return Run(loop, attempt.loop_classes, outcomes, round(time.monotonic() - started, 1))

    def _attempt(self, loop, only, without, folder, deadline):
        attempt = Attempt(folder)
        environ = self._environ(loop, folder)
        environ["DOWNSTREAM_ORDER"] = json.dumps({"record": str(attempt.record), "only": only, "without": without})
        attempt.run(self._command(only), self.workplace.source, environ, deadline)
        for kind in attempt.loop_classes:
            if kind.startswith("tulipa.") != (loop == "tulipa"):
                raise SuiteError(f"the suite was to run on {loop}, but asyncio gave it a {kind}")
        return attempt

    def _command(self, only):
        # Only the files that are asked for are loaded.
        files = sorted({test.partition("::")[0] for test in only}) if only is not None else []
        return [
            *self.isolation,
            str(self.workplace.python),
            *("-m", "pytest", "-p", "downstream_recorder", "-p", "no:cacheprovider", "-q"),
            *self.workplace.project.arguments,
            f"--timeout={TEST_LIMIT}",
            *("-o", f"faulthandler_timeout={STUCK_LIMIT}", "-o", "faulthandler_exit_on_timeout=true"),
            *self.arguments,
            *files,
        ]

    def _environ(self, loop, folder):
        environ = clean_environ() | dict(self.workplace.project.environment)
        path = [HERE / "recorder"]
        if loop == "tulipa":
            path += [HERE / "everywhere", ROOT / "python"]
        environ["PYTHONPATH"] = os.pathsep.join(map(str, path))
        environ["TMPDIR"] = str(folder)
        return environ


class Attempt:
    """One process, from its order to its record."""

    def __init__(self, folder):
        self.record = folder / "record"
        self._output = folder / "output"
        self.names = []
        self.loop_classes = []
        self.outcomes = {}
        self.done = False

    @property
    def output(self):
        return self._output.read_text(errors="replace")[-4000:]

    def run(self, command, cwd, environ, deadline):
        self.record.unlink(missing_ok=True)
        with self._output.open("w") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            finally:
                # The process and whatever its tests left behind.
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
        self._read(process.returncode)

    def _read(self, status):
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        running = None
        for entry in map(json.loads, lines):
            match entry.pop("event"):
                case "loop":
                    self.loop_classes = [entry["made"], entry["by_name"]]
                case "tests":
                    self.names = entry["names"]
                case "unloaded":
                    raise SuiteError(f"{entry['test']} cannot be loaded:\n{entry['detail']}")
                case "start":
                    running = entry["test"]
                case "end":
                    running = None
                    self.outcomes[entry["test"]] = Outcome(
                        entry["test"], entry["outcome"], entry["detail"], entry["seconds"]
                    )
                case "done":
                    self.done = True
        if running is not None and not self.done:
            # faulthandler's timer says "Timeout (...)!" and leaves with 1; the limit of the suite arrives as SIGKILL.
            hung = "Timeout (" in self.output or status == -signal.SIGKILL
            kind = "hung" if hung else "crashed"
            self.outcomes[running] = Outcome(running, kind, f"exit status {status}\n{self.output}")

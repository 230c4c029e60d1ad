"""Runs tests of one module of a suite in this process and writes down what happens as it happens.

Started by `harness.py`, which reads the record afterwards: one JSON object a line, a "start" before each test and an
"end" after it. A "start" without "end" names the test that hung or took the process down.
"""

import faulthandler
import importlib
import json
import os
import signal
import sys
import time
import traceback
import unittest


class Record:
    """An append-only file that survives this process, however it ends."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, **fields):
        os.write(self._fd, json.dumps(fields).encode() + b"\n")


class RecordingResult(unittest.TestResult):
    def __init__(self, record, name_of, limit, stacks):
        super().__init__()
        self._record = record
        self._name_of = name_of
        self._limit = limit
        self._stacks = stacks
        self._running = None

    def startTest(self, test):
        super().startTest(test)
        self._running = test
        self._outcome, self._detail = "passed", ""
        self._started = time.perf_counter()
        self._record.write(event="start", test=self._name_of(test))
        faulthandler.dump_traceback_later(self._limit, exit=True, file=self._stacks)

    def stopTest(self, test):
        super().stopTest(test)
        if self._running is None:
            return
        faulthandler.cancel_dump_traceback_later()
        self._write_end(test, self._outcome, self._detail, time.perf_counter() - self._started)
        self._running = None

    def addSkip(self, test, reason):
        if self._running is None:
            # Python 3.12.1 does not start the tests of a skipped class; a skip in setUpClass has no test at all.
            self._write_end(test, "skipped", reason)
        elif self._outcome == "passed":
            self._outcome, self._detail = "skipped", reason

    def addError(self, test, err):
        self._fail(test, err)

    def addFailure(self, test, err):
        self._fail(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._fail(test, err, str(subtest))

    def addUnexpectedSuccess(self, test):
        self._fail(test, None, "passed, but is marked as an expected failure")

    def _fail(self, test, err, about=""):
        text = about + "\n" if about else ""
        if err is not None:
            text += "".join(traceback.format_exception(*err))
        if self._running is None:
            # setUpClass, setUpModule and the like: reported under the name unittest gives them.
            self._write_end(test, "failed", text)
        else:
            self._outcome, self._detail = "failed", self._detail + text

    def _write_end(self, test, outcome, detail, seconds=0.0):
        self._record.write(
            event="end", test=self._name_of(test), outcome=outcome, detail=detail, seconds=round(seconds, 3)
        )


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def main():
    # A run in the background or under nohup ignores these; tests and the programs they start expect to hear of them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    order = json.load(sys.stdin)
    record = Record(order["record"])
    stacks = open(order["stacks"], "w")  # stays open as long as the process lives
    faulthandler.enable(stacks)

    importlib.import_module(order["preparation"]).prepare(order["loop"], order["driver"])
    prefix = order["package"] + "."

    def name_of(test):
        # Replaced where it stands: a failed `setUpClass` is named "setUpClass (package.module.Class)".
        return test.id().replace(prefix, "")

    tests = list(flatten(unittest.defaultTestLoader.loadTestsFromName(prefix + order["module"])))
    record.write(event="tests", names=[name_of(test) for test in tests])
    only, without = order["only"], set(order["without"])
    chosen = [test for test in tests if name_of(test) not in without and (only is None or name_of(test) in only)]
    unittest.TestSuite(chosen).run(RecordingResult(record, name_of, order["test_limit"], stacks))
    record.write(event="done")


if __name__ == "__main__":
    main()

"""A pytest plugin that writes down what each test of a suite did, as it happens, so that a crash loses nothing.

Loaded with `-p` into the suites of other projects, it knows nothing of them, nor of tulipa. Its order comes as JSON in
an environment variable:

    record    the file that gets one line of JSON per event: loop, tests, start, end, unloaded, done
    only      if not null, the tests to run
    without   tests not to run: those that an earlier process has run
"""

import asyncio
import json
import os

import pytest

#: Bounds what is kept of one failure: its end says most.
DETAIL_AT_MOST = 6000


class Recorder:
    def __init__(self, order):
        self._record = open(order["record"], "a", buffering=1, encoding="utf-8")
        self._only = None if order["only"] is None else set(order["only"])
        self._without = set(order["without"])
        self._reports = []
        loop = asyncio.new_event_loop()
        self._write("loop", made=_name_of(loop), by_name=_name_of(asyncio.SelectorEventLoop))
        loop.close()

    def _write(self, event, **fields):
        self._record.write(json.dumps({"event": event, **fields}) + "\n")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        chosen = [item for item in items if self._only is None or item.nodeid in self._only]
        self._write("tests", names=[item.nodeid for item in chosen])
        chosen = [item for item in chosen if item.nodeid not in self._without]
        kept = set(map(id, chosen))
        config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
        items[:] = chosen

    def pytest_collectreport(self, report):
        if report.failed:
            self._write("unloaded", test=report.nodeid, detail=report.longreprtext[-DETAIL_AT_MOST:])

    def pytest_runtest_logstart(self, nodeid):
        self._reports = []
        self._write("start", test=nodeid)

    def pytest_runtest_logreport(self, report):
        self._reports.append(report)

    def pytest_runtest_logfinish(self, nodeid):
        worst = max(self._reports, key=_badness)
        detail = worst.longreprtext if worst.outcome != "passed" else ""
        if worst.failed:
            detail += "".join(f"\n-- {title} --\n{text}" for title, text in worst.sections)
        self._write(
            "end",
            test=nodeid,
            outcome=_outcome(worst),
            detail=detail[-DETAIL_AT_MOST:],
            seconds=round(sum(report.duration for report in self._reports), 2),
        )

    def pytest_sessionfinish(self, exitstatus):
        self._write("done", status=int(exitstatus))


def _badness(report):
    return ("passed", "skipped", "failed").index(report.outcome)


def _outcome(report):
    if report.failed and report.when != "call":
        return "error"
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    return report.outcome


def _name_of(loop):
    kind = loop if isinstance(loop, type) else type(loop)
    return f"{kind.__module__}.{kind.__qualname__}"


def pytest_configure(config):
    config.pluginmanager.register(Recorder(json.loads(os.environ["DOWNSTREAM_ORDER"])), "downstream-recorder")

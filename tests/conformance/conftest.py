"""What the two suites have in common as pytest tests: one test is one module, which runs in processes of its own.

All modules that were asked for run in the background, as many at a time as there are processors, and each test waits
for its own. A test file here has a fixture `runner` for its module, and a parameter `module` for its test; the limit of
the runner is so short that a module full of hanging tests, and its second run on asyncio, end before the test's own.
"""

import faulthandler
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture(autouse=True)
def exit_when_stuck():
    """Replaces the fixture for tests that share the process with their loop; here the loops have their own."""
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def no_descriptors_left():
    """Replaces the fixture that would count the descriptors of modules still running in the background."""


@pytest.fixture(scope="module")
def reports(request, runner):
    """The report to come of each module that was asked for."""
    wanted = [
        item.callspec.params["module"]
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    ]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield {module: pool.submit(runner.report, module) for module in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def needs_tulipa(request):
    """Skips where `--loops` leaves tulipa out; fails where it is not built."""
    chosen = request.config.getoption("--loops", default=None)
    if chosen is not None and "tulipa" not in chosen:
        pytest.skip("only tulipa is held against these tests, and --loops leaves it out")
    if importlib.util.find_spec("tulipa") is None:
        pytest.fail("tulipa is not installed here: build it, or choose `--loops asyncio`")


@pytest.fixture
def check(reports):
    """Waits for the report of a module, and fails if anything in it is not as expected."""

    def wait_for(module):
        report = reports[module].result()
        assert report.ok, report.complaint()
        if report.on_asyncio_too:
            pytest.xfail("fails on asyncio too: " + ", ".join(outcome.test for outcome in report.on_asyncio_too))

    return wait_for

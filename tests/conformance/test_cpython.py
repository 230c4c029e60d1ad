"""CPython's own asyncio tests pass on tulipa, but for the differences listed in `expected.py`.

One test here is one module of `test.test_asyncio`. All modules that were asked for run in the background, as many at a
time as there are processors, and each test waits for its own.
"""

import faulthandler
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor

import cpython
import pytest

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.skipif(
        not cpython.suite_is_there(),
        reason="this Python came without test.test_asyncio (on Debian: libpython3.x-testsuite)",
    ),
]

#: So short that a module full of hanging tests, and its second run on asyncio, end before the limit above.
RUNNER = cpython.Runner(module_limit=100)


@pytest.fixture(autouse=True)
def exit_when_stuck():
    """Replaces the fixture for tests that share the process with their loop; here the loops have their own."""
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def no_descriptors_left():
    """Replaces the fixture that would count the descriptors of modules still running in the background."""


@pytest.fixture(scope="module")
def reports(request):
    """The report to come of each module that was asked for."""
    chosen = request.config.getoption("--loops", default=None)
    if chosen is not None and "tulipa" not in chosen:
        pytest.skip("only tulipa is held against asyncio's tests, and --loops leaves it out")
    if importlib.util.find_spec("tulipa") is None:
        pytest.fail("tulipa is not installed here: build it, or choose `--loops asyncio`")
    wanted = [item.callspec.params["module"] for item in request.session.items if item.path == request.path]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield {module: pool.submit(RUNNER.report, module) for module in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("module", cpython.modules() if cpython.suite_is_there() else [])
def test_asyncio_suite_of_this_python(module, reports):
    report = reports[module].result()
    assert report.ok, report.complaint()
    if report.on_asyncio_too:
        pytest.xfail("fails on asyncio too: " + ", ".join(outcome.test for outcome in report.on_asyncio_too))

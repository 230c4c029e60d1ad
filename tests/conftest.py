"""Fixtures for all loops: `backend`, `loop_factory`, `loop`; and the limits that hold for each test.

- A test that asks for one of them runs once per loop: asyncio and tulipa on epoll; marked `all_drivers`, also on
  tulipa's other drivers (`--every-driver`: all tests); about TLS, also on its other engine. `--loops` narrows the
  choice: `--loops asyncio` needs no build.
- `async def` tests run on their `loop`, with a time limit inside the loop, so that a hang says where.
- A test that hangs all the same is interrupted by pytest-timeout, or ended with all stacks by pytest's faulthandler.
- A test fails if it leaves descriptors open, lets a warning pass, or lets an error reach the loop's exception handler
  without taking it out of `reported`.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import sys
from pathlib import Path

import pytest

from tests import backends, differences
from tests.support.descriptors import open_descriptors

HERE = Path(__file__).parent
ROOMS = {"loop", "stream", "sockets", "datagram", "pipe", "process", "names", "syscalls", "badinput", "tls", "traps"}
ROOMS |= {"differential", "soak", "file", "forms"}
SECONDS_IN_LOOP = 15
SECONDS_PER_TEST = 30


def pytest_addoption(parser):
    parser.addoption("--loops", default=None, help="comma-separated names of the loops to test on (default: all)")
    parser.addoption("--every-driver", action="store_true", help="run each test on each driver, marked or not")


def pytest_configure(config):
    # What a shell starts in the background ignores Ctrl-C, what `nohup` starts a hang-up, and so would every program
    # that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    config.addinivalue_line("markers", "all_drivers: run on each driver of tulipa, not only on the default one")
    config.addinivalue_line("markers", "only_tulipa: what the test demands does not exist on asyncio")
    config.addinivalue_line("markers", "timeout(seconds): time limit of the test (pytest-timeout)")


def pytest_generate_tests(metafunc):
    if "backend" not in metafunc.fixturenames:
        return
    names = backends.DEFAULT
    every = metafunc.config.getoption("--every-driver")
    if every or metafunc.definition.get_closest_marker("all_drivers"):
        names = tuple(backend.name for backend in backends.ALL)
    if metafunc.definition.path.relative_to(HERE).as_posix().startswith(("tls/", "stream/test_tls.py")):
        names += (backends.TLS.name,)
    if metafunc.definition.get_closest_marker("only_tulipa"):
        names = tuple(name for name in names if name != "asyncio")
    chosen = metafunc.config.getoption("--loops")
    if chosen is not None:
        names = tuple(name for name in names if name in chosen.split(","))
    if any(backends.BY_NAME[name].is_tulipa for name in names) and not backends.tulipa_is_built():
        raise pytest.UsageError("tulipa is not installed here: build it, or choose `--loops asyncio`")
    chosen = [backends.BY_NAME[name] for name in names]
    values = [pytest.param(one, marks=[pytest.mark.skip(reason=one.refusal)] if one.refusal else []) for one in chosen]
    metafunc.parametrize("backend", values, ids=names, scope="function")


def pytest_collection_modifyitems(items):
    for item in items:
        try:
            path = item.path.relative_to(HERE)
        except ValueError:
            continue
        if path.parts[0] not in ROOMS:
            continue
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS_PER_TEST))
        item.add_marker(pytest.mark.filterwarnings("error"))
        callspec = getattr(item, "callspec", None)
        backend = callspec.params.get("backend") if callspec else None
        name = backend.name if backend else ""
        parameters = callspec.id.removeprefix(name).removeprefix("-") if callspec else ""
        known = differences.find(f"{path.as_posix()}::{item.originalname}", parameters, name)
        if known is not None:
            item.add_marker(pytest.mark.xfail(reason=known.reason, run=not known.not_run, strict=True))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run `async def` tests on their loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    loop = pyfuncitem.funcargs.get("loop")
    if loop is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    drive(loop, pyfuncitem.obj(**arguments))
    return True


def pytest_runtestloop():
    keep_out_of_collections()


@pytest.fixture(scope="module", autouse=True)
def reports_are_not_collected():
    """pytest keeps a report of each test: after thousands of them a collection takes longer than a test."""
    yield
    keep_out_of_collections()


def keep_out_of_collections():
    """Keep what there is now, pytest's own objects above all, out of the collections that each test makes."""
    gc.collect()
    gc.freeze()


def drive(loop, coroutine, seconds=SECONDS_IN_LOOP):
    """Run a coroutine on a loop to its end, with a time limit."""

    async def limited():
        async with asyncio.timeout(seconds):
            return await coroutine

    return loop.run_until_complete(limited())


@pytest.fixture(autouse=True)
def no_descriptors_left(request):
    """What a test opens, it or its loop closes. # R5"""
    before = open_descriptors()
    yield
    left = open_descriptors().keys() - before.keys()
    if left:
        gc.collect()
        left = {number: target for number, target in open_descriptors().items() if number not in before}
        assert not left, f"descriptors left open: {left}"


@pytest.fixture
def loop_factory(backend, no_descriptors_left):
    """Makes loops; closes at the end those that the test left open."""
    made = []

    def new_loop():
        loop = backend.new_loop()
        made.append(loop)
        return loop

    yield new_loop
    for loop in made:
        wind_down(loop)


@pytest.fixture
def reported():
    """What reached the exception handler of `loop`. A test that expects reports takes them out."""
    return []


@pytest.fixture
def loop(loop_factory, reported):
    """A fresh loop. Errors that reach its exception handler fail the test, since nothing may be lost. # R8"""
    loop = loop_factory()
    loop.set_exception_handler(lambda _loop, context: reported.append(context))
    yield loop
    wind_down(loop)
    gc.collect()
    if reported:
        pytest.fail(f"{len(reported)} errors reported to the loop's exception handler, the first: {reported[0]}", False)


@pytest.fixture
def run(loop):
    """Runs a coroutine on `loop`, for tests that need more than one run or some code around it."""
    return lambda coroutine, seconds=SECONDS_IN_LOOP: drive(loop, coroutine, seconds)


def wind_down(loop):
    """End a loop as `asyncio.Runner` does."""
    if loop.is_closed():
        return
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=3))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


if sys.platform == "win32":
    collect_ignore_glob = ["*"]

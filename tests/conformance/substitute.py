"""Puts another event loop where `asyncio` and its test suite would make their own.

Everything a test uses to get "the" loop is redirected: `new_event_loop`, `run`, `Runner`, `IsolatedAsyncioTestCase`
(all of these ask the default policy), `SelectorEventLoop` with or without a selector, `EventLoop`, and the default
policies. What a test builds by hand to look inside the standard library (`BaseEventLoop`, `BaseSelectorEventLoop`, its
own subclasses of them) stays the standard library's.
"""

import asyncio
import asyncio.events
import asyncio.unix_events
import importlib
import sys

from loops import STOCK, is_tulipa, let_tests_fill_the_backlog

#: How asyncio's tests choose a poller, and how a loop with a `driver` argument is told the same.
DRIVER_OF_SELECTOR = {
    "EpollSelector": "epoll",
    "PollSelector": "poll",
    "SelectSelector": "select",
    "KqueueSelector": "kqueue",
}

#: Modules whose tests use `TestCase.new_test_loop()` only as "some loop", so that ours can be that loop.
ANY_LOOP_WILL_DO = ("test_tasks", "test_futures")


class LoopMaker:
    """Stands where the class `asyncio.SelectorEventLoop` was; calling it makes the loop under test.

    It is not a class, because what is called is a factory. It still works as a base class and in `isinstance`, where it
    stands for the class of the loops that the factory makes.
    """

    def __init__(self, factory, driver, takes_driver):
        self._factory = factory
        self._driver = driver
        self._takes_driver = takes_driver
        probe = self()
        self._loop_class = type(probe)
        probe.close()

    def __call__(self, selector=None):
        driver = self._driver
        if selector is not None:
            driver = DRIVER_OF_SELECTOR[type(selector).__name__]
            selector.close()
        if self._takes_driver and driver is not None:
            return self._factory(driver=driver)
        return self._factory()

    def __mro_entries__(self, bases):
        return (self._loop_class,)

    def __instancecheck__(self, instance):
        return isinstance(instance, self._loop_class)

    def __subclasscheck__(self, subclass):
        return issubclass(subclass, self._loop_class)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._loop_class, name)


def prepare(specification, driver):
    """Make this process ready for `test.test_asyncio` on the loop named by `specification`."""
    from test import support

    install(specification, driver)
    support.verbose = 0
    support.record_original_stdout(sys.stdout)


def install(specification, driver=None):
    """Redirect asyncio to the loop named by `specification` ("package.module:factory"); "asyncio" changes nothing."""
    if specification == STOCK:
        return
    module_name, _, factory_name = specification.partition(":")
    factory = getattr(importlib.import_module(module_name), factory_name or "new_event_loop")
    maker = LoopMaker(factory, driver, takes_driver=is_tulipa(specification))

    for place in (asyncio, asyncio.unix_events):
        for name in ("SelectorEventLoop", "EventLoop"):
            if hasattr(place, name):
                setattr(place, name, maker)
    for name in ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):
        policy = getattr(asyncio.unix_events, name, None)
        if policy is not None:
            policy._loop_factory = maker

    _use_in_test_utilities(maker)
    if is_tulipa(specification):
        let_tests_fill_the_backlog()


def _use_in_test_utilities(maker):
    from test.test_asyncio import utils as test_utils

    new_controlled_loop = test_utils.TestCase.new_test_loop
    close_stock_loop = test_utils.TestCase.close_loop

    def new_test_loop(self, gen=None):
        module = type(self).__module__.rpartition(".")[2]
        if gen is not None or module not in ANY_LOOP_WILL_DO:
            return new_controlled_loop(self, gen)
        loop = maker()
        self.set_event_loop(loop)
        return loop

    def close_loop(loop):
        if hasattr(loop, "_default_executor"):
            return close_stock_loop(loop)
        # A loop that is no BaseEventLoop (uvloop's) does not show its executor.
        if not loop.is_closed():
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    test_utils.TestCase.new_test_loop = new_test_loop
    test_utils.TestCase.close_loop = staticmethod(close_loop)

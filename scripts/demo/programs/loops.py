"""The three loops that are compared, by name. A program of the demo is told one of these names."""

import asyncio
import importlib
import resource

FACTORIES = {
    "asyncio": "asyncio:new_event_loop",
    "uvloop": "uvloop:new_event_loop",
    "tulipa": "tulipa:new_event_loop",
}


def factory(name):
    """Return what makes loops of that name."""
    module, _, function = FACTORIES[name].partition(":")
    return getattr(importlib.import_module(module), function)


def run(name, main, *arguments):
    """Run the coroutine function `main` on a loop of that name and return its result."""
    with asyncio.Runner(loop_factory=factory(name)) as runner:
        return runner.run(main(*arguments))


def cpu_seconds():
    """Processor time of this process so far, in user and kernel mode together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

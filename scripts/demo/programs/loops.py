"""The three loops that are compared, by name. A program of the demo is told one of these names."""

import asyncio
import resource

FACTORIES = {
    "asyncio": "asyncio:new_event_loop",
    "uvloop": "uvloop:new_event_loop",
    "tulipa": "tulipa:new_event_loop",
}


def run(main, name):
    """Run the coroutine `main` on the loop of that name and return its result."""
    module, _, factory = FACTORIES[name].partition(":")
    new_loop = getattr(__import__(module), factory)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


def cpu_seconds():
    """Processor time of this process so far, in user and kernel mode together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

"""Making a whole process use tulipa, whatever its code does to get a loop.

Lives here: the policy that is set, and what stands in for other loops when everything is
to be replaced. Not here: running anything. Rule: only what was asked for is replaced;
`install()` alone is what a policy can do, `everywhere=True` is what `tulipa run` does.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import selectors
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import _compat
from ._loop import Loop
from ._policy import EventLoopPolicy
from ._run import new_event_loop, run, set_default_loop

__all__ = ["install"]

# Which driver does what a selector of the standard library does. The exact types only: a
# subclass has event sources or a clock of its own, which only its own loop can serve.
_DRIVER_OF_SELECTOR: dict[type[selectors.BaseSelector], str] = {
    selectors.SelectSelector: "select",
}
if hasattr(selectors, "PollSelector"):
    _DRIVER_OF_SELECTOR[selectors.PollSelector] = "poll"
if hasattr(selectors, "EpollSelector"):
    _DRIVER_OF_SELECTOR[selectors.EpollSelector] = "epoll"

# Loops that frameworks look for by importing them. The first is always there, since it is
# what "auto" means nearly everywhere; the others only where they are installed and so
# would be found and preferred.
_ALWAYS_REPLACED = "uvloop"
_REPLACED_IF_INSTALLED = ("rloop", "zuvloop")
_STAND_IN_VERSION = "0.23.0"

_replaced = False


def install(
    *,
    everywhere: bool = False,
    default_loop: Callable[[], Loop] | None = None,
) -> None:
    """Make asyncio use tulipa's loops in this process from now on.

    `asyncio.run()`, `asyncio.Runner()`, `asyncio.new_event_loop()` and, where the running
    version still makes loops there, `asyncio.get_event_loop()` then give a tulipa loop. No
    DeprecationWarning is emitted on any version.

    With `everywhere`, so do `asyncio.SelectorEventLoop()`, `asyncio.EventLoop()` and
    `import uvloop`. A `SelectorEventLoop` given a selector of the program's own class is
    left to asyncio, as only asyncio can serve it.

    `default_loop` gives the loop that `asyncio.get_event_loop()` and
    `tulipa.current_loop()` return in the main thread while the program has set none.

    Prefer `tulipa.run(main())` in programs of your own.
    """
    if _compat.POLICIES_EXIST:
        _compat.set_event_loop_policy(EventLoopPolicy(default_loop))
    else:
        everywhere = True
    set_default_loop(default_loop)
    if everywhere:
        _replace_everywhere()


def _replace_everywhere() -> None:
    global _replaced
    if _replaced:
        return
    _replaced = True
    _compat.stand_in_for_selector_loop(_stand_in_for)
    _put_module(_ALWAYS_REPLACED)
    for name in _REPLACED_IF_INSTALLED:
        if importlib.util.find_spec(name) is not None:
            _put_module(name)


def _stand_in_for(original: type[Any]) -> type[Any]:
    class LoopType(type):
        """asyncio's own `run` gives a loop of this class; so it has to look, whichever class ours is of."""

        def __instancecheck__(cls, instance: object) -> bool:
            return super().__instancecheck__(instance) or (
                cls is SelectorEventLoop and isinstance(instance, (Loop, original))
            )

    class SelectorEventLoop(Loop, metaclass=LoopType):
        """A tulipa loop where the program asked for asyncio's by name."""

        def __new__(cls, selector: selectors.BaseSelector | None = None) -> Any:
            if selector is not None and type(selector) not in _DRIVER_OF_SELECTOR:
                return original(selector)
            return super().__new__(cls, driver=_driver_for(selector))

        def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
            if selector is not None:
                # The loop owns its selector; ours waits by other means.
                selector.close()
            super().__init__(driver=_driver_for(selector))

    SelectorEventLoop.__module__ = __name__
    SelectorEventLoop.__qualname__ = "SelectorEventLoop"
    return SelectorEventLoop


def _driver_for(selector: selectors.BaseSelector | None) -> str | None:
    return None if selector is None else _DRIVER_OF_SELECTOR[type(selector)]


def _put_module(name: str) -> None:
    """Put a module `name`, and `name.loop`, into `sys.modules` that has our loop in it."""
    module = _module(name, is_package=True)
    module.__dict__.update(
        __all__=("new_event_loop", "install", "run", "EventLoopPolicy", "Loop"),
        __version__=_STAND_IN_VERSION,
        EventLoopPolicy=EventLoopPolicy,
        Loop=Loop,
        install=install,
        new_event_loop=new_event_loop,
        run=run,
    )
    inner = _module(f"{name}.loop", is_package=False)
    inner.__dict__["Loop"] = Loop
    module.__dict__["loop"] = inner
    sys.modules[name] = module
    sys.modules[inner.__name__] = inner


def _module(name: str, *, is_package: bool) -> ModuleType:
    module = ModuleType(name, f"tulipa, standing in for {name} (see tulipa.install).")
    spec = importlib.machinery.ModuleSpec(name, None, origin=__file__, is_package=is_package)
    module.__spec__ = spec
    module.__package__ = spec.parent
    if is_package:
        module.__path__ = []
    return module

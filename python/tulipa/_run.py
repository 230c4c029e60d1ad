"""Getting a loop and running a coroutine on it.

Lives here: `run`, `new_event_loop`, `current_loop`. Not here: replacing asyncio's own
choice of loop for a whole process (`_install`). Rule: nothing here changes what any other
code in the process gets.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ._drivers import choose_driver
from ._loop import Loop

__all__ = ["current_loop", "new_event_loop", "run", "set_default_loop"]

_T = TypeVar("_T")

# What `current_loop` gives in the main thread when no loop runs; set by `install`.
_default_loop: Callable[[], Loop] | None = None


def new_event_loop(driver: str | None = None) -> Loop:
    """Return a new loop. The caller closes it.

    `driver` names what the loop waits with: `"epoll"`, `"poll"`, `"select"`, `"io_uring"`.
    None means the environment variable `TULIPA_DRIVER`, and without it the default, epoll.

    Raises ValueError that lists the known drivers for an unknown name, TypeError when
    `driver` is no str, OSError when the kernel gives no descriptor or refuses that driver.

    Follows asyncio.new_event_loop.
    """
    return Loop(driver=choose_driver(driver))


def run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> _T:
    """Run the coroutine `main` on a new loop and return its result.

    When it ends, the tasks that are left are cancelled, asynchronous generators and the
    default executor are shut down and the loop is closed. Ctrl-C cancels `main`, lets it
    clean up, and raises KeyboardInterrupt.

    `debug` switches debug mode on or off; None leaves it as the environment says.
    `loop_factory` makes the loop in place of `new_event_loop`.

    Raises RuntimeError when a loop already runs in this thread, ValueError or TypeError
    (as the running version of asyncio does) when `main` is no coroutine.

    Follows asyncio.run.
    """
    if _running_loop() is not None:
        raise RuntimeError("tulipa.run() cannot be called from a running event loop; await the coroutine instead")
    with asyncio.Runner(debug=debug, loop_factory=loop_factory or new_event_loop) as runner:
        return runner.run(main)


def current_loop() -> Loop:
    """Return the running loop, or the one that `tulipa run` keeps for the program.

    This is how a program that only registers callbacks gets its loop: under
    `tulipa run app.py` the loop runs after the last line of the script, until nothing is
    left to do.

    Raises RuntimeError that says what to do when there is no such loop, or when the
    running loop is not one of ours.
    """
    running = _running_loop()
    if isinstance(running, Loop):
        return running
    if running is not None:
        raise RuntimeError(
            f"the running loop is {running!r}, not one of tulipa's; "
            f"start the program with `tulipa run` or tulipa.run(main())"
        )
    if _default_loop is not None and threading.current_thread() is threading.main_thread():
        return _default_loop()
    raise RuntimeError(
        "there is no tulipa loop here: start the program with `tulipa run app.py`, "
        "or make a loop with tulipa.new_event_loop() and run it"
    )


def set_default_loop(factory: Callable[[], Loop] | None) -> None:
    """Have `current_loop` call `factory` in the main thread when no loop runs."""
    global _default_loop
    _default_loop = factory


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

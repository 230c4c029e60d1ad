"""Cooperative tasks written as generators, and waiting until a descriptor is ready.

Lives here: `spawn`, `wait_readable` and `wait_writable`. Not here: the queue of those who wait for a descriptor, which
is native. Rules:

1. What a generator yields is waited for as a coroutine awaits it, and what comes of it is sent or thrown back.
2. A task over a generator is an `asyncio.Task`: it is cancelled, timed, waited for and looked at as any other.
3. Those who wait for one direction of one descriptor are served in the order in which they came (R6), and leave the
   queue however their wait ends (R5).
"""

from __future__ import annotations

import asyncio
import errno
import functools
import inspect
import select
from collections.abc import Awaitable, Generator
from typing import Any, TypeVar, cast

from ._run import current_loop

__all__ = ["Readiness", "spawn", "wait_readable", "wait_writable"]

_T = TypeVar("_T")


def wait_readable(file: Any) -> Readiness:
    """Wait until `file`, a socket, another object with `fileno()`, or a number, can be read without blocking.

    To be awaited, or yielded by a generator of `spawn`. Being closed or at its end counts as readable. Raises OSError
    (EBADF) when the descriptor is closed meanwhile, RuntimeError when a transport owns it.
    """
    return Readiness(_checked(file), False)


def wait_writable(file: Any) -> Readiness:
    """Wait until `file` can be written to without blocking; in all else as `wait_readable`."""
    return Readiness(_checked(file), True)


class Readiness:
    """A descriptor being readable or writable, as something to wait for, as often as one likes."""

    __slots__ = ("_file", "_write")

    def __init__(self, file: Any, write: bool) -> None:
        self._file = file
        self._write = write

    def __repr__(self) -> str:
        return f"<{'writable' if self._write else 'readable'} {self._file!r}>"

    def __await__(self) -> Generator[Any, Any, None]:
        """Wait; see `wait_readable`."""
        return self._wait().__await__()

    async def _wait(self) -> None:
        loop = current_loop()
        file: Any = self._file
        number: int = file if isinstance(file, int) else file.fileno()
        loop._ensure_fd_no_transport(number)
        look = functools.partial(_look, number, self._write)
        if not loop._has_waiters(file, number, self._write):
            try:
                look()
            except BlockingIOError:
                pass
            else:
                # Who waits for what is always ready lets others run all the same.
                return await asyncio.sleep(0)
        ready: asyncio.Future[None] = loop.create_future()
        waiter = loop._enqueue(file, number, self._write, look, ready)
        try:
            await ready
        finally:
            loop._dequeue(waiter)
            # An exception's traceback keeps this frame, and a future its exception.
            del ready, waiter


def _checked(file: Any) -> Any:
    if isinstance(file, bool) or not (isinstance(file, int) or callable(getattr(file, "fileno", None))):
        raise TypeError(f"a file descriptor is an int or has fileno(), not {file!r}")
    return file


def _look(number: int, write: bool) -> None:
    """Raise BlockingIOError unless the descriptor is ready, and OSError unless it is open."""
    poller = select.poll()
    poller.register(number, select.POLLOUT if write else select.POLLIN)
    found = poller.poll(0)
    if not found:
        raise BlockingIOError(errno.EAGAIN, f"descriptor {number} is not ready")
    if found[0][1] & select.POLLNVAL:
        raise OSError(errno.EBADF, f"descriptor {number} is not open")


def spawn(generator: Generator[Any, Any, _T], *, name: str | None = None) -> asyncio.Task[_T]:
    """Run a generator as a task of the present loop, which is returned; its result is what the generator returns.

    The generator waits by `yield`: for `wait_readable(sock)` or `wait_writable(sock)`, for anything that can be awaited
    (a future, a task, a coroutine), or for another generator, and gets what comes of it. `yield` alone lets the others
    run. With `yield from` it calls another generator as a part of itself.

    Raises TypeError for what is no generator. Cancelling the task raises `asyncio.CancelledError` at the `yield`.
    """
    if not inspect.isgenerator(generator):
        raise TypeError(f"spawn() takes a generator, which calling a function with `yield` makes, not {generator!r}")
    driving: Any = _drive(generator)
    driving.__name__, driving.__qualname__ = generator.__name__, generator.__qualname__
    task: asyncio.Task[_T] = current_loop().create_task(driving, name=name)
    return task


async def _drive(generator: Generator[Any, Any, _T]) -> _T:
    """Wait for what a generator yields, until it returns."""
    resume: Any = generator.send
    value: Any = None
    while True:
        try:
            wanted = resume(value)
        except StopIteration as stop:
            result: _T = stop.value
            return result
        try:
            resume, value = generator.send, await _come_of(wanted)
        except BaseException as exc:
            resume, value = generator.throw, exc


async def _come_of(wanted: Any) -> Any:
    """Wait for what a generator has yielded, and return what comes of it."""
    if wanted is None:
        return await asyncio.sleep(0)
    if inspect.isgenerator(wanted):
        part: Any = wanted
        return await _drive(part)
    if not isinstance(wanted, Awaitable):
        raise TypeError(f"a generator task yields None, a generator or something to await, not {wanted!r}")
    return await cast(Any, wanted)

"""The same call on asyncio and on another loop: what comes of it must be the same kind of thing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
import tempfile
import warnings
from functools import cached_property

SECONDS = 0.02
RETURNS, WAITS = "returns", "waits"


class World:
    """What a call may need, made when it asks for it: sockets, pipes, a file, a path."""

    def __init__(self, stack: contextlib.ExitStack, loop):
        self.stack = stack
        self.loop = loop

    def hold(self, held):
        self.stack.callback(held.close)
        return held

    @cached_property
    def pair(self):
        left, right = socket.socketpair()
        for sock in (left, right):
            self.hold(sock).setblocking(False)
        return left, right

    @property
    def left(self):
        return self.pair[0]

    @cached_property
    def datagram(self):
        sock = self.hold(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        return sock

    @cached_property
    def listener(self):
        sock = self.hold(socket.create_server(("127.0.0.1", 0)))
        sock.setblocking(False)
        return sock

    @cached_property
    def pipe(self):
        read_end, write_end = os.pipe()
        return self.hold(os.fdopen(read_end, "rb", 0)), self.hold(os.fdopen(write_end, "wb", 0))

    @property
    def reader(self):
        return self.pipe[0]

    @property
    def writer(self):
        return self.pipe[1]

    @cached_property
    def file(self):
        file = self.hold(tempfile.TemporaryFile())
        file.write(b"content")
        file.flush()
        return file

    @cached_property
    def path(self) -> str:
        return os.path.join(self.stack.enter_context(tempfile.TemporaryDirectory()), "socket")


def outcomes(one, other, action, patience=(1, 10, 100), **options):
    """What `action(world)` comes to on the loops of two factories. If only one of them waits, both get more time."""
    for seconds in (SECONDS * times for times in patience):
        results = [outcome(new_loop, action, seconds=seconds, **options) for new_loop in (one, other)]
        if (results[0][0] == WAITS) == (results[1][0] == WAITS):
            break
    return results


def outcome(new_loop, action, *, seconds: float, settle: float = 0, debug: bool = False) -> tuple[str, str]:
    """What `action(world)` comes to, inside a running loop: a kind of result, and the text of the error.

    The action may be a coroutine function or a plain one; what it returns is awaited for some `seconds`. Then what it
    started may `settle`.
    """
    loop = new_loop()
    loop.set_debug(debug)
    loop.slow_callback_duration = 60
    loop.set_exception_handler(lambda loop, context: None)

    async def main(world):
        try:
            result = action(world)
            if asyncio.iscoroutine(result) or asyncio.isfuture(result):
                result = await asyncio.wait_for(result, seconds)
        except TimeoutError as error:
            return (WAITS, "") if not error.args else (type(error).__name__, str(error))
        except Exception as error:
            return type(error).__name__, str(error)
        release(result)
        await asyncio.sleep(0)
        return RETURNS, ""

    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        try:
            return loop.run_until_complete(main(World(stack, loop)))
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            with contextlib.suppress(Exception):
                for _ in range(3):
                    loop.run_until_complete(asyncio.sleep(settle))
                if loop._default_executor is not None:
                    loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


@contextlib.contextmanager
def without_complaints():
    """What asyncio leaves half-made after a wrong call complains when it is freed; that is not what is tested."""
    old, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            gc.collect()
    finally:
        sys.unraisablehook = old


def release(result) -> None:
    """Give back what a call made."""
    for held in result if isinstance(result, tuple) else (result,):
        for method in ("abort", "close", "kill", "cancel"):
            if hasattr(held, method) and not isinstance(held, type):
                with contextlib.suppress(Exception):
                    getattr(held, method)()
                    break

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

SECONDS = 0.03
RETURNS, WAITS = "returns", "waits"


class World:
    """What a call may need: sockets, pipes, a file, a directory, a running transport. Made anew for each call."""

    def __init__(self, stack: contextlib.ExitStack, loop):
        self.loop = loop
        self.left, self.right = socket.socketpair()
        self.left.setblocking(False)
        self.right.setblocking(False)
        self.datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagram.bind(("127.0.0.1", 0))
        self.datagram.setblocking(False)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        read_end, write_end = os.pipe()
        self.reader, self.writer = os.fdopen(read_end, "rb", 0), os.fdopen(write_end, "wb", 0)
        self.file = tempfile.TemporaryFile()
        self.file.write(b"content")
        self.file.flush()
        self.folder = stack.enter_context(tempfile.TemporaryDirectory())
        for held in (self.left, self.right, self.datagram, self.listener, self.reader, self.writer, self.file):
            stack.callback(held.close)

    @property
    def path(self) -> str:
        return os.path.join(self.folder, "socket")


def outcome(new_loop, action, *, debug: bool = False) -> tuple[str, str]:
    """What `action(world)` comes to, inside a running loop: a kind of result, and the text of the error.

    The action may be a coroutine function or a plain one; what it returns is awaited for a short time.
    """
    loop = new_loop()
    loop.set_debug(debug)
    loop.slow_callback_duration = 60
    loop.set_exception_handler(lambda loop, context: None)

    async def main(world):
        try:
            result = action(world)
            if asyncio.iscoroutine(result) or asyncio.isfuture(result):
                result = await asyncio.wait_for(result, SECONDS)
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
                loop.run_until_complete(asyncio.sleep(0.001))
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

"""Calls, tasks, timers, threads, descriptors and sockets, with the types that typeshed gives to asyncio's loops."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import socket
from typing import assert_type

import tulipa


def take(number: int, word: str) -> None:
    assert number
    assert word


def measure(word: str) -> int:
    return len(word)


def schedule(loop: tulipa.Loop) -> None:
    assert_type(loop.call_soon(take, 1, "one"), asyncio.Handle)
    assert_type(loop.call_soon(take, 1, "one", context=contextvars.copy_context()), asyncio.Handle)
    assert_type(loop.call_soon_threadsafe(take, 1, "one"), asyncio.Handle)
    later = loop.call_later(0.001, take, 2, "two")
    assert_type(later, asyncio.TimerHandle)
    assert_type(later.when(), float)
    later.cancel()
    assert_type(loop.call_at(loop.time() + 0.001, take, 3, "three"), asyncio.TimerHandle)
    assert_type(loop.time(), float)


def refuse(loop: tulipa.Loop) -> None:
    """Not called: each line is wrong, and the type checkers have to say so."""
    loop.call_soon(take, 1)  # type: ignore[arg-type]  # an argument is missing
    loop.call_later("1", take, 1, "one")  # type: ignore[arg-type]  # a delay is a number
    loop.call_at(1.0, take, "one", 1)  # type: ignore[arg-type]  # the other way round
    tulipa.Loop("epoll")  # type: ignore[call-arg]  # the driver is named


async def compute() -> int:
    return 1


async def run_tasks(loop: tulipa.Loop) -> None:
    task = loop.create_task(compute())
    assert_type(await task, int)
    future = loop.run_in_executor(None, measure, "word")
    assert_type(future, asyncio.Future[int])
    assert_type(await future, int)


async def use_sockets(loop: tulipa.Loop) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        await loop.sock_sendall(left, b"word")
        assert_type(await loop.sock_recv(right, 2), bytes)
        assert_type(await loop.sock_recv_into(right, bytearray(2)), int)

        readable = asyncio.Event()
        loop.add_reader(right, readable.set)
        left.send(b"more")
        await readable.wait()
        assert_type(loop.remove_reader(right), bool)
        loop.add_writer(left.fileno(), take, 1, "one")
        assert_type(loop.remove_writer(left.fileno()), bool)


def handle_signals(loop: tulipa.Loop) -> None:
    loop.add_signal_handler(signal.SIGUSR2, take, 1, "one")
    assert_type(loop.remove_signal_handler(signal.SIGUSR2), bool)


async def everything() -> None:
    loop = tulipa.current_loop()
    schedule(loop)
    await run_tasks(loop)
    await use_sockets(loop)
    handle_signals(loop)


def main() -> None:
    tulipa.run(everything())


if __name__ == "__main__":
    main()

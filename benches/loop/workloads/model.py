"""What a workload is: its kinds, and by which number loops are compared."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

# Starts to serve on a socket that is bound, and for streams listens. What it returns is kept alive.
Serve = Callable[[socket.socket, ssl.SSLContext | None], Awaitable[object]]
# Of the far side, `client.py`: who asks and how, or who answers.
ECHO, HTTP, WEBSOCKET, CHURN, DOWNLOAD, UPLOAD, IDLE = (
    "echo", "http", "websocket", "churn", "download", "upload", "idle",
)  # fmt: skip

CPU, MEMORY, LATENCY, WORST = "cpu_per_operation", "memory", "p50", "worst"


@dataclass(frozen=True, kw_only=True)
class Common:
    name: str
    title: str
    # Measured when no workloads are named.
    usual: bool = False
    # The number by which loops are compared: the lower, the better.
    judged: str = CPU
    # Whether anything of asyncio's transports is in it, which is what aiofastnet replaces.
    transports: bool = True


@dataclass(frozen=True, kw_only=True)
class Served(Common):
    """A server on the loop, and a client that does not depend on it.

    Most of them are an echo: a message of `size` bytes comes back whole, and only then the next one leaves on the same
    connection. `client` says what else the far side does.
    """

    serve: Serve
    client: str = ECHO
    size: int = 1024
    connections: int = 1
    family: socket.AddressFamily = socket.AF_INET
    kind: socket.SocketKind = socket.SOCK_STREAM
    tls: bool = False
    # What the limit does to serve the same.
    limit: str | None = None

    def message(self) -> bytes:
        """One line, so that servers that read lines can take it."""
        letters = bytes(range(ord("a"), ord("z") + 1))
        return (letters * (self.size // len(letters) + 1))[: self.size - 1] + b"\n"


@dataclass(frozen=True, kw_only=True)
class Asking(Common):
    """The loop is the client, and the far side answers each message with `answer`, or with the same.

    `run` asks for so many seconds with `connections` at a time, and gives how long each operation took.
    """

    run: Callable[[tuple[str, int], int, float], Awaitable[list[float]]]
    connections: int = 32
    http: bool = False


@dataclass(frozen=True, kw_only=True)
class Scheduling(Common):
    """Something that the loop does within its own process, `count` times per call of `run`.

    What `run` returns are durations, of which the middle one, the 99th percentile and the longest are shown.
    """

    run: Callable[[asyncio.AbstractEventLoop, int], Awaitable[list[float] | None]]
    # Operations per call: long against a look at the clock, short against a measurement.
    batch: int = 10_000
    transports: bool = False


Workload = Served | Asking | Scheduling

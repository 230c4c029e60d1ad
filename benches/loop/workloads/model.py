"""What a workload is."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

# Starts to serve on a socket that is bound, and for streams listens. What it returns is kept alive.
Serve = Callable[[socket.socket, ssl.SSLContext | None], Awaitable[object]]


@dataclass(frozen=True)
class Served:
    """A server on the loop, and a client that does not depend on it.

    Every one of them is an echo: a message of `size` bytes comes back whole, and only then the next one
    leaves on the same connection. How the server goes about it is what differs.
    """

    name: str
    title: str
    serve: Serve
    size: int = 1024
    connections: int = 1
    family: socket.AddressFamily = socket.AF_INET
    kind: socket.SocketKind = socket.SOCK_STREAM
    tls: bool = False
    # Measured when no workloads are named.
    usual: bool = False

    def message(self) -> bytes:
        """One line, so that servers that read lines can take it."""
        letters = bytes(range(ord("a"), ord("z") + 1))
        return (letters * (self.size // len(letters) + 1))[: self.size - 1] + b"\n"


@dataclass(frozen=True)
class Scheduling:
    """Something that the loop does within its own process, `count` times per call of `run`."""

    name: str
    title: str
    run: Callable[[asyncio.AbstractEventLoop, int], Awaitable[None]]
    usual: bool = False


Workload = Served | Scheduling

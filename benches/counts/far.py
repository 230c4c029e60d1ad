"""The far ends of the connections that are counted: sockets in the loop's own process.

They do not block: an answer that is not there when it is asked for is an error. Rule: every descriptor of a far end has
a number from FIRST on, by which its system calls are told from the loop's.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import socket
import ssl
from collections.abc import Awaitable, Iterator
from pathlib import Path

SIZE = 1024
# One line, so that servers that read lines can take it.
MESSAGE = (b"abcdefgh" * (SIZE // 8))[: SIZE - 1] + b"\n"
FIRST = 500


class Far:
    """Far ends that send and receive one after another."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets
        self.sending = [sock.send for sock in sockets]
        self.receiving = [sock.recv for sock in sockets]

    def __enter__(self) -> Far:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self.sockets:
            sock.close()

    def send(self) -> None:
        for send in self.sending:
            send(MESSAGE)

    def receive(self) -> None:
        for receive in self.receiving:
            if len(receive(2 * SIZE)) != SIZE:
                raise RuntimeError("an answer is not whole")

    def answered(self) -> bool:
        """Whether there is something to receive at each of them."""
        poller = select.poll()
        for sock in self.sockets:
            poller.register(sock, select.POLLIN)
        return len(poller.poll(0)) == len(self.sockets)


def far_away(sock: socket.socket) -> socket.socket:
    """The same socket under a number of the far ends'."""
    moved = socket.socket(fileno=fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST))
    sock.close()
    moved.setblocking(False)
    return moved


def stream_pair() -> tuple[socket.socket, socket.socket]:
    """A near end for the loop, and the far one. Not TCP: here nothing is ever under way."""
    near, other = socket.socketpair()
    near.setblocking(False)
    return near, far_away(other)


def datagram_ends(address: tuple[str, int], count: int) -> list[socket.socket]:
    ends = []
    for _ in range(count):
        sock = far_away(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.connect(address)
        ends.append(sock)
    return ends


def connected(address: tuple[str, int], count: int) -> list[socket.socket]:
    ends = []
    for _ in range(count):
        sock = socket.socket()
        sock.connect(address)
        ends.append(far_away(sock))
    return ends


def listening() -> socket.socket:
    """What the loop connects to."""
    return far_away(socket.create_server(("127.0.0.1", 0)))


def accepted(listener: socket.socket) -> socket.socket:
    sock, _ = listener.accept()
    return far_away(sock)


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(Path(os.environ["COUNTS_FOLDER"]) / "server.pem")
    context.num_tickets = 0  # what a far end can receive is an answer, and nothing else
    return context


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=Path(os.environ["COUNTS_FOLDER"]) / "authority.pem")


async def shaken_hands(sock: socket.socket, context: ssl.SSLContext | None = None, **options: object) -> ssl.SSLSocket:
    """The far end of a TLS connection, after its handshake with the loop (or with another far end)."""
    options = options or {"server_hostname": "localhost"}
    wrapped = (context or client_context()).wrap_socket(sock, do_handshake_on_connect=False, **options)
    while True:
        try:
            wrapped.do_handshake()
            return wrapped
        except ssl.SSLWantReadError:
            await asyncio.sleep(0)


# -- pairs of far ends ------------------------------------------------------------------------


def plain_pairs(count: int) -> Iterator[Awaitable[tuple[socket.socket, socket.socket]]]:
    async def pair():
        near, other = stream_pair()
        return far_away(near), other

    return (pair() for _ in range(count))


def datagram_pairs(count: int) -> Iterator[Awaitable[tuple[socket.socket, socket.socket]]]:
    async def pair():
        one, other = (far_away(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
        for sock in (one, other):
            sock.bind(("127.0.0.1", 0))
        one.connect(other.getsockname())
        other.connect(one.getsockname())
        return one, other

    return (pair() for _ in range(count))


def tls_pairs(count: int) -> Iterator[Awaitable[tuple[ssl.SSLSocket, ssl.SSLSocket]]]:
    async def pair():
        near, other = stream_pair()
        return tuple(
            await asyncio.gather(
                shaken_hands(far_away(near), server_context(), server_side=True), shaken_hands(other)
            )
        )  # fmt: skip

    return (pair() for _ in range(count))

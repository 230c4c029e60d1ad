"""A stream transport and, at the other end, a plain socket that the test holds in its hands."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from tests.support.recorders import Recorder

KINDS = ("tcp", "unix")


def raw_pair(kind: str) -> tuple[socket.socket, socket.socket]:
    """Two connected non-blocking sockets."""
    if kind == "unix":
        left, right = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            left = socket.create_connection(listener.getsockname())
            right, _ = listener.accept()
    left.setblocking(False)
    right.setblocking(False)
    return left, right


@contextlib.asynccontextmanager
async def transport_and_peer(loop, kind: str = "tcp", factory=Recorder):
    """A transport with its protocol, and its peer as a socket. Both are closed at the end."""
    left, right = raw_pair(kind)
    with right:
        transport, protocol = await loop.create_connection(factory, sock=left)
        try:
            yield transport, protocol, right
        finally:
            await end(transport)


@contextlib.asynccontextmanager
async def two_transports(loop, kind: str = "tcp", factory=Recorder, other_factory=Recorder):
    """Two transports that talk to each other: ((transport, protocol), (transport, protocol))."""
    left, right = raw_pair(kind)
    one = await loop.create_connection(factory, sock=left)
    other = await loop.create_connection(other_factory, sock=right)
    try:
        yield one, other
    finally:
        await end(one[0], other[0])


async def end(*transports) -> None:
    """Abort what is not closed already."""
    for transport in transports:
        if not transport.is_closing() or transport.get_write_buffer_size():
            transport.abort()
    await turns(2)


async def turns(count: int) -> None:
    """Let some turns of the loop pass."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition) -> None:
    """Let turns of the loop pass until a function without arguments gives true: for what tells nobody that it came."""
    while not condition():
        await asyncio.sleep(0.001)


async def receive(loop, sock, count: int) -> bytes:
    """Exactly so many bytes from a socket, or fewer if it ends."""
    got = bytearray()
    while len(got) < count:
        data = await loop.sock_recv(sock, min(count - len(got), 1 << 18))
        if not data:
            break
        got += data
    return bytes(got)


async def receive_all(loop, sock) -> bytes:
    """All bytes until the end."""
    return await receive(loop, sock, 1 << 60)


def reset(sock: socket.socket) -> None:
    """Close a TCP socket so that its peer sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()

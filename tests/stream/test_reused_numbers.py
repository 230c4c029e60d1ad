"""The number of a descriptor goes to somebody else at once when it is closed, and he is not disturbed. # R1 # R6"""

import asyncio
import contextlib
import socket

import pytest

from tests.support.certificates import NAME, client_context, server_context


async def newcomer(loop):
    """Somebody who opens a socket, which takes the lowest free number, and waits for it in the same turn."""
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        loop.call_later(0.01, right.send, b"x")
        return await loop.sock_recv(left, 1)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("turns", range(1, 12))
async def test_whoever_gets_the_number_of_a_cancelled_connection_is_not_disturbed(loop, secure, turns):
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=server_context() if secure else None)
    options = {"ssl": client_context(), "server_hostname": NAME} if secure else {}
    address = server.sockets[0].getsockname()

    async def connect():
        try:
            transport, _ = await loop.create_connection(asyncio.Protocol, *address, **options)
        except asyncio.CancelledError:
            return await newcomer(loop)
        transport.abort()
        return b"x"

    async with server:
        task = asyncio.ensure_future(connect())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            assert await task == b"x"
        await asyncio.sleep(0.02)  # the server's side hears of it


@pytest.mark.parametrize("ending", ["close", "abort"])
async def test_whoever_gets_the_number_of_a_socket_closed_with_its_transport_is_not_disturbed(loop, ending):
    left, right = socket.socketpair()
    with right:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        getattr(transport, ending)()
        left.close()  # as `with left:` does
        assert await newcomer(loop) == b"x"

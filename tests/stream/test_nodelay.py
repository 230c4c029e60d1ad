"""TCP_NODELAY on every TCP transport, however its socket was made. # T32"""

import asyncio
import socket

import pytest

from tests.support.recorders import Recorder
from tests.support.streams import turns


def nodelay(transport):
    return transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_on_both_ends_of_a_connection(loop):
    made = loop.create_future()

    class Served(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            made.set_result(transport)

    async with await loop.create_server(Served, "127.0.0.1", 0) as server:
        client, _ = await loop.create_connection(Recorder, *server.sockets[0].getsockname())
        served = await made
        assert nodelay(client)
        assert nodelay(served)
        client.abort()
        await turns(5)


@pytest.mark.parametrize("protocol", [0, socket.IPPROTO_TCP])
async def test_on_sockets_of_the_program(loop, protocol):
    """`socket.socket()` has protocol 0; asyncio sets the option only for IPPROTO_TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
        sock.connect(listener.getsockname())
        transport, _ = await loop.create_connection(Recorder, sock=sock)
        assert nodelay(transport)
        transport.abort()
        await turns(2)


async def test_on_connections_of_a_server_with_a_ready_made_socket(loop):
    made = loop.create_future()

    class Served(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            made.set_result(transport)

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    async with await loop.create_server(Served, sock=listener):
        with socket.create_connection(listener.getsockname()):
            assert nodelay(await made)
        await asyncio.sleep(0.005)


async def test_unix_sockets_are_left_alone(loop):
    left, right = socket.socketpair()
    with right:
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        transport.abort()
        await protocol.until("connection_lost")

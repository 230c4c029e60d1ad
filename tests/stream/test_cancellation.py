"""Cancellation at each step of connecting and serving: whatever was held is given back. # R5 # T20

The autouse fixture that counts descriptors makes the assertion; these tests only see to it that the stroke falls at
every await.
"""

import asyncio
import socket

import pytest

from tests.support.recorders import Recorder
from tests.support.streams import raw_pair, turns

STEPS = range(12)


async def strike(coroutine, steps):
    """Cancel a coroutine after so many turns; its result, if it was faster."""
    task = asyncio.ensure_future(coroutine)
    await turns(steps)
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def drop(result):
    if result is not None:
        result[0].abort()
    await turns(4)


async def test_create_connection_by_address(loop):
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    for steps in STEPS:
        await drop(await strike(loop.create_connection(Recorder, *server.sockets[0].getsockname()), steps))
    server.close()
    await asyncio.sleep(0.01)


async def test_create_connection_by_name_with_happy_eyeballs(loop):
    server = await loop.create_server(Recorder, "localhost", 0, family=socket.AF_INET)
    port = server.sockets[0].getsockname()[1]
    for steps in STEPS:
        await drop(await strike(loop.create_connection(Recorder, "localhost", port, happy_eyeballs_delay=0.01), steps))
    server.close()
    await asyncio.sleep(0.02)


async def test_create_connection_that_hangs(loop):
    """The listener's queue is full, so that connecting waits."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for sock in fillers:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        for steps in (1, 3, 6):
            assert await strike(loop.create_connection(Recorder, *listener.getsockname()), steps) is None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await loop.create_connection(Recorder, *listener.getsockname())
        for sock in fillers:
            sock.close()
        await turns(3)


async def test_create_connection_with_a_socket(loop):
    """The socket goes to the transport or stays the caller's; it is closed once."""
    for steps in STEPS:
        left, right = raw_pair("tcp")
        with right:
            result = await strike(loop.create_connection(Recorder, sock=left), steps)
            await drop(result)
            left.close()


async def test_the_pattern_of_aiohappyeyeballs(loop):  # T20
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()

    async def connect():
        sock = socket.socket()
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        try:
            return await loop.create_connection(Recorder, sock=sock)
        except BaseException:
            sock.close()
            raise

    for steps in STEPS:
        await drop(await strike(connect(), steps))
    server.close()
    await asyncio.sleep(0.01)


async def test_create_unix_connection(loop, tmp_path):
    path = str(tmp_path / "socket")
    server = await loop.create_unix_server(Recorder, path)
    for steps in STEPS:
        await drop(await strike(loop.create_unix_connection(Recorder, path), steps))
    server.close()
    await asyncio.sleep(0.01)


async def test_create_server(loop):
    for steps in STEPS:
        server = await strike(loop.create_server(Recorder, "localhost", 0), steps)
        if server is not None:
            server.close()
        await turns(3)


async def test_create_unix_server(loop, tmp_path):
    for steps in range(5):
        server = await strike(loop.create_unix_server(Recorder, str(tmp_path / f"socket{steps}")), steps)
        if server is not None:
            server.close()
        await turns(3)


async def test_connect_accepted_socket(loop):
    for steps in range(5):
        left, right = raw_pair("tcp")
        with right:
            await drop(await strike(loop.connect_accepted_socket(Recorder, left), steps))
            left.close()


async def test_serve_forever(loop):
    for steps in range(5):
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        await strike(server.serve_forever(), steps)
        server.close()
        await turns(2)


async def test_all_socket_operations(loop):
    for steps in range(4):
        left, right = raw_pair("unix")
        with left, right:
            await strike(loop.sock_recv(left, 10), steps)
            await strike(loop.sock_recv_into(left, bytearray(10)), steps)
            await strike(loop.sock_sendall(left, bytes(10_000_000)), steps)
            assert loop.remove_reader(left) is False
            assert loop.remove_writer(left) is False
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            await strike(loop.sock_accept(listener), steps)
            assert loop.remove_reader(listener) is False


async def test_a_cancelled_group_of_connections(loop):
    async def hold(address):
        transport, _ = await loop.create_connection(Recorder, *address)
        try:
            await asyncio.sleep(60)
        finally:
            transport.abort()

    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    for steps in (1, 2, 5, 20):
        tasks = [loop.create_task(hold(server.sockets[0].getsockname())) for _ in range(30)]
        await turns(steps)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await turns(3)
    server.close()
    await asyncio.sleep(0.02)

"""`sock_recvfrom`, `sock_recvfrom_into`, `sock_sendto`."""

import asyncio
import socket

import pytest

from tests.support.descriptors import socket_pair


def bound(family=socket.AF_INET, address=("127.0.0.1", 0)):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(address)
    return sock


async def test_sendto_and_recvfrom(loop):
    with bound() as left, bound() as right:
        assert await loop.sock_sendto(left, b"hello", right.getsockname()) == 5
        assert await loop.sock_recvfrom(right, 100) == (b"hello", left.getsockname())


async def test_recvfrom_waits(loop):
    with bound() as left, bound() as right:
        task = loop.create_task(loop.sock_recvfrom(right, 100))
        await asyncio.sleep(0)
        assert not task.done()
        await loop.sock_sendto(left, b"later", right.getsockname())
        assert await task == (b"later", left.getsockname())


async def test_recvfrom_into_fills_the_buffer(loop):
    with bound() as left, bound() as right:
        buffer = bytearray(100)
        await loop.sock_sendto(left, b"hello", right.getsockname())
        assert await loop.sock_recvfrom_into(right, buffer) == (5, left.getsockname())
        assert buffer[:5] == b"hello"
        await loop.sock_sendto(left, b"hello", right.getsockname())
        assert await loop.sock_recvfrom_into(right, buffer, 3) == (3, left.getsockname())


async def test_recvfrom_into_refuses_more_than_the_buffer_holds(loop):
    with bound() as left, bound() as right:
        await loop.sock_sendto(left, b"hello", right.getsockname())
        with pytest.raises(ValueError):
            await loop.sock_recvfrom_into(right, bytearray(3), 100)


async def test_a_datagram_is_cut_to_the_size_asked_for(loop):
    with bound() as left, bound() as right:
        await loop.sock_sendto(left, b"0123456789", right.getsockname())
        assert (await loop.sock_recvfrom(right, 4))[0] == b"0123"
        await loop.sock_sendto(left, b"next", right.getsockname())
        assert (await loop.sock_recvfrom(right, 100))[0] == b"next"


async def test_empty_datagrams_arrive(loop):
    with bound() as left, bound() as right:
        assert await loop.sock_sendto(left, b"", right.getsockname()) == 0
        assert await loop.sock_recvfrom(right, 100) == (b"", left.getsockname())


async def test_the_sixth_version(loop):
    with bound(socket.AF_INET6, ("::1", 0)) as left, bound(socket.AF_INET6, ("::1", 0)) as right:
        await loop.sock_sendto(left, b"six", right.getsockname())
        data, address = await loop.sock_recvfrom(right, 100)
        assert data == b"six"
        assert address == left.getsockname()


async def test_unix_datagrams(loop, tmp_path):
    left_path, right_path = str(tmp_path / "left"), str(tmp_path / "right")
    with bound(socket.AF_UNIX, left_path) as left, bound(socket.AF_UNIX, right_path) as right:
        await loop.sock_sendto(left, b"unix", right_path)
        assert await loop.sock_recvfrom(right, 100) == (b"unix", left_path)


async def test_recv_and_sendall_on_connected_datagram_sockets(loop):
    with socket_pair(socket.SOCK_DGRAM) as (left, right):
        await loop.sock_sendall(left, b"one")
        await loop.sock_sendall(left, b"two")
        assert await loop.sock_recv(right, 100) == b"one"
        assert await loop.sock_recv(right, 100) == b"two"


async def test_sendto_waits_for_room(loop, tmp_path):
    path = str(tmp_path / "right")
    left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.setblocking(False)
    with left, bound(socket.AF_UNIX, path) as right:
        sent = 0
        while True:
            try:
                left.sendto(b"x", path)
                sent += 1
            except BlockingIOError:
                break
        task = loop.create_task(loop.sock_sendto(left, b"waited", path))
        await asyncio.sleep(0)
        assert not task.done()
        for _ in range(sent):
            await loop.sock_recv(right, 10)
        assert await task == 6
        assert await loop.sock_recv(right, 10) == b"waited"


async def test_an_oversized_datagram_is_an_error(loop):
    with bound() as left, bound() as right:
        with pytest.raises(OSError):
            await loop.sock_sendto(left, bytes(70_000), right.getsockname())


async def test_cancelling_recvfrom_frees_the_socket(loop):  # R5
    with bound() as left, bound() as right:
        task = loop.create_task(loop.sock_recvfrom(right, 100))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await loop.sock_sendto(left, b"kept", right.getsockname())
        assert (await loop.sock_recvfrom(right, 100))[0] == b"kept"

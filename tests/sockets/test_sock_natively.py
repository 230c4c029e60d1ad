"""`sock_recv` and `sock_sendall` go by the socket object that they are given, whatever it is."""

import asyncio
import socket

import pytest


class Shouting(socket.socket):
    """A socket of the program's own that changes what it carries."""

    __slots__ = ("sent",)

    def recv(self, *args):
        return super().recv(*args).upper()

    def send(self, data, *args):
        return super().send(bytes(data).upper(), *args)


def pair(kind=socket.SOCK_STREAM, made=socket.socket):
    left, right = socket.socketpair(socket.AF_UNIX, kind)
    left.setblocking(False)
    right.setblocking(False)
    return made(fileno=left.detach()), right


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after a wait"])
async def test_a_socket_class_that_overrides_its_methods_is_asked(loop, waits):
    plain, peer = pair()
    with plain, peer:
        await loop.sock_sendall(peer, b"first")
        assert await loop.sock_recv(plain, 100) == b"first"
    own, peer = pair(made=Shouting)
    own.setblocking(False)
    with own, peer:
        if not waits:
            peer.send(b"hello")
        received = asyncio.ensure_future(loop.sock_recv(own, 100))
        await asyncio.sleep(0)
        if waits:
            peer.send(b"hello")
        assert await received == b"HELLO"
        await loop.sock_sendall(own, b"answer")
        assert peer.recv(100) == b"ANSWER"


async def test_methods_that_replace_those_of_all_sockets_are_asked_at_once_and_no_longer(loop, monkeypatch):
    left, right = pair()
    with left, right:
        right.send(b"one")
        assert await loop.sock_recv(left, 100) == b"one"
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "recv", lambda self, size: b"replaced", raising=False)
            assert await loop.sock_recv(left, 100) == b"replaced"
        right.send(b"two")
        assert await loop.sock_recv(left, 100) == b"two"


@pytest.mark.parametrize("size", [1, 5, 1024, 256 * 1024, 256 * 1024 + 1, 1 << 20])
async def test_a_read_gives_what_has_come_up_to_its_size(loop, size):
    left, right = pair()
    with left, right:
        right.send(b"hello")
        assert await loop.sock_recv(left, size) == b"hello"[:size]


async def test_a_datagram_longer_than_the_loop_s_own_buffer_is_not_cut(loop):
    left, right = pair(socket.SOCK_DGRAM)
    with left, right:
        right.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        if right.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < 700_000:
            pytest.skip("the system allows no longer datagrams")
        right.send(bytes(300_000))
        assert len(await loop.sock_recv(left, 400_000)) == 300_000


@pytest.mark.parametrize("size", [0, True])
async def test_odd_sizes_are_the_socket_s_business(loop, size):
    left, right = pair()
    with left, right:
        right.send(b"hello")
        assert await loop.sock_recv(left, size) == b"hello"[:size]


@pytest.mark.parametrize(
    "data", [b"x" * 4_000_000, bytearray(b"y" * 4_000_000), b""], ids=["bytes", "array", "nothing"]
)
async def test_everything_is_sent_however_little_fits(loop, data):
    left, right = pair()
    with left, right:
        sending = asyncio.ensure_future(loop.sock_sendall(left, data))
        received = bytearray()
        while len(received) < len(data):
            received += await loop.sock_recv(right, 1 << 18)
        await sending
        assert received == data


async def test_a_closed_socket_is_an_error_of_the_system(loop):
    left, right = pair()
    right.close()
    left.close()
    with pytest.raises(OSError):
        await loop.sock_recv(left, 10)
    with pytest.raises(OSError):
        await loop.sock_sendall(left, b"data")

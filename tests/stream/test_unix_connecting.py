"""A connection to a Unix socket is made without a socket object, and nobody can tell. # T3 # T20 # R5"""

import asyncio
import contextlib
import os
import socket

import pytest

from tests.support.auditing import Refused, listening_to_sockets
from tests.support.recorders import Recorder
from tests.support.streams import turns

NAMES = {
    "text": "socket",
    "bytes": b"socket",
    "not ASCII": "söckel",
    "bytes that are no text": b"s\xffcket",
    "abstract": "\0tulipa's test {}",
    "the longest": "s" * 107,
}


@contextlib.asynccontextmanager
async def serving(loop, path):
    served = []

    def factory():
        served.append(Recorder())
        return served[-1]

    server = await loop.create_unix_server(factory, path)
    try:
        yield
    finally:
        server.close()
        await turns(3)
        for protocol in served:
            await protocol.until("connection_lost")


async def gone(transport, protocol):
    transport.abort()
    await protocol.until("connection_lost")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Paths in it are short."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_the_socket_and_the_names_are_there(loop, here, name):  # T3
    path = name.format(os.getpid()) if isinstance(name, str) else name
    async with serving(loop, path):
        transport, protocol = await loop.create_unix_connection(Recorder, path)
        sock = transport.get_extra_info("socket")
        assert (sock.family, sock.type, sock.proto) == (socket.AF_UNIX, socket.SOCK_STREAM, 0)
        assert transport.get_extra_info("sockname") == sock.getsockname() == ""
        assert transport.get_extra_info("peername") == sock.getpeername()
        if path[:1] not in ("\0", b"\0"):
            assert transport.get_extra_info("peername") == os.fsdecode(path)
        assert protocol.events == ["connection_made"]
        await gone(transport, protocol)


@pytest.mark.parametrize("path", ["nothing", "stale", "s" * 120, b"nothing"], ids=repr)
async def test_a_refusal_is_in_the_kernels_words(loop, backend, here, path):  # G11
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind("stale")
    expected = {"stale": ConnectionRefusedError, "s" * 120: OSError}.get(path, FileNotFoundError)
    with pytest.raises(expected) as caught:
        await loop.create_unix_connection(Recorder, path)
    if caught.value.errno is not None:
        assert caught.value.filename == (path if backend.is_tulipa else None)
        assert caught.value.strerror == os.strerror(caught.value.errno)


@pytest.mark.only_tulipa
async def test_a_full_queue_is_an_error(loop, here):
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
        listener.bind("socket")
        listener.listen(0)
        with pytest.raises(BlockingIOError) as caught:
            for _ in range(10):
                transport, _ = await loop.create_unix_connection(asyncio.Protocol, "socket")
                stack.callback(transport.abort)
        assert caught.value.filename == "socket"
    await turns(3)


async def test_a_loops_own_sock_connect_is_called(loop, here):
    connected = []
    original = loop.sock_connect

    async def sock_connect(sock, address):
        connected.append(address)
        await original(sock, address)

    async with serving(loop, "socket"):
        await gone(*await loop.create_unix_connection(Recorder, "socket"))
        loop.sock_connect = sock_connect
        await gone(*await loop.create_unix_connection(Recorder, "socket"))
        assert connected == ["socket"]
        del loop.sock_connect


async def test_a_replaced_class_of_sockets_is_used(loop, here, monkeypatch):
    class Refusing(socket.socket):
        def __new__(cls, *args, **kwargs):
            raise RuntimeError("no network in this test")

    async with serving(loop, "socket"):
        with monkeypatch.context() as patched:
            patched.setattr(socket, "socket", Refusing)
            with pytest.raises(RuntimeError, match="no network"):
                await loop.create_unix_connection(Recorder, "socket")
        await gone(*await loop.create_unix_connection(Recorder, "socket"))


async def test_audit_hooks_hear_of_it_and_may_refuse(loop, here):
    async with serving(loop, "socket"):
        with listening_to_sockets() as ear:
            for ear.refused in (None, "socket.connect"):
                ear.seen.clear()
                with pytest.raises(Refused) if ear.refused else contextlib.nullcontext():
                    await gone(*await loop.create_unix_connection(Recorder, "socket"))
                assert ear.seen[:2] == [
                    ("socket.__new__", socket.AF_UNIX, socket.SOCK_STREAM, 0),
                    ("socket.connect", "socket"),
                ]


@pytest.mark.only_tulipa
async def test_a_factory_that_raises_leaves_nothing(loop, here):  # R5
    async with serving(loop, "socket"):
        with pytest.raises(ZeroDivisionError):
            await loop.create_unix_connection(lambda: 1 / 0, "socket")

"""Programs and tests replace functions of the `socket` module, and loops' own methods; both are obeyed."""

import asyncio.base_events
import contextlib
import socket
import sys
from unittest import mock

import pytest

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 7))]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", None], ids=repr)
async def test_a_replaced_getaddrinfo_is_called(loop, monkeypatch, host):
    called = mock.Mock(return_value=ANSWER)
    monkeypatch.setattr(socket, "getaddrinfo", called)
    assert await loop.getaddrinfo(host, 80, family=2, type=1, proto=6, flags=4) == ANSWER
    assert called.mock_calls == [mock.call(host, 80, 2, 1, 6, 4)]


async def test_a_function_around_getaddrinfo_is_called(loop, monkeypatch):
    original = socket.getaddrinfo
    seen = []

    def around(*args, **options):
        seen.append(args[0])
        return original(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", around)
    assert await loop.getaddrinfo("127.0.0.1", 80) == original("127.0.0.1", 80)
    assert seen == ["127.0.0.1"]


async def test_a_replacement_below_getaddrinfo_is_called(loop, monkeypatch):
    below = sys.modules["_socket"]
    monkeypatch.setattr(below, "getaddrinfo", mock.Mock(return_value=[(2, 1, 6, "", ("127.0.0.1", 7))]))
    assert await loop.getaddrinfo("127.0.0.1", 80) == ANSWER


async def test_a_replaced_socket_module_of_asyncios_is_used(loop):
    with mock.patch("asyncio.base_events.socket") as module:
        module.getaddrinfo.return_value = ANSWER
        module.getnameinfo.return_value = ("name", "service")
        assert await loop.getaddrinfo("127.0.0.1", 80) == ANSWER
        assert await loop.getnameinfo(("127.0.0.1", 80), 3) == ("name", "service")


async def test_a_replaced_getnameinfo_is_called(loop, monkeypatch):
    called = mock.Mock(return_value=("name", "service"))
    monkeypatch.setattr(socket, "getnameinfo", called)
    assert await loop.getnameinfo(("127.0.0.1", 80), 3) == ("name", "service")
    assert called.mock_calls == [mock.call(("127.0.0.1", 80), 3)]


async def test_python_is_back_when_the_replacement_is_gone(loop):
    with mock.patch("socket.getaddrinfo", return_value=ANSWER):
        assert await loop.getaddrinfo("127.0.0.1", 80) == ANSWER
    assert await loop.getaddrinfo("127.0.0.1", 80) == socket.getaddrinfo("127.0.0.1", 80)


async def test_an_error_of_an_audit_hook_reaches_the_caller(loop):
    """A hook stays for the life of the process; this one does nothing after the test."""
    refusing = True

    def hook(event, _args):
        if refusing and event in ("socket.getaddrinfo", "socket.getnameinfo"):
            raise PermissionError(event)

    sys.addaudithook(hook)
    try:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(PermissionError, match="getaddrinfo"):
                await loop.getaddrinfo(host, 80)
        with pytest.raises(PermissionError, match="getnameinfo"):
            await loop.getnameinfo(("127.0.0.1", 80))
    finally:
        refusing = False
    assert await loop.getaddrinfo("127.0.0.1", 80)


async def test_a_loops_own_getaddrinfo_may_be_overridden(loop):
    """What connects and serves asks the loop, so that a program can resolve names in its own way."""
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    asked = []

    async def resolve(host, *_args, **_options):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    loop.getaddrinfo = resolve
    async with server:
        transport, _ = await loop.create_connection(asyncio.Protocol, "name.test", 80)
        transport.abort()
        with contextlib.closing(socket.socket()) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("name.test", 80))
        await asyncio.sleep(0.01)
    assert asked == ["name.test"] * 2

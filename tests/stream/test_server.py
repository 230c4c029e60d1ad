"""Servers: sockets, life cycle, errors. # T8 # T42 # T45"""

import asyncio
import contextlib
import errno
import gc
import os
import socket
import sys

import pytest

from tests.support.recorders import Recorder
from tests.support.streams import turns, until

V = sys.version_info


class Served(Recorder):
    """Keeps all protocols that a server made."""

    made: list = []

    def __init__(self):
        super().__init__()
        self.made.append(self)


def new_served():
    return type("Served", (Served,), {"made": []})


async def test_it_is_an_asyncio_server(loop):  # T8
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    assert isinstance(server, asyncio.AbstractServer)
    assert isinstance(server.sockets, tuple)
    assert len(server.sockets) == 1
    assert isinstance(server.sockets[0], asyncio.trsock.TransportSocket)
    assert server.get_loop() is loop
    assert server.is_serving()
    assert server._ssl_context is None  # T42
    assert "Server" in repr(server)
    server.close()
    assert not server.is_serving()
    assert server.sockets == ()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("kind", ["127.0.0.1", "::1", "unix"])
async def test_the_socket_of_a_connection_that_has_ended_is_a_closed_one(loop, kind, tmp_path):
    served = new_served()
    path = str(tmp_path / "socket")
    if kind == "unix":
        server = await loop.create_unix_server(served, path)
    else:
        server = await loop.create_server(served, kind, 0)
    async with server:
        if kind == "unix":
            client, _ = await loop.create_unix_connection(Recorder, path)
        else:
            client, _ = await loop.create_connection(Recorder, *server.sockets[0].getsockname()[:2])
        client.abort()
        await until(lambda: served.made and "connection_lost" in served.made[0].events)
        await asyncio.sleep(0)
        sock = served.made[0].transport.get_extra_info("socket")
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        assert sock.fileno() == -1
        assert sock.family == client.get_extra_info("socket").family


async def test_it_accepts_connections(loop):
    served = new_served()
    async with await loop.create_server(served, "127.0.0.1", 0) as server:
        client, protocol = await loop.create_connection(Recorder, *server.sockets[0].getsockname())
        client.write(b"hello")
        await until(lambda: served.made and served.made[0].data == b"hello")
        accepted = served.made[0].transport
        assert accepted.get_extra_info("peername") == client.get_extra_info("sockname")
        assert not os.get_inheritable(accepted.get_extra_info("socket").fileno())
        accepted.write(b"answer")
        await protocol.until_data(6)
        client.close()
        await served.made[0].until("connection_lost")


async def test_several_addresses(loop):
    async with await loop.create_server(Recorder, ["127.0.0.1", "::1"], 0) as server:
        assert {sock.family for sock in server.sockets} == {socket.AF_INET, socket.AF_INET6}
        for sock in server.sockets:
            transport, protocol = await loop.create_connection(Recorder, *sock.getsockname()[:2])
            transport.abort()
            await protocol.until("connection_lost")
        await turns(5)


@pytest.mark.parametrize("host", [None, ""])
async def test_all_addresses(loop, host):
    async with await loop.create_server(Recorder, host, 0) as server:
        assert any(sock.getsockname()[0] in ("0.0.0.0", "::") for sock in server.sockets)


async def test_a_taken_address_is_an_error_that_names_it(loop):  # G11
    async with await loop.create_server(Recorder, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        with pytest.raises(OSError) as caught:
            await loop.create_server(Recorder, *address)
        assert caught.value.errno == errno.EADDRINUSE
        assert str(address[1]) in str(caught.value)


async def test_an_address_can_be_taken_again_right_after(loop):
    for _ in range(3):
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        transport, protocol = await loop.create_connection(Recorder, *address)
        server.close()
        transport.abort()
        await turns(5)
        server = await loop.create_server(Recorder, *address)
        server.close()
        await turns(2)


async def test_reuse_port(loop):
    async with await loop.create_server(Recorder, "127.0.0.1", 0, reuse_port=True) as server:
        address = server.sockets[0].getsockname()
        async with await loop.create_server(Recorder, *address, reuse_port=True):
            pass


async def test_start_serving_later(loop):
    server = await loop.create_server(Recorder, "127.0.0.1", 0, start_serving=False)
    assert not server.is_serving()
    await server.start_serving()
    assert server.is_serving()
    await server.start_serving()
    transport, protocol = await loop.create_connection(Recorder, *server.sockets[0].getsockname())
    transport.abort()
    server.close()
    await turns(5)


async def test_serve_forever_until_cancelled(loop):
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    task = loop.create_task(server.serve_forever())
    await asyncio.sleep(0.001)
    assert server.is_serving()
    with pytest.raises(RuntimeError, match="already"):
        await server.serve_forever()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not server.is_serving()
    with pytest.raises(RuntimeError, match="closed"):
        await server.serve_forever()


async def test_close_refuses_new_clients_and_keeps_the_old(loop):
    served = new_served()
    server = await loop.create_server(served, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    client, protocol = await loop.create_connection(Recorder, *address)
    await until(lambda: served.made)
    server.close()
    await turns(2)
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(Recorder, *address)
    client.write(b"still served")
    await served.made[0].until_data(12)
    client.abort()
    await served.made[0].until("connection_lost")


async def test_wait_closed_waits_for_connections(loop):  # T45
    """From 3.12 on; before, it returned at once when the server was closed."""
    served = new_served()
    server = await loop.create_server(served, "127.0.0.1", 0)
    client, protocol = await loop.create_connection(Recorder, *server.sockets[0].getsockname())
    await until(lambda: served.made)
    server.close()
    waiting = loop.create_task(server.wait_closed())
    await asyncio.sleep(0.01)
    assert waiting.done() is (V < (3, 12))
    client.close()
    await waiting
    await served.made[0].until("connection_lost")


@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
async def test_clients_can_be_closed_or_aborted(loop, how):  # T8
    served = new_served()
    server = await loop.create_server(served, "127.0.0.1", 0)
    client, protocol = await loop.create_connection(Recorder, *server.sockets[0].getsockname())
    await until(lambda: served.made)
    getattr(server, how)()
    await served.made[0].until("connection_lost")
    await protocol.until("connection_lost")
    server.close()
    await server.wait_closed()
    getattr(server, how)()


@pytest.mark.skipif(V < (3, 13), reason="servers know their transports from 3.13 on")
async def test_transports_of_others_are_clients_too(loop):  # T8
    """Libraries that make transports of their own attach them to the server that they came from."""

    class Foreign:
        closed = False

        def close(self):
            self.closed = True

    served, foreign = new_served(), Foreign()
    server = await loop.create_server(served, "127.0.0.1", 0)
    client, _ = await loop.create_connection(Recorder, *server.sockets[0].getsockname())
    await until(lambda: served.made)
    transport = served.made[0].transport
    server._attach(foreign)
    server._attach(transport)
    server.close()
    waiting = loop.create_task(server.wait_closed())
    for _ in range(2):
        server._detach(foreign)
        await turns(2)
        assert not waiting.done()
    server.close_clients()
    assert transport.is_closing()
    assert not foreign.closed
    await waiting
    await served.made[0].until("connection_lost")
    client.abort()
    await turns(2)


@pytest.mark.skipif(V < (3, 13), reason="servers know their transports from 3.13 on")
async def test_each_server_ends_its_own_clients(loop):  # T8
    both = []
    for _ in range(2):
        served = new_served()
        server = await loop.create_server(served, "127.0.0.1", 0)
        await loop.create_connection(Recorder, *server.sockets[0].getsockname())
        both.append((served, server))
    await until(lambda: all(served.made for served, _ in both))
    (first, one), (second, other) = both
    one.close_clients()
    await first.made[0].until("connection_lost")
    assert not second.made[0].transport.is_closing()
    other.abort_clients()
    await second.made[0].until("connection_lost")
    for _, server in both:
        server.close()
        await server.wait_closed()
    await turns(5)


async def test_the_names_of_a_connection_are_known_when_it_is_over(loop):  # T4
    served = new_served()
    server = await loop.create_server(served, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    client, protocol = await loop.create_connection(Recorder, *address)
    await until(lambda: served.made)
    origin = client.get_extra_info("sockname")
    transport = served.made[0].transport
    transport.abort()
    await served.made[0].until("connection_lost")
    await protocol.until("connection_lost")
    assert transport.get_extra_info("peername") == origin
    assert transport.get_extra_info("sockname") == address
    assert transport.get_extra_info("nothing", 5) == 5
    server.close()
    await server.wait_closed()


async def test_a_program_may_add_to_what_is_known(loop):  # T9
    served = new_served()
    server = await loop.create_server(served, "127.0.0.1", 0)
    client, _ = await loop.create_connection(Recorder, *server.sockets[0].getsockname())
    await until(lambda: served.made)
    transport = served.made[0].transport
    transport._extra["more"] = 1
    assert transport.get_extra_info("more") == 1
    assert transport.get_extra_info("peername") == client.get_extra_info("sockname")
    transport._extra = {"instead": 2}
    assert (transport.get_extra_info("instead"), transport.get_extra_info("more")) == (2, None)
    transport.abort()
    client.abort()
    server.close()
    await server.wait_closed()
    await turns(5)


async def test_a_server_of_a_ready_made_socket(loop):
    sock = socket.create_server(("127.0.0.1", 0))
    async with await loop.create_server(Recorder, sock=sock) as server:
        assert server.sockets[0].getsockname() == sock.getsockname()
        transport, protocol = await loop.create_connection(Recorder, *sock.getsockname())
        transport.abort()
        await turns(5)
    assert sock.fileno() == -1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "127.0.0.1", "port": 0, "sock": "stream"},
        {"sock": "datagram"},
        {"ssl": True, "host": "127.0.0.1", "port": 0},
        {"host": "127.0.0.1", "port": 0, "ssl_handshake_timeout": 1},
    ],
    ids=["nothing", "both", "datagram", "wrong ssl", "timeout without ssl"],
)
async def test_wrong_arguments_are_refused(loop, options):
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        made = {"stream": stream, "datagram": datagram}
        options = {name: made.get(value, value) if name == "sock" else value for name, value in options.items()}
        with pytest.raises((ValueError, TypeError)) as caught:
            await loop.create_server(Recorder, **options)
        assert str(caught.value)


async def test_a_factory_that_raises_is_reported_and_the_server_goes_on(loop, reported):  # R8
    fail = True

    def factory():
        if fail:
            raise LookupError("factory")
        return Recorder()

    async with await loop.create_server(factory, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        loop.set_debug(True)
        try:
            with socket.create_connection(address) as client:
                client.setblocking(False)
                assert await asyncio.wait_for(loop.sock_recv(client, 1), 1) == b""
        finally:
            loop.set_debug(False)
            gc.collect()
        assert str(reported.pop()["exception"]) == "factory"
        fail = False
        transport, protocol = await loop.create_connection(Recorder, *address)
        transport.write(b"x")
        transport.close()
        await protocol.until("connection_lost")
        await turns(5)


@pytest.mark.only_tulipa
@pytest.mark.parametrize("wrong", [lambda: None, lambda: 1 / 0], ids=["no protocol", "raises"])
async def test_a_connection_without_a_protocol_is_closed_and_not_counted(loop, reported, wrong):  # R8 # T8
    async with await loop.create_server(wrong, "127.0.0.1", 0) as server:
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.setblocking(False)
            assert await asyncio.wait_for(loop.sock_recv(client, 1), 1) == b""
        server.close()
        await asyncio.wait_for(server.wait_closed(), 1)
    assert reported.pop()["message"] == "Error on transport creation for incoming connection"


@pytest.mark.only_tulipa
async def test_each_protocol_is_made_right_before_it_is_told(loop):
    """Many made first, and told later, would take away from what CPython lets instances of a class share."""
    seen = []

    class Protocol(asyncio.Protocol):
        def __init__(self):
            seen.append(self)

        def connection_made(self, transport):
            seen.append(self)
            transport.abort()

    count = 20
    async with await loop.create_server(Protocol, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(socket.create_connection(address))
            await until(lambda: len(seen) == 2 * count)
        assert seen[::2] == seen[1::2]


async def test_a_client_that_is_gone_before_it_is_accepted(loop):
    served = new_served()
    async with await loop.create_server(served, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        for _ in range(20):
            sock = socket.create_connection(address)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        transport, protocol = await loop.create_connection(Recorder, *address)
        await until(lambda: any(peer.events == ["connection_made"] for peer in served.made))
        transport.abort()
        await until(lambda: all("connection_lost" in peer.events for peer in served.made))


async def test_a_closed_client_socket_that_sent_before_it_was_accepted(loop):
    served = new_served()
    async with await loop.create_server(served, "127.0.0.1", 0) as server:
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.sendall(b"sent and gone")
        await until(lambda: served.made and "connection_lost" in served.made[0].events)
        assert served.made[0].data == b"sent and gone"


async def test_the_last_descriptor_is_gone(loop, reported):
    """Out of descriptors, the server pauses and says so, and goes on when there are some again. # R8"""
    import resource

    served = new_served()
    async with await loop.create_server(served, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        clients = [socket.socket() for _ in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = max(int(name) for name in os.listdir("/proc/self/fd"))
        holders = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
            try:
                while True:
                    holders.append(os.dup(0))
            except OSError:
                pass
            for client in clients:
                client.connect(address)
            await until(lambda: reported)
            assert reported[0]["exception"].errno == errno.EMFILE
            assert not served.made
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for number in holders:
                os.close(number)
        async with asyncio.timeout(5):
            await until(lambda: len(served.made) == 3)
        for client in clients:
            client.close()
        await until(lambda: all("connection_lost" in peer.events for peer in served.made))
        reported.clear()


async def test_unix_servers(loop, tmp_path):
    path = tmp_path / "socket"
    served = new_served()
    async with await loop.create_unix_server(served, path) as server:
        assert server.sockets[0].getsockname() == str(path)
        client, protocol = await loop.create_unix_connection(Recorder, str(path))
        client.write(b"unix")
        await until(lambda: served.made and served.made[0].data == b"unix")
        client.abort()
        await served.made[0].until("connection_lost")
    await turns(2)
    assert path.exists() is (V < (3, 13)), "the socket is cleaned up from 3.13 on"


@pytest.mark.skipif(V < (3, 13), reason="cleanup_socket came with Python 3.13")
async def test_cleaning_up_a_unix_socket_can_be_declined(loop, tmp_path):  # T8
    path = tmp_path / "socket"
    async with await loop.create_unix_server(Recorder, str(path), cleanup_socket=False):
        pass
    await turns(2)
    assert path.exists()


async def test_unix_servers_take_over_stale_sockets_and_refuse_other_files(loop, tmp_path):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale"))
    stale.close()
    async with await loop.create_unix_server(Recorder, str(tmp_path / "stale")):
        pass
    (tmp_path / "file").write_text("text")
    with pytest.raises(OSError, match="in use"):
        await loop.create_unix_server(Recorder, str(tmp_path / "file"))


async def test_abstract_unix_addresses(loop):
    name = f"\0tulipa-test-{os.getpid()}"
    async with await loop.create_unix_server(Recorder, name):
        transport, protocol = await loop.create_unix_connection(Recorder, name)
        transport.abort()
        await turns(5)


async def test_five_hundred_clients_echo(loop):
    async def echo(reader, writer):
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    async def talk(number):
        reader, writer = await asyncio.open_connection(*address)
        for turn in range(3):
            message = b"%d-%d" % (number, turn)
            writer.write(message)
            assert await reader.readexactly(len(message)) == message
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=600)
    address = server.sockets[0].getsockname()
    await asyncio.gather(*(talk(number) for number in range(500)))
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.01)

"""`create_connection` and `create_unix_connection`: arguments, errors, several addresses. # T8 # T20"""

import asyncio
import errno
import socket

import pytest

from tests.support.recorders import Recorder
from tests.support.streams import raw_pair, turns


async def serving(loop, host="127.0.0.1", **options):
    server = await loop.create_server(Recorder, host, 0, **options)
    return server, server.sockets[0].getsockname()


async def gone(transport, protocol):
    transport.abort()
    await protocol.until("connection_lost")
    await turns(2)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


async def test_connecting_by_address(loop):
    server, address = await serving(loop)
    async with server:
        transport, protocol = await loop.create_connection(Recorder, *address)
        assert protocol.events == ["connection_made"]
        assert transport.get_extra_info("peername") == address
        await gone(transport, protocol)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", b"127.0.0.1", None], ids=repr)
async def test_connecting_by_name_bytes_or_nothing(loop, host):
    server, address = await serving(loop, None)
    async with server:
        port = next(sock.getsockname()[1] for sock in server.sockets)
        if len({sock.getsockname()[1] for sock in server.sockets}) > 1:
            port = next(sock.getsockname()[1] for sock in server.sockets if sock.family == socket.AF_INET)
        transport, protocol = await loop.create_connection(Recorder, host, port)
        await gone(transport, protocol)


async def test_connecting_over_the_sixth_version(loop):
    server, address = await serving(loop, "::1")
    async with server:
        transport, protocol = await loop.create_connection(Recorder, "::1", address[1], family=socket.AF_INET6)
        assert transport.get_extra_info("peername")[:2] == address[:2]
        await gone(transport, protocol)


async def test_a_local_address(loop):
    server, address = await serving(loop)
    port = free_port()
    async with server:
        transport, protocol = await loop.create_connection(Recorder, *address, local_addr=("127.0.0.1", port))
        assert transport.get_extra_info("sockname") == ("127.0.0.1", port)
        await gone(transport, protocol)


async def test_a_local_address_that_is_taken(loop):
    server, address = await serving(loop)
    async with server:
        with pytest.raises(OSError) as caught:
            await loop.create_connection(Recorder, *address, local_addr=address)
        assert caught.value.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


async def test_a_refused_connection_names_the_address(loop):  # G11
    port = free_port()
    with pytest.raises(ConnectionRefusedError) as caught:
        await loop.create_connection(Recorder, "127.0.0.1", port)
    assert str(port) in str(caught.value)


async def test_several_addresses_that_all_refuse(loop):
    port = free_port()
    with pytest.raises(OSError) as caught:
        await loop.create_connection(Recorder, "localhost", port)
    assert str(port) in str(caught.value)


async def test_all_errors_gives_a_group(loop):
    import sys

    if sys.version_info < (3, 12):
        pytest.skip("all_errors came with Python 3.12")
    with pytest.raises(ExceptionGroup) as caught:
        await loop.create_connection(Recorder, "127.0.0.1", free_port(), all_errors=True)
    assert all(isinstance(error, OSError) for error in caught.value.exceptions)


@pytest.mark.parametrize("delay", [None, 0, 0.05])
async def test_happy_eyeballs_takes_the_address_that_answers(loop, delay):  # T8
    """The name gives two addresses, the first refuses or hangs: the second is taken."""
    server, (host, port) = await serving(loop)

    async def resolve(*args, **kwargs):
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)),
        ]

    loop.getaddrinfo = resolve
    async with server:
        transport, protocol = await loop.create_connection(
            Recorder, "two.test", port, happy_eyeballs_delay=delay, interleave=1
        )
        assert transport.get_extra_info("peername") == (host, port)
        await gone(transport, protocol)
    await turns(5)


async def test_a_name_that_resolves_to_nothing(loop):
    async def resolve(*args, **kwargs):
        return []

    loop.getaddrinfo = resolve
    with pytest.raises(OSError, match="getaddrinfo"):
        await loop.create_connection(Recorder, "nothing.test", 80)


async def test_a_ready_made_socket(loop):
    left, right = raw_pair("tcp")
    with right:
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        assert transport.get_extra_info("socket").fileno() == left.fileno()
        await gone(transport, protocol)
        assert left.fileno() == -1, "the transport owns and closes the socket"


async def test_a_blocking_socket_is_made_non_blocking(loop):
    left, right = raw_pair("tcp")
    left.setblocking(True)
    with right:
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        assert left.gettimeout() == 0
        await gone(transport, protocol)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, ValueError),
        ({"host": "127.0.0.1"}, (TypeError, OSError, ValueError)),
        ({"host": "127.0.0.1", "port": 80, "sock": "socket"}, ValueError),
        ({"host": "127.0.0.1", "port": 80, "server_hostname": "x"}, ValueError),
        ({"sock": "socket", "server_hostname": "x"}, ValueError),
        ({"host": "127.0.0.1", "port": 80, "ssl_handshake_timeout": 1}, ValueError),
        ({"host": "127.0.0.1", "port": 80, "ssl_shutdown_timeout": 1}, ValueError),
        ({"host": "", "port": 80, "ssl": True}, ValueError),
    ],
    ids=[
        "nothing",
        "no port",
        "host and socket",
        "name without tls",
        "socket and name",
        "handshake",
        "shutdown",
        "no name",
    ],
)
async def test_wrong_arguments_are_refused(loop, options, error):
    with socket.socket() as sock:
        options = {name: sock if value == "socket" else value for name, value in options.items()}
        with pytest.raises(error) as caught:
            await loop.create_connection(Recorder, **options)
        assert str(caught.value)


async def test_a_datagram_socket_is_refused(loop):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError, match="[Ss]tream"):
            await loop.create_connection(Recorder, sock=sock)


async def test_a_socket_that_is_not_connected_is_refused_or_ends(loop):
    sock = socket.socket()
    transport, protocol = await loop.create_connection(Recorder, sock=sock)
    await protocol.until("connection_lost")
    sock.close()


async def test_two_transports_for_one_descriptor_are_refused_by_name(loop):  # G12
    left, right = raw_pair("tcp")
    with right:
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        try:
            with pytest.raises(RuntimeError) as caught:
                await loop.create_connection(Recorder, sock=left)
            assert str(left.fileno()) in str(caught.value)
            right.send(b"unharmed")
            await protocol.until_data(8)
        finally:
            await gone(transport, protocol)


@pytest.mark.only_tulipa
async def test_a_socket_with_a_reader_is_refused_by_name_and_left_alone(loop):  # G12 T19
    left, right = raw_pair("tcp")
    with left, right:
        got = loop.create_future()
        loop.add_reader(left, lambda: got.done() or got.set_result(left.recv(8)))
        for connect in (loop.create_connection, loop.connect_accepted_socket):
            with pytest.raises(RuntimeError) as caught:
                await connect(Recorder, sock=left)
            assert str(left.fileno()) in str(caught.value)
        right.send(b"unharmed")
        assert await got == b"unharmed"
        loop.remove_reader(left)


async def test_a_factory_that_raises_leaves_nothing_behind(loop):
    def broken():
        raise LookupError("factory")

    server, address = await serving(loop)
    async with server:
        with pytest.raises(LookupError, match="factory"):
            await loop.create_connection(broken, *address)
        await turns(5)


@pytest.mark.parametrize("wrong", [None, 5, "factory"])
async def test_a_factory_that_cannot_be_called(loop, wrong):
    left, right = raw_pair("tcp")
    with left, right:
        with pytest.raises(TypeError):
            await loop.create_connection(wrong, sock=left)


async def test_unix_connections(loop, tmp_path):
    path = str(tmp_path / "socket")
    server = await loop.create_unix_server(Recorder, path)
    async with server:
        for address in (path, tmp_path / "socket", path.encode()):
            transport, protocol = await loop.create_unix_connection(Recorder, address)
            assert transport.get_extra_info("peername") in (path, path.encode())
            await gone(transport, protocol)


async def test_unix_connections_to_nowhere(loop, tmp_path):
    with pytest.raises(FileNotFoundError):
        await loop.create_unix_connection(Recorder, str(tmp_path / "nothing"))
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale"))
    stale.close()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_unix_connection(Recorder, str(tmp_path / "stale"))


async def test_unix_connections_refuse_wrong_arguments(loop):
    with pytest.raises(ValueError):
        await loop.create_unix_connection(Recorder)
    with socket.socket() as sock:
        with pytest.raises(ValueError):
            await loop.create_unix_connection(Recorder, sock=sock)
        with pytest.raises(ValueError):
            await loop.create_unix_connection(Recorder, "path", sock=sock)


async def test_connect_accepted_socket(loop):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    with client:
        transport, protocol = await loop.connect_accepted_socket(Recorder, accepted)
        client.send(b"x")
        await protocol.until_data(1)
        await gone(transport, protocol)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError):
            await loop.connect_accepted_socket(Recorder, sock)


async def test_hundreds_of_connections_at_once(loop):
    server, address = await serving(loop, backlog=500)
    async with server:
        pairs = await asyncio.gather(*(loop.create_connection(Recorder, *address) for _ in range(300)))
        assert len({transport.get_extra_info("sockname") for transport, _ in pairs}) == 300
        for transport, _ in pairs:
            transport.close()
        for _, protocol in pairs:
            await protocol.until("connection_lost")
    await turns(5)

"""TLS over any transport: what the loop has, and what the user wrote. # G8 # T11"""

import asyncio
import contextlib
import os
import pty
import socket
import ssl
import tty

import pytest

from tests.support.certificates import NAME, client_context, server_context
from tests.support.memory_transport import CompatibleTransport, MemoryTransport, give, memory_pair
from tests.support.recorders import Recorder
from tests.support.streams import raw_pair
from tests.support.tls import End, Pair, abandon, exchange, lost, tls_pair


async def upgrade(loop, client, server, **options):
    """`start_tls` on both ends, which are (transport, protocol)."""
    made = await asyncio.gather(
        loop.start_tls(*client, client_context(), server_hostname=NAME, **options),
        loop.start_tls(*server, server_context(), server_side=True, **options),
    )
    return Pair(End(made[0], client[1]), End(made[1], server[1]))


async def prove(pair):
    """All that matters, once: small and large data both ways, a proper end. Callbacks come once and in order."""
    await exchange(pair)
    large = os.urandom(1_000_000)
    before = len(pair.server.protocol.data)
    pair.client.transport.write(large)
    pair.server.transport.write(large)
    await pair.server.protocol.until_data(before + len(large))
    await pair.client.protocol.until_data(len(b"answer") + len(large))
    assert pair.server.protocol.data[before:] == large
    assert pair.client.protocol.data.endswith(large)
    pair.server.transport.write(b"last words")
    pair.server.transport.close()
    await lost(pair.client.protocol, pair.server.protocol)
    assert pair.client.protocol.data.endswith(b"last words")
    for end in pair:
        assert end.protocol.events.count("connection_lost") == 1
        assert end.protocol.error is None


@pytest.mark.all_drivers
@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_sockets(loop, kind):
    left, right = raw_pair(kind)
    client = await loop.create_connection(Recorder, sock=left)
    server = await loop.create_connection(Recorder, sock=right)
    pair = await upgrade(loop, client, server)
    assert pair.client.transport.get_extra_info("socket").family == client[0].get_extra_info("socket").family
    await prove(pair)


async def test_a_unix_server(loop, tmp_path):
    served = []

    def factory():
        served.append(Recorder())
        return served[-1]

    path = str(tmp_path / "socket")
    server = await loop.create_unix_server(factory, path, ssl=server_context())
    client = await loop.create_unix_connection(Recorder, path, ssl=client_context(), server_hostname=NAME)
    client[0].write(b"hello")
    while not served or not served[0].data:
        await asyncio.sleep(0)
    assert served[0].data == b"hello"
    client[0].close()
    await lost(client[1], served[0])
    server.close()
    await server.wait_closed()


async def test_a_unix_connection_needs_a_name(loop, tmp_path):
    with pytest.raises(ValueError, match="you have to pass server_hostname when using ssl"):
        await loop.create_unix_connection(Recorder, str(tmp_path / "socket"), ssl=client_context())


async def test_tls_inside_tls(loop):
    """A proxy's tunnel."""
    async with tls_pair(loop) as outer:
        client, server = Recorder(), Recorder()
        for inner, end in ((client, outer.client), (server, outer.server)):
            inner.connection_made(end.transport)
        pair = await upgrade(loop, (outer.client.transport, client), (outer.server.transport, server))
        assert pair.client.ssl_object is not outer.client.ssl_object
        assert pair.client.transport.get_extra_info("peername") == outer.client.transport.get_extra_info("peername")
        await prove(pair)


async def test_tls_three_deep(loop):
    async with tls_pair(loop) as pair:
        for _ in range(2):
            protocols = Recorder(), Recorder()
            for protocol, end in zip(protocols, pair, strict=True):
                protocol.connection_made(end.transport)
            pair = await upgrade(loop, (pair.client.transport, protocols[0]), (pair.server.transport, protocols[1]))
        await prove(pair)


@pytest.mark.parametrize("kind", [MemoryTransport, CompatibleTransport], ids=["documented methods", "compatible"])
async def test_a_transport_of_the_users(loop, kind):
    client, server = Recorder(), Recorder()
    one, two = memory_pair(loop, client, server, kind)
    pair = await upgrade(loop, (one, client), (two, server))
    assert pair.client.transport.get_extra_info("peername") == "memory"
    await prove(pair)
    assert one.is_closing() and two.is_closing()


async def test_a_transport_that_knows_data_received_alone(loop):
    """Many transports in the world were written without thinking of BufferedProtocol."""

    class Old(MemoryTransport):
        def _receive(self, data):
            self._protocol.data_received(data)

    client, server = Recorder(), Recorder()
    one, two = memory_pair(loop, client, server, Old)
    await prove(await upgrade(loop, (one, client), (two, server)))


@pytest.mark.parametrize("kind", [MemoryTransport, CompatibleTransport], ids=["documented methods", "compatible"])
async def test_a_failed_handshake_over_a_transport_of_the_users(loop, kind):
    client, server = Recorder(), Recorder()
    one, two = memory_pair(loop, client, server, kind)
    outcomes = await asyncio.gather(
        loop.start_tls(one, client, client_context(), server_hostname="other.test"),
        loop.start_tls(two, server, server_context(), server_side=True),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], ssl.SSLCertVerificationError)
    if isinstance(outcomes[1], asyncio.Transport):
        await abandon(outcomes[1])
    await lost(client, server)
    assert one.is_closing() and two.is_closing()


@pytest.mark.parametrize("kind", [MemoryTransport, CompatibleTransport], ids=["documented methods", "compatible"])
async def test_abort_over_a_transport_of_the_users(loop, kind):
    client, server = Recorder(), Recorder()
    one, two = memory_pair(loop, client, server, kind)
    pair = await upgrade(loop, (one, client), (two, server))
    pair.client.transport.abort()
    await lost(client, server)
    assert client.error is None
    assert client.events.count("connection_lost") == server.events.count("connection_lost") == 1


def as_file(descriptor, mode):
    return os.fdopen(descriptor, mode, 0)


class Joined(asyncio.Transport):
    """A reading and a writing pipe (or terminal) of the loop, made one transport by a user's class."""

    def __init__(self, protocol):
        super().__init__()
        self._protocol = protocol
        self._lost_parts = 0

    async def open(self, loop, reading, writing):
        joined = self

        class Reading(asyncio.Protocol):
            def data_received(self, data):
                give(joined._protocol, data)

            def eof_received(self):
                if not joined._protocol.eof_received():
                    joined.close()

            def connection_lost(self, error):
                joined._part_is_lost(error)

        class Writing(asyncio.BaseProtocol):
            def pause_writing(self):
                joined._protocol.pause_writing()

            def resume_writing(self):
                joined._protocol.resume_writing()

            def connection_lost(self, error):
                joined._part_is_lost(error)

        self._reading, _ = await loop.connect_read_pipe(Reading, reading)
        self._writing, _ = await loop.connect_write_pipe(Writing, writing)
        self._protocol.connection_made(self)
        return self, self._protocol

    def _part_is_lost(self, error):
        self._lost_parts += 1
        self.close()
        if self._lost_parts == 2:
            self._protocol.connection_lost(error)

    def get_extra_info(self, name, default=None):
        return self._writing.get_extra_info(name, default)

    def set_protocol(self, protocol):
        self._protocol = protocol

    def get_protocol(self):
        return self._protocol

    def is_closing(self):
        return self._writing.is_closing()

    def is_reading(self):
        return self._reading.is_reading()

    def pause_reading(self):
        self._reading.pause_reading()

    def resume_reading(self):
        self._reading.resume_reading()

    def write(self, data):
        self._writing.write(data)

    def get_write_buffer_size(self):
        return self._writing.get_write_buffer_size()

    def get_write_buffer_limits(self):
        return self._writing.get_write_buffer_limits()

    def set_write_buffer_limits(self, high=None, low=None):
        self._writing.set_write_buffer_limits(high, low)

    def close(self):
        self._reading.close()
        self._writing.close()

    def abort(self):
        self._reading.close()
        if self._lost_parts < 2:
            self._writing.abort()


class CompatibleJoined(Joined):
    _start_tls_compatible = True

    def _force_close(self, error):
        self.abort()


joined = pytest.mark.parametrize("kind", [Joined, CompatibleJoined], ids=["documented methods", "compatible"])


@joined
async def test_a_pair_of_pipes(loop, kind):
    there, back = os.pipe(), os.pipe()
    client = await kind(Recorder()).open(loop, as_file(back[0], "rb"), as_file(there[1], "wb"))
    server = await kind(Recorder()).open(loop, as_file(there[0], "rb"), as_file(back[1], "wb"))
    try:
        await prove(await upgrade(loop, client, server))
    finally:
        await abandon(client[0], server[0])


@joined
async def test_a_terminal(loop, kind):
    """TLS through a pseudo-terminal in raw mode, as through a serial line."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    client = await kind(Recorder()).open(loop, as_file(master, "rb"), as_file(os.dup(master), "wb"))
    server = await kind(Recorder()).open(loop, as_file(slave, "rb"), as_file(os.dup(slave), "wb"))
    try:
        pair = await upgrade(loop, client, server)
        await exchange(pair)
        pair.client.transport.write(bytes(range(256)) * 1000)
        await pair.server.protocol.until_data(256_000 + len(b"question"))
        await abandon(pair.client.transport, pair.server.transport)
        await lost(client[1], server[1])
    finally:
        await abandon(client[0], server[0])


async def test_a_transport_that_cannot_write_is_refused(loop):
    """TLS needs both directions: a TypeError that says so, and the pipe is as it was."""
    reading, writing = os.pipe()
    transport, protocol = await loop.connect_read_pipe(Recorder, os.fdopen(reading, "rb", 0))
    with os.fdopen(writing, "wb", 0) as writer:
        with pytest.raises(TypeError, match="is not supported by start_tls"):
            await loop.start_tls(transport, protocol, client_context(), server_hostname=NAME)
        writer.write(b"as before")
        await protocol.until_data(9)
    transport.close()
    await lost(protocol)


async def test_a_datagram_transport_is_refused(loop):
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind(("127.0.0.1", 0))
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=sock)
        with pytest.raises(TypeError, match="is not supported by start_tls"):
            await loop.start_tls(transport, asyncio.Protocol(), client_context(), server_hostname=NAME)
        transport.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("what", [None, object(), "transport"], ids=["none", "object", "text"])
async def test_what_is_no_transport_is_refused(loop, what):
    with pytest.raises(TypeError, match="is not supported by start_tls"):
        await loop.start_tls(what, asyncio.Protocol(), client_context(), server_hostname=NAME)

"""Plain connections that become TLS, with data under way. # T11 # T43 # G8"""

import asyncio
import contextlib
import socket
import ssl

import pytest

from tests.support.certificates import NAME, client_context, server_context
from tests.support.recorders import BufferedRecorder, Recorder
from tests.support.streams import raw_pair, receive, receive_all, reset, turns, two_transports
from tests.support.tls import End, Pair, Peer, abandon, exchange, lost, tls_pair


@contextlib.asynccontextmanager
async def plain_end(loop, factory=Recorder):
    """A plain transport with its protocol, and the peer's socket."""
    left, right = raw_pair("tcp")
    with right:
        transport, protocol = await loop.create_connection(factory, sock=left)
        try:
            yield transport, protocol, right
        finally:
            await abandon(transport)


async def upgraded(loop, client, server, **options):
    made = await asyncio.gather(
        loop.start_tls(*client, client_context(), server_hostname=NAME, **options),
        loop.start_tls(*server, server_context(), server_side=True, **options),
    )
    return Pair(End(made[0], client[1]), End(made[1], server[1]))


async def test_both_ends(loop):
    async with two_transports(loop) as (client, server):
        pair = await upgraded(loop, client, server)
        await exchange(pair)
        for end, plain in zip(pair, (client, server), strict=True):
            assert end.transport is not plain[0]
            assert end.protocol.events == ["connection_made", "data_received"]
            assert end.protocol.transport is plain[0]  # connection_made is not called again
            assert end.transport.get_extra_info("peername") == plain[0].get_extra_info("peername")
            assert end.transport.get_protocol() is end.protocol
        pair.client.transport.close()
        await lost(client[1], server[1])
        for end in pair:
            assert end.protocol.events.count("connection_lost") == 1
            assert end.protocol.error is None


async def test_the_plain_transport_belongs_to_tls_then(loop):
    async with two_transports(loop) as (client, server):
        pair = await upgraded(loop, client, server)
        assert client[0].get_protocol() is not client[1]
        await exchange(pair)
        pair.client.transport.close()
        await lost(client[1], server[1])
        assert client[0].is_closing()


async def test_what_was_written_plain_goes_out_plain_and_first(loop, reported):
    async with plain_end(loop) as (transport, protocol, sock):
        transport.write(bytes(20_000_000))
        assert protocol.events == ["connection_made", "pause_writing"]
        task = asyncio.ensure_future(loop.start_tls(transport, protocol, client_context(), server_hostname=NAME))
        assert len(await receive(loop, sock, 20_000_000)) == 20_000_000
        peer = Peer(loop, sock, server_side=True)
        await peer.handshake()
        secure = await task
        secure.write(b"secret")
        assert await peer.read(6) == b"secret"
        reports = reported[:]
        reported.clear()
        assert reports == []
        # Paused by the plain transport, resumed by that of TLS.
        assert protocol.events == ["connection_made", "pause_writing", "resume_writing"]


async def test_a_hello_that_came_before_the_upgrade(loop):
    """The client sends its hello at once; the server, which paused reading, upgrades later. Nothing is lost."""
    async with plain_end(loop) as (transport, protocol, sock):
        transport.pause_reading()
        peer = Peer(loop, sock, server_side=False)
        shaking = asyncio.ensure_future(peer.handshake())
        await asyncio.sleep(0.01)
        assert not protocol.data
        secure = await loop.start_tls(transport, protocol, server_context(), server_side=True)
        await shaking
        await peer.write(b"hello")
        await protocol.until_data(5)
        assert protocol.data == b"hello"
        assert secure.is_reading()


@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder], ids=["data_received", "get_buffer"])
async def test_an_upgrade_asked_for_in_the_callback(loop, factory):
    """The usual way of a server that knows STARTTLS: pause in the callback, upgrade in a task."""
    done = loop.create_future()

    class Upgrading(factory):
        def note(self, event):
            super().note(event)
            if event in ("data_received", "buffer_updated") and self.data == b"STARTTLS\r\n":
                self.transport.pause_reading()
                self.task = loop.create_task(self.upgrade())

        async def upgrade(self):
            self.transport.write(b"220 go\r\n")
            done.set_result(await loop.start_tls(self.transport, self, server_context(), server_side=True))

    async with plain_end(loop, Upgrading) as (_, protocol, sock):
        await loop.sock_sendall(sock, b"STARTTLS\r\n")
        assert await receive(loop, sock, 8) == b"220 go\r\n"
        peer = Peer(loop, sock, server_side=False)
        await peer.handshake()
        secure = await done
        await peer.write(b"secret")
        await protocol.until_data(16)
        assert protocol.data == b"STARTTLS\r\nsecret"
        secure.write(b"answer")
        assert await peer.read(6) == b"answer"


async def test_data_that_came_with_the_last_of_the_handshake(loop):
    async with plain_end(loop) as (transport, protocol, sock):
        task = asyncio.ensure_future(loop.start_tls(transport, protocol, server_context(), server_side=True))
        peer = Peer(loop, sock, server_side=False)
        await peer.handshake(leave_last=True)
        peer.object.write(b"in the same segment")
        await peer.send()
        await task
        await protocol.until_data(19)
        assert protocol.data == b"in the same segment"


async def test_another_protocol_takes_over(loop):
    """The protocol of TLS need not be the one of the plain connection; the latter is told nothing more."""
    async with two_transports(loop) as (client, server):
        taking = Recorder(), Recorder()
        pair = await upgraded(loop, (client[0], taking[0]), (server[0], taking[1]))
        await exchange(pair)
        pair.client.transport.close()
        await lost(*taking)
        assert client[1].events == server[1].events == ["connection_made"]
        assert "connection_made" not in taking[0].events


async def test_a_failed_upgrade_ends_the_connection(loop):
    async with two_transports(loop) as (client, server):
        outcomes = await asyncio.gather(
            loop.start_tls(*client, client_context(), server_hostname="other.test"),
            loop.start_tls(*server, server_context(), server_side=True),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], ssl.SSLCertVerificationError)
        if isinstance(outcomes[1], asyncio.Transport):
            await abandon(outcomes[1])
        await lost(client[1], server[1])
        assert client[1].error is outcomes[0]
        assert client[1].events == ["connection_made", "connection_lost"]
        assert client[0].is_closing()


async def test_an_upgrade_that_takes_too_long_ends_the_connection(loop):
    async with plain_end(loop) as (transport, protocol, sock):
        with pytest.raises(ConnectionAbortedError, match=r"SSL handshake is taking longer than 0\.05 seconds"):
            await loop.start_tls(
                transport, protocol, client_context(), server_hostname=NAME, ssl_handshake_timeout=0.05
            )
        assert transport.is_closing()
        assert (await receive_all(loop, sock)).startswith(b"\x16\x03")


async def test_a_protocol_whose_upgrade_takes_too_long_hears_of_the_end(loop):
    async with plain_end(loop) as (transport, protocol, _):
        with pytest.raises(ConnectionAbortedError):
            await loop.start_tls(
                transport, protocol, client_context(), server_hostname=NAME, ssl_handshake_timeout=0.05
            )
        await turns(5)
        assert protocol.events == ["connection_made", "connection_lost"]


@pytest.mark.parametrize("delay", [1, 2, 3, 5])
async def test_a_cancelled_upgrade_ends_the_connection(loop, delay):
    async with plain_end(loop) as (transport, protocol, sock):
        task = asyncio.ensure_future(loop.start_tls(transport, protocol, client_context(), server_hostname=NAME))
        await turns(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert transport.is_closing()
        await receive_all(loop, sock)
        assert protocol.events.count("connection_lost") <= 1


async def test_a_protocol_whose_upgrade_is_cancelled_hears_of_the_end(loop):
    async with plain_end(loop) as (transport, protocol, sock):
        task = asyncio.ensure_future(loop.start_tls(transport, protocol, client_context(), server_hostname=NAME))
        assert await loop.sock_recv(sock, 65536)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await turns(5)
        assert protocol.events == ["connection_made", "connection_lost"]


async def test_a_peer_that_leaves_during_the_upgrade(loop):
    for leave in (reset, lambda sock: sock.close()):
        async with plain_end(loop) as (transport, protocol, sock):
            task = asyncio.ensure_future(loop.start_tls(transport, protocol, client_context(), server_hostname=NAME))
            assert await loop.sock_recv(sock, 65536)
            leave(sock)
            with pytest.raises(ConnectionResetError):
                await task
            assert transport.is_closing()


@pytest.mark.parametrize("method", ["close", "abort"])
async def test_a_transport_ended_during_the_upgrade_gives_none(loop, method):
    """As on asyncio; aiohttp asks for it."""
    async with plain_end(loop) as (transport, protocol, sock):
        task = asyncio.ensure_future(loop.start_tls(transport, protocol, client_context(), server_hostname=NAME))
        assert await loop.sock_recv(sock, 65536)
        getattr(transport, method)()
        assert await task is None


async def test_upgrading_a_closed_transport(loop):
    async with plain_end(loop) as (transport, protocol, _):
        transport.close()
        await lost(protocol)
        assert await loop.start_tls(transport, protocol, client_context(), server_hostname=NAME) is None


async def test_upgrading_a_closing_transport_gives_none(loop):
    """As on asyncio; aiohttp asks for it."""
    async with plain_end(loop) as (transport, protocol, _):
        transport.close()
        assert await loop.start_tls(transport, protocol, client_context(), server_hostname=NAME) is None
        await lost(protocol)


async def test_upgrading_again_makes_tls_inside_tls(loop):
    """`start_tls` with a transport of TLS wraps it once more, as a tunnel through a proxy needs it."""
    async with two_transports(loop) as (client, server):
        outer = await upgraded(loop, client, server)
        inner = await upgraded(loop, (outer.client.transport, client[1]), (outer.server.transport, server[1]))
        await exchange(inner)
        assert inner.client.ssl_object is not outer.client.ssl_object
        inner.client.transport.close()
        await lost(client[1], server[1])
        for end in outer:
            assert end.transport.is_closing()


async def test_a_stream_upgrades_with_bytes_in_its_buffer(loop):
    """gh-142352: the client's hello came with its plain request, and lies in the reader's buffer."""
    served = loop.create_future()

    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\r\n"
        await hello_is_there.wait()
        while not reader._buffer:
            await asyncio.sleep(0)
        await writer.start_tls(server_context())
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        served.set_result(None)

    hello_is_there = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    with contextlib.closing(socket.socket()) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockets[0].getsockname())
        peer = Peer(loop, sock, server_side=False)
        with pytest.raises(ssl.SSLWantReadError):
            peer.object.do_handshake()
        await peer.send(b"STARTTLS\r\n" + peer.made())
        hello_is_there.set()
        async with asyncio.timeout(2):
            await peer.handshake()
            await peer.write(b"secret\n")
            assert await peer.read(7) == b"SECRET\n"
        await peer.goodbye_comes()
        peer.say_goodbye()
        await peer.send()
        await served
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("context", [None, True, "context"], ids=["none", "true", "text"])
async def test_it_wants_a_context(loop, context):
    async with plain_end(loop) as (transport, protocol, sock):
        with pytest.raises(TypeError, match="sslcontext is expected to be an instance of ssl.SSLContext"):
            await loop.start_tls(transport, protocol, context)
        # Nothing has happened to the connection.
        await loop.sock_sendall(sock, b"plain")
        await protocol.until_data(5)


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
async def test_refused_arguments_leave_the_connection_as_it_was(loop, name, value):
    async with plain_end(loop) as (transport, protocol, sock):
        with pytest.raises(ValueError, match=f"{name} should be a positive number, got {value}"):
            await loop.start_tls(transport, protocol, client_context(), server_hostname=NAME, **{name: value})
        await loop.sock_sendall(sock, b"plain")
        await protocol.until_data(5)
        assert transport.get_protocol() is protocol


async def test_a_name_is_ignored_on_the_server(loop):
    async with two_transports(loop) as (client, server):
        made = await asyncio.gather(
            loop.start_tls(*client, client_context(), server_hostname=NAME),
            loop.start_tls(*server, server_context(), server_side=True, server_hostname="ignored.test"),
        )
        assert made[1].get_extra_info("ssl_object").server_hostname is None
        await abandon(*made)


async def test_the_shutdown_limit_is_taken(loop):
    async with plain_end(loop) as (transport, protocol, sock):
        task = asyncio.ensure_future(
            loop.start_tls(transport, protocol, client_context(), server_hostname=NAME, ssl_shutdown_timeout=0.05)
        )
        await Peer(loop, sock, server_side=True).handshake()
        secure = await task
        secure.close()
        await lost(protocol)
        assert type(protocol.error) is TimeoutError


async def test_an_error_in_a_wire_callback_during_the_upgrade_closes_once(loop):  # T43
    """The SNI callback interrupts the handshake of `start_tls`: one connection_lost each, and both sockets closed."""

    def refuse(*_):
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context = server_context()
    context.sni_callback = refuse
    async with two_transports(loop) as (client, server):
        outcomes = await asyncio.gather(
            loop.start_tls(*client, client_context(), server_hostname=NAME),
            loop.start_tls(*server, context, server_side=True),
            return_exceptions=True,
        )
        assert all(isinstance(outcome, OSError) for outcome in outcomes)
        await lost(client[1], server[1])
        await turns(3)
        for _, protocol in (client, server):
            assert protocol.events == ["connection_made", "connection_lost"]


async def test_a_tunnel_ends_inner_first(loop):
    """Closing the inner TLS says its goodbye inside the outer one, then ends the outer one."""
    async with tls_pair(loop) as outer:
        inner = Recorder(), Recorder()
        for protocol, end in zip(inner, outer, strict=True):
            protocol.connection_made(end.transport)
        pair = await upgraded(loop, (outer.client.transport, inner[0]), (outer.server.transport, inner[1]))
        pair.client.transport.write(b"last words")
        pair.client.transport.close()
        await lost(*inner)
        assert inner[1].data == b"last words"
        assert [protocol.error for protocol in inner] == [None, None]
        assert "connection_lost" not in outer.client.protocol.events

"""The beginning: what happens until the handshake is done, or is not. # T1 # T43 # R5 # G8"""

import asyncio
import contextlib
import socket
import ssl

import pytest

from tests.support.certificates import NAME, client_context, only, server_context
from tests.support.recorders import Recorder
from tests.support.streams import raw_pair, receive_all, reset, turns
from tests.support.tls import TLS12, End, Peer, abandon, end_and_peer, exchange, lost, sides, start, tls_pair, versions


class Attempt:
    """A handshake under way on the loop, and the peer's socket."""

    def __init__(self, loop, side, factory=Recorder, **options):
        self.loop, self.side, self.factory, self.options = loop, side, factory, options
        self.made = []

    def new(self):
        self.made.append(self.factory())
        return self.made[-1]

    async def __aenter__(self):
        left, self.sock = raw_pair("tcp")
        self.task = asyncio.ensure_future(start(self.loop, self.side, left, self.new, **self.options))
        if self.side == "client":
            self.hello = await self.loop.sock_recv(self.sock, 65536)
            assert self.hello.startswith(b"\x16\x03")
        else:
            await turns(3)
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        (outcome,) = await asyncio.gather(self.task, return_exceptions=True)
        if isinstance(outcome, tuple):
            await abandon(outcome[0])
        self.sock.close()
        await turns(4)

    def peer(self, **options):
        return Peer(self.loop, self.sock, server_side=self.side == "client", **options)


@sides
async def test_connection_made_comes_after_the_handshake(loop, side):
    async with Attempt(loop, side) as attempt:
        await turns(5)
        assert attempt.made[0].events == []
        peer = attempt.peer()
        if side == "client":
            peer._incoming.write(attempt.hello)
        await peer.handshake()
        transport, protocol = await attempt.task
        assert protocol is attempt.made[0]
        assert protocol.events == ["connection_made"]
        assert protocol.transport is transport


@sides
async def test_a_peer_that_says_nothing_is_dropped_on_time(loop, side):
    started = loop.time()
    async with Attempt(loop, side, ssl_handshake_timeout=0.05) as attempt:
        with pytest.raises(
            ConnectionAbortedError,
            match=r"SSL handshake is taking longer than 0\.05 seconds: aborting the connection",
        ):
            await attempt.task
        assert loop.time() - started >= 0.05
        assert attempt.made[0].events == []
        # The socket is closed at once: the peer sees an end, not a silence.
        await receive_all(loop, attempt.sock)


@sides
async def test_a_peer_that_stops_half_way_is_dropped_on_time(loop, side):
    async with Attempt(loop, side, ssl_handshake_timeout=0.05) as attempt:
        peer = attempt.peer()
        if side == "client":
            peer._incoming.write(attempt.hello)
        try:
            peer.object.do_handshake()
        except ssl.SSLWantReadError:
            pass
        await peer.send(peer.made()[:-10])
        with pytest.raises(ConnectionAbortedError, match="SSL handshake is taking longer than"):
            await attempt.task
        assert attempt.made[0].events == []


async def test_a_drip_of_bytes_does_not_put_off_the_time_limit(loop):
    async with Attempt(loop, "server", ssl_handshake_timeout=0.1) as attempt:
        peer = attempt.peer()
        with pytest.raises(ssl.SSLWantReadError):
            peer.object.do_handshake()
        hello = peer.made()
        for byte in hello[:-1]:
            if attempt.task.done():
                break
            await loop.sock_sendall(attempt.sock, bytes([byte]))
            await asyncio.sleep(0.001)
        with pytest.raises(ConnectionAbortedError, match=r"longer than 0\.1 seconds"):
            await attempt.task


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
@pytest.mark.parametrize("value", [0, -1, -0.5])
async def test_time_limits_are_positive(loop, name, value):
    left, right = raw_pair("tcp")
    with left, right:
        with pytest.raises(ValueError, match=f"{name} should be a positive number, got {value}"):
            await start(loop, "client", left, **{name: value})


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
async def test_time_limits_need_tls(loop, name):
    left, right = raw_pair("tcp")
    with left, right:
        with pytest.raises(ValueError, match=f"{name} is only meaningful with ssl"):
            await loop.create_connection(Recorder, sock=left, **{name: 1})
        with pytest.raises(ValueError, match=f"{name} is only meaningful with ssl"):
            await loop.connect_accepted_socket(Recorder, left, **{name: 1})


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
async def test_time_limits_of_none_are_the_defaults(loop, name):
    async with tls_pair(loop, client_options={name: None}, server_options={name: None}) as pair:
        await exchange(pair)


@pytest.mark.parametrize("value", ["1", [1]], ids=["text", "list"])
async def test_time_limits_are_numbers(loop, value):
    left, right = raw_pair("tcp")
    with left, right:
        with pytest.raises(TypeError):
            await start(loop, "client", left, ssl_handshake_timeout=value)


@sides
async def test_a_peer_that_ends_before_it_says_anything(loop, side):
    async with Attempt(loop, side) as attempt:
        attempt.sock.close()
        with pytest.raises(ConnectionResetError):
            await attempt.task
        await turns(3)
        assert attempt.made[0].events == []


@sides
@versions
async def test_a_peer_that_ends_half_way(loop, side, version):
    async with Attempt(loop, side, context=None) as attempt:
        peer = attempt.peer()
        only(peer.object.context, version)
        if side == "client":
            peer._incoming.write(attempt.hello)
        with pytest.raises(ssl.SSLWantReadError):
            peer.object.do_handshake()
        await peer.send(peer.made()[:-1])
        await turns(3)
        attempt.sock.close()
        with pytest.raises(ConnectionResetError):
            await attempt.task
        assert attempt.made[0].events == []


@sides
async def test_a_peer_that_resets_during_the_handshake(loop, side):
    async with Attempt(loop, side) as attempt:
        reset(attempt.sock)
        with pytest.raises(ConnectionResetError):
            await attempt.task
        assert attempt.made[0].events == []


@sides
@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 100, b"\x15\x03\x03\0\2\2\x28"],
    ids=["http", "zeros", "too long", "alert"],
)
async def test_a_peer_that_does_not_speak_tls(loop, side, said):
    async with Attempt(loop, side) as attempt:
        await loop.sock_sendall(attempt.sock, said)
        with pytest.raises(ssl.SSLError) as caught:
            await attempt.task
        assert caught.value.library == "SSL"
        assert caught.value.reason
        await turns(3)
        assert attempt.made[0].events == []
        await ended(loop, attempt.sock)


async def ended(loop, sock):
    with contextlib.suppress(ConnectionResetError):
        await receive_all(loop, sock)


@sides
async def test_a_cancelled_handshake_closes_the_connection(loop, side):
    async with Attempt(loop, side) as attempt:
        attempt.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt.task
        await turns(4)
        assert attempt.made[0].events == []
        await ended(loop, attempt.sock)


@pytest.mark.parametrize("delay", range(1, 12))
async def test_cancelling_at_any_turn_leaves_nothing_behind(loop, delay):
    left, right = raw_pair("unix")
    tasks = [
        asyncio.ensure_future(start(loop, "client", left)),
        asyncio.ensure_future(start(loop, "server", right)),
    ]
    await turns(delay)
    tasks[0].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, tuple):
            await abandon(outcome[0])
        else:
            assert isinstance(outcome, (asyncio.CancelledError, OSError))
    await turns(6)
    assert left.fileno() == right.fileno() == -1


@versions
async def test_data_that_come_with_the_last_of_the_handshake(loop, version):
    """The last flight, data and the goodbye in one piece: connection_made, then the data, then the end. # T43"""
    side = "server"  # in both versions the client may speak in the same breath
    async with Attempt(loop, side) as attempt:
        peer = attempt.peer(context=only(client_context(), version))
        if version is TLS12:
            # The client's last flight ends with Finished, and the server's Finished must come first.
            await peer.handshake()
        else:
            await peer.handshake(leave_last=True)
        peer.object.write(b"early words")
        peer.say_goodbye()
        await peer.send()
        _, protocol = await attempt.task
        await lost(protocol)
        assert protocol.data == b"early words"
        assert protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
        assert protocol.error is None


async def test_a_server_that_speaks_with_the_last_of_its_handshake(loop):
    """In TLS 1.2 the server's Finished is the last; data may follow it in the same segment."""
    async with Attempt(loop, "client", context=only(client_context(), TLS12)) as attempt:
        peer = attempt.peer()
        peer._incoming.write(attempt.hello)
        await peer.handshake(leave_last=True)
        peer.object.write(b"220 ready\r\n")
        await peer.send()
        _, protocol = await attempt.task
        await protocol.until_data(11)
        assert protocol.data == b"220 ready\r\n"
        assert protocol.events == ["connection_made", "data_received"]


@sides
async def test_the_handshake_in_single_bytes(loop, side):
    async with Attempt(loop, side) as attempt:
        peer = attempt.peer()
        if side == "client":
            peer._incoming.write(attempt.hello)

        async def drip():
            for byte in peer.made():
                await loop.sock_sendall(attempt.sock, bytes([byte]))
                await asyncio.sleep(0)

        peer.send = drip
        await peer.handshake()
        transport, protocol = await attempt.task
        peer.object.write(b"by and by")
        await drip()
        await protocol.until_data(9)
        assert protocol.data == b"by and by"


@sides
async def test_a_protocol_factory_that_raises(loop, side):
    left, right = raw_pair("tcp")
    with left, right:

        def fail():
            raise LookupError("factory")

        with pytest.raises(LookupError, match="factory"):
            await start(loop, side, left, fail)


@sides
@pytest.mark.parametrize("action", ["close", "abort", "write and close", "write and abort"])
async def test_ending_in_connection_made(loop, side, action):
    class Ending(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            if "write" in action:
                transport.write(b"only words")
            if "close" in action:
                transport.close()
            else:
                transport.abort()

    async with Attempt(loop, side, Ending) as attempt:
        peer = attempt.peer()
        if side == "client":
            peer._incoming.write(attempt.hello)
        got = b""
        # A client that aborts there has not sent all of its handshake.
        with contextlib.suppress(ConnectionError):
            await peer.handshake()
            got = await peer.read(100)
        transport, protocol = await attempt.task
        attempt.sock.close()
        await lost(protocol)
        if action == "write and close":
            assert got == b"only words"
        if "abort" in action:
            assert protocol.events == ["connection_made", "connection_lost"]
        assert protocol.events.count("connection_lost") == 1
        assert protocol.error is None
        assert transport.is_closing()


@sides
async def test_a_failed_handshake_is_nobodys_report(loop, side, reported):
    """The exception goes to who waits for the connection; the exception handler hears nothing of it."""
    async with Attempt(loop, side) as attempt:
        await loop.sock_sendall(attempt.sock, b"not TLS at all")
        with pytest.raises(ssl.SSLError):
            await attempt.task
    assert reported == []


async def test_a_server_goes_on_after_failed_handshakes(loop, reported):
    """Strangers who speak no TLS, leave, or reset do not disturb a server; nothing is reported about them."""
    made = []

    def factory():
        made.append(Recorder())
        return made[-1]

    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=server_context())
    address = server.sockets[0].getsockname()
    for stranger in ("speaks", "leaves", "resets"):
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        if stranger == "speaks":
            await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\n\r\n")
            await ended(loop, sock)
        elif stranger == "resets":
            reset(sock)
        sock.close()
    end = End(*await loop.create_connection(Recorder, *address, ssl=client_context(), server_hostname=NAME))
    end.transport.write(b"hello")
    while not any(protocol.data == b"hello" for protocol in made):
        await asyncio.sleep(0)
    assert sum("connection_made" in protocol.events for protocol in made) == 1
    assert reported == []
    end.transport.close()
    await lost(end.protocol)
    server.close()
    await server.wait_closed()
    await turns(5)


async def test_a_server_drops_silent_clients_on_time(loop):
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_context(), ssl_handshake_timeout=0.05)
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockets[0].getsockname())
        await ended(loop, sock)
    server.close()
    await server.wait_closed()
    await turns(5)


async def test_closing_a_server_waits_for_no_handshake(loop):
    """`Server.close` with a handshake under way: what was accepted is not left open for ever."""
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_context(), ssl_handshake_timeout=0.1)
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockets[0].getsockname())
        await turns(5)
        server.close()
        await ended(loop, sock)
    await turns(5)


@sides
async def test_the_end_is_the_peers_alone_when_nothing_was_made(loop, side):
    """`Peer` sees a proper TLS end when our side closes right after the handshake."""
    async with end_and_peer(loop, side) as (end, peer):
        end.transport.close()
        await peer.goodbye_comes()
        peer.say_goodbye()
        await peer.send()
        await lost(end.protocol)
        assert end.protocol.error is None

"""TLS through Python's own `ssl`, over our transports. # T1 # T11 # T43"""

import asyncio
import os
import socket
import ssl

import pytest

from tests.support.certificates import NAME, client_context, server_context
from tests.support.recorders import BufferedRecorder, Recorder
from tests.support.streams import turns


class Served(Recorder):
    made: list = []

    def __init__(self):
        super().__init__()
        self.made.append(self)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


class Meeting:
    """A TLS server, a client, and the protocols of both."""

    def __init__(self, loop, client_factory=Recorder, server_factory=None, **options):
        self.loop = loop
        self.client_factory = client_factory
        self.served_factory = server_factory or type("Served", (Served,), {"made": []})
        self.options = options

    async def __aenter__(self):
        self.server = await self.loop.create_server(self.served_factory, "127.0.0.1", 0, ssl=server_context())
        self.address = self.server.sockets[0].getsockname()
        self.transport, self.protocol = await self.loop.create_connection(
            self.client_factory, *self.address, ssl=client_context(), server_hostname=NAME, **self.options
        )
        await until(lambda: self.served_factory.made and self.served_factory.made[0].events)
        (self.served,) = self.served_factory.made
        return self

    async def __aexit__(self, *_):
        for protocol in (self.protocol, self.served):
            if "connection_lost" not in protocol.events:
                protocol.transport.abort()
                await protocol.until("connection_lost")
        self.server.close()
        await asyncio.sleep(0.005)


async def test_data_go_both_ways(loop):
    async with Meeting(loop) as meeting:
        meeting.transport.write(b"hello")
        await meeting.served.until_data(5)
        meeting.served.transport.write(b"answer")
        await meeting.protocol.until_data(6)
        assert meeting.protocol.data == b"answer"


async def test_callbacks_come_in_order(loop):
    async with Meeting(loop) as meeting:
        meeting.transport.write(b"x")
        meeting.transport.close()
        await meeting.served.until("connection_lost")
        await meeting.protocol.until("connection_lost")
        assert meeting.served.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
        assert meeting.protocol.events[0] == "connection_made"
        assert meeting.protocol.events[-1] == "connection_lost"
        assert meeting.protocol.error is None


async def test_what_the_transport_tells(loop):  # T1 T4
    async with Meeting(loop) as meeting:
        transport = meeting.transport
        assert isinstance(transport, asyncio.Transport)
        ssl_object = transport.get_extra_info("ssl_object")
        assert isinstance(ssl_object, ssl.SSLObject)
        assert ssl_object.version().startswith("TLS")
        assert isinstance(transport.get_extra_info("sslcontext"), ssl.SSLContext)
        assert transport.get_extra_info("peercert")["subjectAltName"]
        assert len(transport.get_extra_info("cipher")) == 3
        assert transport.get_extra_info("compression") is None
        assert transport.get_extra_info("peername") == meeting.address
        assert transport.get_extra_info("socket") is not None
        assert ssl_object.selected_alpn_protocol() is None
        assert transport.can_write_eof() is False


@pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
async def test_data_of_all_sizes_arrive_whole(loop, size):
    async with Meeting(loop) as meeting:
        data = os.urandom(1000) * (size // 1000) + b"x" * (size % 1000)
        meeting.transport.write(data)
        await meeting.served.until_data(size)
        assert meeting.served.data == data
        meeting.served.transport.write(data)
        await meeting.protocol.until_data(size)
        assert meeting.protocol.data == data


async def test_close_sends_all_that_was_written(loop):
    async with Meeting(loop) as meeting:
        meeting.transport.write(bytes(3_000_000))
        meeting.transport.close()
        await meeting.served.until("connection_lost")
        assert len(meeting.served.data) == 3_000_000


async def test_buffered_protocols_over_tls(loop):
    class Viewing(BufferedRecorder):
        def get_buffer(self, sizehint):
            return memoryview(self.buffer)  # `ssl` slices what it gets, and a slice of a bytearray is a copy

    async with Meeting(loop, client_factory=lambda: Viewing(1000)) as meeting:
        meeting.served.transport.write(bytes(range(256)) * 100)
        await meeting.protocol.until_data(25_600)
        assert meeting.protocol.data == bytes(range(256)) * 100


async def test_flow_control_over_tls(loop):  # G17
    async with Meeting(loop) as meeting:
        meeting.served.transport.pause_reading()
        for _ in range(400):
            meeting.transport.write(bytes(100_000))
            await asyncio.sleep(0)
            if "pause_writing" in meeting.protocol.events:
                break
        else:
            pytest.fail("40 MB were taken without a pause")
        meeting.served.transport.resume_reading()
        await meeting.protocol.until("resume_writing")


async def test_a_wrong_name_is_refused(loop, reported):
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_context())
    address = server.sockets[0].getsockname()
    with pytest.raises(ssl.SSLCertVerificationError):
        await loop.create_connection(Recorder, *address, ssl=client_context(), server_hostname="other.test")
    server.close()
    await asyncio.sleep(0.01)
    reported.clear()


async def test_an_unknown_authority_is_refused(loop, reported):
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_context())
    address = server.sockets[0].getsockname()
    with pytest.raises(ssl.SSLCertVerificationError):
        await loop.create_connection(Recorder, *address, ssl=True, server_hostname=NAME)
    server.close()
    await asyncio.sleep(0.01)
    reported.clear()


async def test_a_peer_that_does_not_speak_tls_is_an_error(loop, reported):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = loop.create_task(
            loop.create_connection(Recorder, *listener.getsockname(), ssl=client_context(), server_hostname=NAME)
        )
        peer, _ = await loop.run_in_executor(None, listener.accept)
        with peer:
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            with pytest.raises(ssl.SSLError):
                await task
    reported.clear()


async def test_a_peer_that_says_nothing_times_out(loop):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(ConnectionAbortedError, match="handshake"):
            await loop.create_connection(
                Recorder,
                *listener.getsockname(),
                ssl=client_context(),
                server_hostname=NAME,
                ssl_handshake_timeout=0.05,
            )
    await turns(3)


async def test_a_peer_that_leaves_during_the_handshake(loop):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = loop.create_task(
            loop.create_connection(Recorder, *listener.getsockname(), ssl=client_context(), server_hostname=NAME)
        )
        peer, _ = await loop.run_in_executor(None, listener.accept)
        peer.close()
        with pytest.raises(OSError):
            await task
    await turns(3)


@pytest.mark.parametrize("delay", [0, 1, 3, 6, 10])
async def test_cancelling_during_the_handshake_leaves_nothing_behind(loop, reported, delay):  # R5
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_context())
    address = server.sockets[0].getsockname()
    task = loop.create_task(loop.create_connection(Recorder, *address, ssl=client_context(), server_hostname=NAME))
    for _ in range(delay):
        await asyncio.sleep(0)
    task.cancel()
    try:
        transport, protocol = await task
    except asyncio.CancelledError:
        pass
    else:
        transport.abort()
    server.close()
    await asyncio.sleep(0.02)
    reported.clear()


async def test_start_tls_upgrades_both_ends(loop):  # T11
    upgraded = loop.create_future()

    class Upgrading(Recorder):
        def data_received(self, data):
            super().data_received(data)
            if self.data == b"STARTTLS\n":
                self.transport.pause_reading()
                self.task = loop.create_task(self.upgrade())

        async def upgrade(self):
            self.transport.write(b"GO\n")
            transport = await loop.start_tls(self.transport, self, server_context(), server_side=True)
            self.transport = transport
            upgraded.set_result(self)

    server = await loop.create_server(Upgrading, "127.0.0.1", 0)
    transport, client = await loop.create_connection(Recorder, *server.sockets[0].getsockname())
    transport.write(b"STARTTLS\n")
    await client.until_data(3)
    secure = await loop.start_tls(transport, client, client_context(), server_hostname=NAME)
    served = await upgraded
    assert secure.get_extra_info("ssl_object") is not None
    secure.write(b"secret")
    await served.until_data(15)
    served.transport.write(b"answer")
    await client.until_data(9)
    assert client.data == b"GO\nanswer"
    secure.close()
    await served.until("connection_lost")
    await client.until("connection_lost")
    server.close()
    await asyncio.sleep(0.005)


async def test_start_tls_of_streams_keeps_what_the_reader_had(loop):  # T11
    """The client's first TLS bytes arrive together with its plain request."""
    if not hasattr(asyncio.StreamWriter, "start_tls"):
        pytest.skip("StreamWriter.start_tls came with Python 3.11")

    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"GO\n")
        await writer.start_tls(server_context())
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"STARTTLS\n")
    assert await reader.readline() == b"GO\n"
    await writer.start_tls(client_context(), server_hostname=NAME)
    writer.write(b"secret\n")
    assert await reader.readline() == b"SECRET\n"
    writer.close()
    await writer.wait_closed()
    server.close()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "arguments",
    [
        (None, None, None),
        ("transport", "protocol", None),
        ("transport", "protocol", "context"),
        (object(), None, "ssl"),
    ],
    ids=["nothing", "no context", "wrong context", "foreign transport"],
)
async def test_start_tls_refuses_wrong_arguments(loop, arguments):
    from tests.support.streams import transport_and_peer

    async with transport_and_peer(loop) as (transport, protocol, peer):
        made = {"transport": transport, "protocol": protocol, "ssl": client_context()}
        with pytest.raises(TypeError):
            await loop.start_tls(*(made.get(value, value) if isinstance(value, str) else value for value in arguments))


async def test_tls_inside_tls(loop):  # G8
    """start_tls over a TLS transport: a proxy's tunnel."""
    if not hasattr(asyncio.sslproto._SSLProtocolTransport, "_start_tls_compatible"):
        pytest.skip("this Python cannot")
    async with Meeting(loop) as meeting:
        inner_client, inner_served = Recorder(), Recorder()
        try:
            secure, served = await asyncio.gather(
                loop.start_tls(meeting.transport, inner_client, client_context(), server_hostname=NAME),
                loop.start_tls(meeting.served.transport, inner_served, server_context(), server_side=True),
            )
        except TypeError:
            pytest.skip("this Python cannot")
        inner_client.events.append("connection_made")
        secure.write(b"twice wrapped")
        await inner_served.until_data(13)
        secure.abort()
        served.abort()
        meeting.protocol.events.append("connection_lost")
        meeting.served.events.append("connection_lost")
        await asyncio.sleep(0.01)


async def test_data_before_the_peers_shutdown_are_delivered(loop):  # T43
    async with Meeting(loop) as meeting:
        meeting.served.transport.write(b"last words")
        meeting.served.transport.close()
        await meeting.protocol.until("connection_lost")
        assert meeting.protocol.data == b"last words"
        assert meeting.protocol.error is None


async def test_an_end_without_tls_shutdown_is_told(loop, reported):
    async with Meeting(loop) as meeting:
        meeting.served.transport.abort()
        await meeting.protocol.until("connection_lost")
        assert meeting.protocol.events[-1] == "connection_lost"
    reported.clear()


async def test_tls_over_unix_sockets(loop, tmp_path):
    path = str(tmp_path / "socket")
    served = type("Served", (Served,), {"made": []})
    server = await loop.create_unix_server(served, path, ssl=server_context())
    transport, protocol = await loop.create_unix_connection(Recorder, path, ssl=client_context(), server_hostname=NAME)
    transport.write(b"x")
    await until(lambda: served.made and served.made[0].data == b"x")
    transport.close()
    await protocol.until("connection_lost")
    server.close()
    await asyncio.sleep(0.01)


async def test_a_handshake_callback_that_raises_leaves_both_ends_closed_once(loop, reported):  # T43
    context = server_context()

    def sni(ssl_object, name, context):
        raise LookupError("sni callback")

    context.sni_callback = sni
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=context)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sys

        old, sys.unraisablehook = sys.unraisablehook, lambda *_: None
        try:
            with pytest.raises(OSError):
                await loop.create_connection(
                    Recorder, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname=NAME
                )
        finally:
            sys.unraisablehook = old
    server.close()
    await asyncio.sleep(0.01)
    reported.clear()


async def test_alpn(loop):
    server_side, client_side = server_context(), client_context()
    server_side.set_alpn_protocols(["h2", "http/1.1"])
    client_side.set_alpn_protocols(["http/1.1"])
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_side)
    transport, protocol = await loop.create_connection(
        Recorder, *server.sockets[0].getsockname(), ssl=client_side, server_hostname=NAME
    )
    assert transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    transport.close()
    await protocol.until("connection_lost")
    server.close()
    await asyncio.sleep(0.01)

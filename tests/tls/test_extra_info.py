"""What a TLS transport tells about itself. # T1 # T4 # T42"""

import asyncio
import os
import socket
import ssl

import pytest

from tests.support.certificates import NAME, client_context, only, server_context
from tests.support.recorders import Recorder
from tests.support.streams import raw_pair, turns
from tests.support.tls import TLS12, TLS13, exchange, lost, tls_pair, versions


@versions
async def test_the_ssl_object(loop, version):
    async with tls_pair(loop, only(client_context(), version)) as pair:
        for end in pair:
            held = end.ssl_object
            assert isinstance(held, ssl.SSLObject)
            assert held is end.transport.get_extra_info("ssl_object")
            assert held.version() == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version]
            assert held.cipher() == end.transport.get_extra_info("cipher")
            assert held.compression() is None
            assert held.selected_alpn_protocol() is None
            assert held.pending() == 0
            assert held.context is end.transport.get_extra_info("sslcontext")
        client, server = pair.client.ssl_object, pair.server.ssl_object
        assert (client.server_side, client.server_hostname) == (False, NAME)
        assert (server.server_side, server.server_hostname) == (True, None)
        assert client.getpeercert() == pair.client.transport.get_extra_info("peercert")
        assert isinstance(client.getpeercert(binary_form=True), bytes)
        assert server.getpeercert() is None
        assert client.shared_ciphers() is None
        name, of_version, bits = server.shared_ciphers()[0]
        assert isinstance(name, str) and of_version.startswith("TLSv") and bits >= 128


async def test_channel_binding(loop):
    async with tls_pair(loop, only(client_context(), TLS12)) as pair:
        binding = pair.client.ssl_object.get_channel_binding("tls-unique")
        assert isinstance(binding, bytes) and binding
        assert binding == pair.server.ssl_object.get_channel_binding()
        with pytest.raises(ValueError, match="other"):
            pair.client.ssl_object.get_channel_binding("other")


async def test_the_chain(loop):
    """The unverified and the verified chain are there where Python has them on SSLObject."""
    async with tls_pair(loop) as pair:
        inner = pair.client.ssl_object
        if not hasattr(inner, "get_verified_chain"):
            pytest.skip("SSLObject.get_verified_chain came with Python 3.13")
        assert [type(link) for link in inner.get_verified_chain()] == [bytes, bytes]
        assert inner.get_unverified_chain()[0] == inner.getpeercert(True)


async def test_the_cipher_and_the_compression(loop):
    async with tls_pair(loop) as pair:
        for end in pair:
            name, version, bits = end.transport.get_extra_info("cipher")
            assert (type(name), version, type(bits)) == (str, "TLSv1.3", int)
            assert end.transport.get_extra_info("compression", "default") is None


async def test_the_contexts(loop):
    client, server = client_context(), server_context()
    async with tls_pair(loop, client, server) as pair:
        assert pair.client.transport.get_extra_info("sslcontext") is client
        assert pair.server.transport.get_extra_info("sslcontext") is server


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_the_socket_and_its_names(loop, kind):
    async with tls_pair(loop, kind=kind) as pair:
        for end in pair:
            sock = end.transport.get_extra_info("socket")
            assert isinstance(sock, asyncio.trsock.TransportSocket)
            assert sock.family == (socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
            assert end.transport.get_extra_info("sockname") == sock.getsockname()
            assert end.transport.get_extra_info("peername") == sock.getpeername()


async def test_the_rest_is_the_default(loop):
    async with tls_pair(loop) as pair:
        assert pair.client.transport.get_extra_info("nothing of the kind") is None
        assert pair.client.transport.get_extra_info("nothing of the kind", 7) == 7
        assert pair.client.transport.get_extra_info("subprocess", 7) == 7


async def test_it_is_known_in_connection_made(loop):
    class Looking(Recorder):
        def connection_made(self, transport):
            self.version = transport.get_extra_info("ssl_object").version()
            self.peercert = transport.get_extra_info("peercert")
            super().connection_made(transport)

    async with tls_pair(loop, factory=Looking) as pair:
        assert pair.client.protocol.version == pair.server.protocol.version == "TLSv1.3"
        assert pair.client.protocol.peercert


async def test_tls_is_known_after_the_end_too(loop):
    """Access logs are written then."""
    async with tls_pair(loop) as pair:
        address = pair.server.transport.get_extra_info("peername")
        pair.client.transport.close()
        await lost(pair.client.protocol, pair.server.protocol)
        assert address
        for end in pair:
            assert end.transport.get_extra_info("cipher")[1] == "TLSv1.3"
            assert end.ssl_object.version() in ("TLSv1.3", None)
            assert end.transport.get_extra_info("sslcontext") is not None


async def test_before_the_handshake_ends_only_the_context_is_known(loop):
    """`start_tls` gives the transport away when it is done; a protocol's `set_protocol` finds it earlier. # T42"""
    left, right = raw_pair("tcp")
    with right:
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        context = client_context()
        task = asyncio.ensure_future(loop.start_tls(transport, protocol, context, server_hostname=NAME))
        assert await loop.sock_recv(right, 65536)
        assert transport.get_extra_info("sslcontext") is None
        assert transport.get_extra_info("ssl_object") is None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await turns(3)


async def test_the_types(loop):  # T2
    async with tls_pair(loop) as pair:
        transport = pair.client.transport
        assert isinstance(transport, asyncio.Transport)
        assert not isinstance(transport, asyncio.DatagramTransport)
        assert transport.can_write_eof() is False
        with pytest.raises(NotImplementedError):
            transport.write_eof()
        assert transport.is_closing() is False
        assert transport.is_reading() is True
        assert transport.get_protocol() is pair.client.protocol
        assert transport._start_tls_compatible is True


async def test_attributes_that_libraries_read(loop):  # T42
    """aiohttp and others look for the TLS of a transport by private names as well."""
    async with tls_pair(loop) as pair:
        for end in pair:
            inner = end.transport._ssl_protocol
            assert inner._sslcontext is end.transport.get_extra_info("sslcontext")
            assert inner._app_protocol is end.protocol
            assert inner._transport.get_extra_info("socket") is end.transport.get_extra_info("socket")


async def test_a_server_knows_its_context(loop):  # T42
    context = server_context()
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=context)
    assert server._ssl_context is context
    server.close()
    await server.wait_closed()


async def test_pending_tells_what_the_object_holds(loop):
    """`SSLObject.pending` counts decrypted bytes that nobody has read: none, whenever a callback runs."""
    counts = []

    class Counting(Recorder):
        def data_received(self, data):
            super().data_received(data)
            counts.append(self.transport.get_extra_info("ssl_object").pending())

    async with tls_pair(loop, server_factory=Counting) as pair:
        await exchange(pair, os.urandom(100_000), b"x")
    assert set(counts) == {0}

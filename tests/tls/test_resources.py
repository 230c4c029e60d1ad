"""After the end nothing is left: descriptors, objects, references, warnings. # R5 # R9"""

import asyncio
import gc
import ssl
import sys
import tracemalloc
import warnings
import weakref

import pytest

from tests.soak.census import give_back, resident
from tests.support.certificates import client_context, server_context
from tests.support.descriptors import open_descriptors
from tests.support.recorders import Recorder
from tests.support.streams import raw_pair, turns
from tests.support.tls import End, Pair, abandon, end_and_peer, exchange, failed, handshake, lost, tls_pair


async def connected(loop, client, server, reference):
    """A connection from its begin to its end; weak references to its parts."""
    outcomes = await handshake(loop, client, server)
    pair = Pair(End(*outcomes[0]), End(*outcomes[1]))
    await exchange(pair)
    if reference == "close":
        pair.client.transport.close()
    else:
        pair.client.transport.abort()
    await lost(pair.client.protocol, pair.server.protocol)
    return [weakref.ref(part) for end in pair for part in (end.transport, end.protocol, end.ssl_object)]


@pytest.mark.parametrize("way", ["close", "abort"])
async def test_connections_leave_nothing(loop, way):
    client, server = client_context(), server_context()
    await connected(loop, client, server, way)
    await turns(5)
    gc.collect()
    descriptors = open_descriptors()
    contexts = sys.getrefcount(client), sys.getrefcount(server)
    parts = []
    for _ in range(20):
        parts += await connected(loop, client, server, way)
    await turns(5)
    gc.collect()
    assert [part() for part in parts if part() is not None] == []
    assert open_descriptors().keys() <= descriptors.keys()
    assert (sys.getrefcount(client), sys.getrefcount(server)) == contexts


async def test_failed_handshakes_leave_nothing(loop):
    client, server = client_context(), server_context()
    protocols = []

    def factory():
        protocol = Recorder()
        protocols.append(weakref.ref(protocol))
        return protocol

    await failed(loop, client, server, server_hostname="other.test")
    gc.collect()
    descriptors = open_descriptors()
    contexts = sys.getrefcount(client), sys.getrefcount(server)
    for _ in range(20):
        await failed(loop, client, server, server_hostname="other.test", factory=factory)
    await turns(5)
    gc.collect()
    assert open_descriptors().keys() <= descriptors.keys()
    assert [protocol() for protocol in protocols if protocol() is not None] == []
    assert (sys.getrefcount(client), sys.getrefcount(server)) == contexts


async def test_cancelled_handshakes_leave_nothing(loop):
    context = client_context()
    gc.collect()
    before = sys.getrefcount(context)
    protocols = []

    def factory():
        protocol = Recorder()
        protocols.append(weakref.ref(protocol))
        return protocol

    for _ in range(10):
        left, right = raw_pair("unix")
        with right:
            task = asyncio.ensure_future(
                loop.create_connection(factory, sock=left, ssl=context, server_hostname="server.test")
            )
            await loop.sock_recv(right, 1000)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await turns(3)
            assert left.fileno() == -1
    del task, left
    gc.collect()
    assert [protocol() for protocol in protocols if protocol() is not None] == []
    assert sys.getrefcount(context) == before


@pytest.mark.parametrize("way", ["close", "abort", "reset"])
async def test_no_collector_is_needed_for_the_protocol(loop, way):
    """A protocol that its program has let go of goes when its connection has ended. # R9"""
    gc.collect()
    gc.disable()
    try:
        protocol = await short_life(loop, way)
        await turns(5)
        left = protocol()
        assert left is None, gc.get_referrers(left)
    finally:
        gc.enable()


class Aware(asyncio.Protocol):
    """Keeps no transport, so that no cycle is the program's own."""

    def __init__(self, ended):
        self.ended = ended

    def connection_lost(self, error):
        self.ended.set()


async def short_life(loop, way):
    ended = asyncio.Event()
    left, right = raw_pair("tcp")
    outcomes = await asyncio.gather(
        loop.create_connection(lambda: Aware(ended), sock=left, ssl=client_context(), server_hostname="server.test"),
        loop.connect_accepted_socket(Recorder, right, ssl=server_context()),
    )
    (transport, protocol), (other, other_protocol) = outcomes
    if way == "reset":
        other.abort()
    else:
        getattr(transport, way)()
    await ended.wait()
    await lost(other_protocol)
    return weakref.ref(protocol)


async def test_closing_properly_warns_of_nothing(loop):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with tls_pair(loop) as pair:
            pair.client.transport.close()
            await lost(pair.client.protocol, pair.server.protocol)
        del pair
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


async def test_an_ssl_object_kept_is_usable_and_keeps_no_connection(loop):
    async with tls_pair(loop) as pair:
        held = pair.client.ssl_object
        transport = weakref.ref(pair.client.transport)
        protocol = weakref.ref(pair.client.protocol)
        pair.client.transport.close()
        await lost(pair.client.protocol, pair.server.protocol)
    del pair
    await turns(5)
    gc.collect()
    assert transport() is None and protocol() is None
    assert held.context is not None
    assert held.cipher() is None or held.cipher()[1] == "TLSv1.3"
    assert isinstance(held.getpeercert(), dict)


def test_an_abandoned_transport_warns(backend):
    """A program that forgets to close hears of it when the loop has gone."""
    loop = backend.new_loop()
    outcomes = loop.run_until_complete(handshake(loop))
    for transport, _ in outcomes:
        assert not transport.is_closing()
    loop.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del outcomes, transport
        loop = None
        for _ in range(3):
            gc.collect()
    assert any(
        warning.category is ResourceWarning and "unclosed transport" in str(warning.message) for warning in caught
    )


async def test_a_busy_context_can_be_used_by_many_at_once(loop):
    client, server = client_context(), server_context()
    before = sys.getrefcount(client)
    pairs = await asyncio.gather(*(handshake(loop, client, server) for _ in range(10)))
    assert all(outcome[0].get_extra_info("sslcontext") in (client, server) for pair in pairs for outcome in pair)
    await abandon(*(outcome[0] for pair in pairs for outcome in pair))
    del pairs
    await turns(3)
    gc.collect()
    assert sys.getrefcount(client) == before


async def test_an_idle_connection_is_small(loop):
    """Sixty-four idle connections hold no data buffer: a few KiB each beyond what OpenSSL itself holds."""
    client, server = client_context(), server_context()
    await connected(loop, client, server, "close")
    gc.collect()
    tracemalloc.start()
    try:
        pairs = [await handshake(loop, client, server) for _ in range(32)]
        await turns(5)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    await abandon(*(outcome[0] for pair in pairs for outcome in pair))
    assert size / 64 < 32 * 1024


@pytest.mark.only_tulipa
async def test_a_connection_that_has_been_busy_and_is_idle_holds_no_data_buffer(loop, backend):
    """Counted as the kernel counts, native memory included. A block of ours would be 64 KiB for each end."""
    if backend.tls_engine == "memorybio":
        pytest.skip("a `ssl.MemoryBIO` keeps the size that it once had")
    client, server = client_context(), server_context()

    async def busy():
        outcomes = await handshake(loop, client, server)
        pair = Pair(End(*outcomes[0]), End(*outcomes[1]))
        await exchange(pair, bytes(100_000), bytes(100_000))
        for end in pair:
            end.protocol.data.clear()
        return pair

    def held():
        gc.collect()
        give_back()
        return resident()

    pairs = [await busy() for _ in range(10)]
    before = held()
    pairs += [await busy() for _ in range(100)]
    each = (held() - before) / 200
    await abandon(*(end.transport for pair in pairs for end in pair))
    assert each < 40 * 1024, "OpenSSL itself holds some 20 KiB"


async def test_an_ssl_object_that_the_program_drives_breaks_nothing(loop):
    """`ssl_object.read` and `write` belong to the transport; a program that calls them is answered, not crashed."""
    async with end_and_peer(loop) as (end, peer):
        held = end.ssl_object
        for call in (lambda: held.read(10), lambda: held.pending(), lambda: held.getpeercert(), held.do_handshake):
            try:
                call()
            except (ssl.SSLError, ValueError, OSError):
                pass
        await peer.write(b"still there")
        await end.protocol.until_data(11)

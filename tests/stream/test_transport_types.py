"""What a stream transport is and tells about itself. # T2 # T3 # T4 # T39 # T42"""

import asyncio
import asyncio.trsock
import socket
import weakref

import pytest

from tests.support.recorders import Recorder
from tests.support.streams import KINDS, transport_and_peer, turns


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_an_asyncio_transport(loop, kind):  # T2
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport, asyncio.ReadTransport)
        assert isinstance(transport, asyncio.WriteTransport)
        assert isinstance(transport, asyncio.BaseTransport)
        assert not isinstance(transport, asyncio.DatagramTransport)


async def test_its_socket_is_a_transport_socket(loop):  # T3
    async with transport_and_peer(loop) as (transport, protocol, peer):
        sock = transport.get_extra_info("socket")
        assert type(sock) is asyncio.trsock.TransportSocket
        assert sock.getsockname() == peer.getpeername()
        assert sock.getpeername() == peer.getsockname()
        assert sock.family == socket.AF_INET
        assert sock.type == socket.SOCK_STREAM
        assert sock.fileno() >= 0
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        with sock.dup() as copy:
            assert copy.getsockname() == sock.getsockname()


async def test_its_addresses(loop):  # T4
    async with transport_and_peer(loop) as (transport, protocol, peer):
        assert transport.get_extra_info("peername") == peer.getsockname()
        assert transport.get_extra_info("sockname") == peer.getpeername()
        assert len(transport.get_extra_info("peername")) == 2
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        assert transport.get_extra_info("sockname") == ""
        assert transport.get_extra_info("peername") in ("", None)


async def test_addresses_of_the_sixth_version_have_four_parts(loop):  # T4
    server = await loop.create_server(Recorder, "::1", 0)
    address = server.sockets[0].getsockname()
    transport, _ = await loop.create_connection(Recorder, *address[:2])
    assert transport.get_extra_info("peername") == address
    assert len(transport.get_extra_info("sockname")) == 4
    transport.abort()
    server.close()
    await turns(3)


async def test_unknown_information_is_none_or_the_default(loop):  # T4
    async with transport_and_peer(loop) as (transport, protocol, peer):
        for name in ("sslcontext", "ssl_object", "peercert", "cipher", "compression", "pipe", "subprocess", "nothing"):
            assert transport.get_extra_info(name) is None
            assert transport.get_extra_info(name, 7) == 7
        assert transport.get_extra_info("peername", default=7) != 7


async def test_addresses_stay_known_after_the_end(loop):
    """Access logs ask for the peer's name when all is over."""
    async with transport_and_peer(loop) as (transport, protocol, peer):
        name = peer.getsockname()
        peer.close()
        await protocol.until("connection_lost")
        assert transport.get_extra_info("peername") == name
        assert transport.get_extra_info("socket") is not None


async def test_it_takes_attributes_and_weak_references(loop):  # T39
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.anything = protocol
        assert transport.anything is protocol
        assert "anything" in vars(transport)
        assert weakref.ref(transport)() is transport
        assert len({transport, transport}) == 1


async def test_its_write_can_be_replaced(loop):  # T39
    async with transport_and_peer(loop) as (transport, protocol, peer):
        seen = []
        transport.write = seen.append
        transport.write(b"x")
        assert seen == [b"x"]


async def test_private_flags_that_libraries_read(loop):  # T11 T42
    async with transport_and_peer(loop) as (transport, protocol, peer):
        assert transport._start_tls_compatible is True
        assert callable(transport._force_close)
        assert transport._loop is loop
        assert transport._protocol is protocol
        assert transport._closing is False
        assert transport._sock is not None


async def test_get_protocol_and_loop(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        assert transport.get_protocol() is protocol
        assert transport.get_loop() is loop if hasattr(transport, "get_loop") else True


async def test_repr_tells_descriptor_and_state(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        number = transport.get_extra_info("socket").fileno()
        assert str(number) in repr(transport)
        transport.close()
        assert "clos" in repr(transport)
        await protocol.until("connection_lost")
        assert "closed" in repr(transport)


async def test_questions_after_the_end_do_not_fail(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.abort()
        await protocol.until("connection_lost")
        assert transport.is_closing()
        assert not transport.is_reading()
        assert transport.get_write_buffer_size() == 0
        assert isinstance(transport.get_write_buffer_limits(), tuple)
        transport.get_protocol()
        transport.close()
        transport.abort()
        transport.pause_reading()
        transport.resume_reading()
        transport.set_write_buffer_limits(10)
        repr(transport)
        str(transport)


async def test_transports_cannot_be_made_by_hand_into_a_crash(loop):
    """Their class is reachable; making or half-making one must give an exception, no more."""
    async with transport_and_peer(loop) as (transport, protocol, peer):
        kind = type(transport)
        for arguments in ((), (None,), (loop,), (1, 2, 3)):
            with pytest.raises((TypeError, AttributeError, ValueError, AssertionError)):
                kind(*arguments)
        half = kind.__new__(kind) if _can_make(kind) else None
        if half is not None:
            for method in ("close", "abort", "is_closing", "get_write_buffer_size", "pause_reading"):
                try:
                    getattr(half, method)()
                except Exception as error:
                    assert not type(error).__name__.startswith("Panic")
            del half


def _can_make(kind):
    if kind.__module__.startswith("asyncio"):
        return False
    try:
        kind.__new__(kind)
    except TypeError:
        return False
    return True


async def test_users_may_subclass_the_abstract_transport_beside_ours(loop):
    """Middleware wraps our transports in its own; ours must not mind being held by strangers."""

    class Wrapper(asyncio.Transport):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def get_extra_info(self, name, default=None):
            return self.inner.get_extra_info(name, default)

    async with transport_and_peer(loop) as (transport, protocol, peer):
        assert Wrapper(transport).get_extra_info("peername") == peer.getsockname()

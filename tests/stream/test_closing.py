"""Ends of connections: nothing written is lost, nothing held is kept. # R4 # R5 # R9"""

import asyncio
import gc
import socket
import weakref

import pytest

from tests.support.descriptors import open_descriptors
from tests.support.recorders import Recorder
from tests.support.streams import KINDS, raw_pair, receive_all, reset, transport_and_peer, turns, two_transports

pytestmark = pytest.mark.all_drivers
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
@pytest.mark.parametrize("size", [1, 1000, 5_000_000])
async def test_close_sends_all_that_was_written(loop, kind, size):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        transport.write(data)
        transport.close()
        assert await receive_all(loop, peer) == data
        await protocol.until("connection_lost")
        assert protocol.error is None


@kinds
async def test_close_waits_for_a_peer_that_does_not_read(loop, kind):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        transport.write(bytes(20_000_000))
        transport.close()
        await asyncio.sleep(0.01)
        assert "connection_lost" not in protocol.events
        assert transport.get_write_buffer_size() > 0
        assert len(await receive_all(loop, peer)) == 20_000_000
        await protocol.until("connection_lost")


@kinds
async def test_abort_drops_what_was_written(loop, kind):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        transport.write(bytes(20_000_000))
        transport.abort()
        assert transport.is_closing()
        await protocol.until("connection_lost")
        assert protocol.error is None
        try:
            assert len(await receive_all(loop, peer)) < 20_000_000
        except ConnectionResetError:
            pass


async def test_a_small_write_before_abort_has_left(loop):
    """What the kernel would take at once counts as sent: asyncio tries it inside `write`."""
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.write(b"last words")
        transport.abort()
        await protocol.until("connection_lost")
        assert await receive_all(loop, peer) == b"last words"


@kinds
async def test_nothing_is_lost_when_the_peer_closes_right_after_its_write(loop, kind):
    for size in (1, 1000, 70_000, 200_000):
        async with transport_and_peer(loop, kind) as (transport, protocol, peer):
            await loop.sock_sendall(peer, bytes(size)) if size > 100_000 else peer.sendall(bytes(size))
            peer.close()
            await protocol.until("connection_lost")
            assert len(protocol.data) == size
            assert protocol.error is None


@kinds
async def test_nothing_is_lost_between_two_transports_that_close_after_writing(loop, kind):
    for size in (1, 3_000_000):
        async with two_transports(loop, kind) as ((one, _), (_, other)):
            one.write(bytes(size))
            one.close()
            await other.until("connection_lost")
            assert len(other.data) == size


async def test_a_peer_that_closes_while_we_write_leaves_its_last_data_readable(loop):
    """The peer answers and closes while our buffer is full: its answer must arrive although our writes fail."""
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        transport.write(bytes(3_000_000))
        await turns(2)
        peer.send(b"answer")
        peer.shutdown(socket.SHUT_WR)
        await protocol.until("eof_received")
        assert protocol.data == b"answer"


async def test_a_reset_while_writing_is_told_once(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.write(bytes(20_000_000))
        await turns(2)
        reset(peer)
        await protocol.until("connection_lost")
        assert isinstance(protocol.error, (ConnectionResetError, BrokenPipeError))
        await turns(3)
        assert protocol.events.count("connection_lost") == 1


async def test_a_reset_while_paused_in_both_directions_is_no_busy_loop(loop):
    import time

    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.pause_reading()
        reset(peer)
        started = time.process_time()
        await asyncio.sleep(0.1)
        assert time.process_time() - started < 0.08
        transport.resume_reading()
        await protocol.until("connection_lost")


@kinds
async def test_the_descriptor_is_closed_after_connection_lost(loop, kind):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        number = transport.get_extra_info("socket").fileno()
        transport.close()
        await protocol.until("connection_lost")
        await turns(2)
        assert number not in open_descriptors()
        assert transport.get_extra_info("socket").fileno() == -1


async def test_the_descriptor_is_still_open_in_connection_lost(loop):
    """asyncio closes after the callback: `getsockname` there still works."""
    seen = []

    class Asking(Recorder):
        def connection_lost(self, error):
            seen.append(self.transport.get_extra_info("socket").fileno())
            super().connection_lost(error)

    async with transport_and_peer(loop, factory=Asking) as (transport, protocol, peer):
        transport.close()
        await protocol.until("connection_lost")
        assert seen[0] >= 0


async def test_a_reused_number_is_not_mixed_up_with_the_old_connection(loop):  # R1
    """Open and close in quick succession, with data under way: no byte may reach the wrong protocol."""
    for round_number in range(50):
        async with transport_and_peer(loop) as (transport, protocol, peer):
            mine = b"%d" % round_number
            peer.send(mine)
            transport.write(mine)
            await protocol.until_data(len(mine))
            assert protocol.data == mine
            transport.close()


@kinds
async def test_transport_and_protocol_are_freed_after_the_end(loop, kind):  # R9
    references = []
    for how in ("close", "abort", "peer"):
        left, right = raw_pair(kind)
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        references += [weakref.ref(transport), weakref.ref(protocol)]
        if how == "peer":
            right.close()
        else:
            getattr(transport, how)()
        await protocol.until("connection_lost")
        right.close()
        del transport, protocol, left
    await turns(2)
    gc.collect()
    assert [reference() for reference in references] == [None] * 6


async def test_without_cycles_no_collector_is_needed(loop):  # R9
    """connection_lost breaks the cycle between transport and protocol: reference counts alone free them."""

    class Plain(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def connection_lost(self, error):
            self.transport = None

    gc.disable()
    try:
        left, right = raw_pair("tcp")
        transport, protocol = await loop.create_connection(Plain, sock=left)
        references = [weakref.ref(transport), weakref.ref(protocol)]
        transport.close()
        await turns(4)
        del transport, protocol, left
        await turns(2)
        right.close()
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


async def test_hundreds_of_connections_leave_nothing_behind(loop):
    before = len(open_descriptors())
    objects = None
    for round_number in range(3):
        for _ in range(100):
            async with transport_and_peer(loop) as (transport, protocol, peer):
                peer.send(b"x")
                transport.write(b"y")
            del transport, protocol, peer
        gc.collect()
        count = len(gc.get_objects())
        if round_number == 1:
            objects = count
    assert count - objects < 200, f"{count - objects} objects more after 100 connections"
    assert len(open_descriptors()) == before


async def test_data_kept_by_a_protocol_is_really_its_own(loop):
    """Received `bytes` stay what they were while the next data arrive: no buffer is reused under the program."""

    class Keeper(asyncio.Protocol):
        def __init__(self):
            self.kept = []

        def data_received(self, data):
            self.kept.append(data)

    async with transport_and_peer(loop, factory=Keeper) as (transport, protocol, peer):
        for number in range(200):
            await loop.sock_sendall(peer, b"%04d" % number)
            await asyncio.sleep(0)
        while sum(map(len, protocol.kept)) < 800:
            await asyncio.sleep(0)
        assert b"".join(protocol.kept) == b"".join(b"%04d" % number for number in range(200))

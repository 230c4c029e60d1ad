"""The end: who said goodbye, who vanished, who never answers. # T13 # T43 # R4 # R5"""

import asyncio
import os
import socket

import pytest

from tests.support.certificates import NAME, client_context, only, server_context
from tests.support.recorders import Recorder
from tests.support.streams import reset, turns
from tests.support.tls import end_and_peer, exchange, lost, sides, tls_pair, versions


@sides
@versions
async def test_callbacks_come_in_order(loop, side, version):
    async with tls_pair(loop, only(client_context(), version)) as pair:
        near, far = pair.seen_from(side)
        far.transport.write(b"last words")
        far.transport.close()
        await lost(near.protocol, far.protocol)
        assert near.protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
        assert near.protocol.data == b"last words"
        assert far.protocol.events[0] == "connection_made"
        assert far.protocol.events[-1] == "connection_lost"
        for end in pair:
            assert end.protocol.error is None
            assert end.transport.is_closing()


@sides
async def test_close_sends_all_that_was_written(loop, side):
    data = os.urandom(1000) * 5000
    async with tls_pair(loop) as pair:
        near, far = pair.seen_from(side)
        near.transport.write(data)
        near.transport.close()
        assert near.transport.is_closing()
        await lost(near.protocol, far.protocol)
        assert far.protocol.data == data
        assert near.protocol.error is far.protocol.error is None


async def test_both_close_at_once(loop):
    async with tls_pair(loop) as pair:
        for end in pair:
            end.transport.close()
        await lost(pair.client.protocol, pair.server.protocol)
        for end in pair:
            assert end.protocol.error is None
            assert end.protocol.events.count("connection_lost") == 1


@sides
async def test_both_write_and_close_at_once(loop, side):
    """Nobody hears the other any more: each end comes, with or without an error, and once."""
    async with tls_pair(loop) as pair:
        for end in pair:
            end.transport.write(b"words that nobody hears")
            end.transport.close()
        await lost(pair.client.protocol, pair.server.protocol)
        for end in pair:
            assert end.protocol.events.count("connection_lost") == 1


@sides
async def test_close_waits_for_the_peers_goodbye(loop, side):
    async with end_and_peer(loop, side) as (end, peer):
        end.transport.close()
        await peer.goodbye_comes()
        await turns(5)
        assert "connection_lost" not in end.protocol.events
        peer.say_goodbye()
        await peer.send()
        await lost(end.protocol)
        assert end.protocol.error is None
        assert not await peer.take()


@sides
async def test_the_peers_goodbye_is_answered(loop, side):
    async with end_and_peer(loop, side) as (end, peer):
        peer.say_goodbye()
        await peer.send()
        await peer.goodbye_comes()
        await lost(end.protocol)
        assert end.protocol.events == ["connection_made", "eof_received", "connection_lost"]
        assert end.protocol.error is None
        assert not await peer.take()


@sides
async def test_a_peer_that_never_answers_close_is_dropped_on_time(loop, side):
    async with end_and_peer(loop, side, ssl_shutdown_timeout=0.05) as (end, peer):
        started = loop.time()
        end.transport.close()
        await lost(end.protocol)
        assert 0.04 < loop.time() - started
        assert type(end.protocol.error) is TimeoutError
        assert str(end.protocol.error) == "SSL shutdown timed out"
        assert end.protocol.events == ["connection_made", "connection_lost"]


@sides
async def test_a_peer_that_reads_nothing_is_dropped_on_time(loop, side):
    async with end_and_peer(loop, side, ssl_shutdown_timeout=0.05) as (end, peer):
        end.transport.write(bytes(20_000_000))
        end.transport.close()
        await lost(end.protocol)
        assert type(end.protocol.error) is TimeoutError
        assert end.transport.get_write_buffer_size() == 0


async def test_a_peer_that_says_goodbye_and_reads_nothing_is_dropped_on_time(loop):
    """The goodbyes are said; what remains is to send what waits, and the peer never takes it."""
    async with end_and_peer(loop, ssl_shutdown_timeout=0.05) as (end, peer):
        end.transport.write(bytes(20_000_000))
        peer.say_goodbye()
        await peer.send()
        async with asyncio.timeout(2):
            await lost(end.protocol)
        assert type(end.protocol.error) is TimeoutError


async def test_no_time_limit_is_left_behind(loop):
    async with tls_pair(loop) as pair:
        pair.client.transport.close()
        await lost(pair.client.protocol, pair.server.protocol)
        await turns(3)
        soon = loop.time() + 20
        assert not any(timer.when() > soon and not timer.cancelled() for timer in loop._scheduled)


@sides
async def test_abort_ends_at_once_and_says_nothing(loop, side):
    async with end_and_peer(loop, side) as (end, peer):
        end.transport.write(bytes(20_000_000))
        end.transport.abort()
        assert end.transport.is_closing()
        assert "connection_lost" not in end.protocol.events
        await lost(end.protocol)
        assert end.protocol.error is None
        assert end.protocol.events[-1] == "connection_lost"
        with pytest.raises(ConnectionError):
            await peer.goodbye_comes()


@sides
async def test_abort_while_closing(loop, side):
    async with end_and_peer(loop, side) as (end, peer):
        end.transport.write(bytes(20_000_000))
        end.transport.close()
        await turns(2)
        end.transport.abort()
        await lost(end.protocol)
        assert end.protocol.error is None


@sides
@versions
async def test_an_end_without_goodbye(loop, side, version):
    """asyncio has always taken this for an end like any other."""
    async with end_and_peer(loop, side) as (end, peer):
        await peer.write(b"last words")
        peer.sock.shutdown(socket.SHUT_WR)
        await lost(end.protocol)
        assert end.protocol.data == b"last words"
        assert end.protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
        assert end.protocol.error is None


@sides
async def test_an_end_in_the_middle_of_a_record(loop, side):
    async with end_and_peer(loop, side) as (end, peer):
        peer.object.write(b"whole")
        await peer.send()
        peer.object.write(b"cut short")
        await peer.send(peer.made()[:-3])
        peer.sock.close()
        await lost(end.protocol)
        assert end.protocol.data == b"whole"
        assert end.protocol.events.count("connection_lost") == 1


@sides
async def test_a_reset(loop, side):
    async with end_and_peer(loop, side) as (end, peer):
        reset(peer.sock)
        await lost(end.protocol)
        assert isinstance(end.protocol.error, ConnectionResetError)
        assert end.protocol.events == ["connection_made", "connection_lost"]


@sides
async def test_a_reset_while_writing(loop, side):
    async with end_and_peer(loop, side) as (end, peer):
        end.transport.write(bytes(20_000_000))
        reset(peer.sock)
        await lost(end.protocol)
        assert isinstance(end.protocol.error, (ConnectionResetError, BrokenPipeError))
        assert end.protocol.events.count("connection_lost") == 1
        end.transport.write(b"dropped")
        assert end.transport.get_write_buffer_size() == 0


@sides
async def test_a_peer_that_vanishes_while_we_close(loop, side):
    for vanish in (reset, socket.socket.close):
        async with end_and_peer(loop, side) as (end, peer):
            end.transport.close()
            await peer.goodbye_comes()
            vanish(peer.sock)
            await lost(end.protocol)
            assert end.protocol.error is None or isinstance(end.protocol.error, ConnectionResetError)
            assert end.protocol.events.count("connection_lost") == 1


async def test_a_peer_that_still_speaks_when_we_close(loop):
    """What comes after our close is not delivered, and is no error of anybody's."""
    async with end_and_peer(loop) as (end, peer):
        end.transport.close()
        await peer.goodbye_comes()
        peer.object.write(b"one more thing")
        peer.say_goodbye()
        await peer.send()
        await lost(end.protocol)
        assert end.protocol.data == b""
        assert end.protocol.error is None


@sides
async def test_an_answer_to_eof_is_sent(loop, side):
    """The peer's goodbye ends its words, not ours: what is written in `eof_received` still goes out."""

    class Answering(Recorder):
        def eof_received(self):
            super().eof_received()
            self.transport.write(b"goodbye to you")

    async with end_and_peer(loop, side, factory=Answering) as (end, peer):
        peer.say_goodbye()
        await peer.send()
        assert await peer.read(100) == b"goodbye to you"
        await lost(end.protocol)
        assert end.protocol.error is None


@sides
async def test_eof_received_cannot_keep_tls_open(loop, side, caplog):
    async with tls_pair(loop) as pair:
        near, far = pair.seen_from(side)
        near.protocol.keep_open_at_eof = True
        far.transport.close()
        await lost(near.protocol, far.protocol)
        assert near.protocol.events == ["connection_made", "eof_received", "connection_lost"]
    assert "returning true from eof_received() has no effect when using ssl" in caplog.text


@sides
async def test_what_came_while_paused_is_delivered_before_the_end(loop, side):
    async with end_and_peer(loop, side) as (end, peer):
        end.transport.pause_reading()
        peer.object.write(b"last words")
        peer.say_goodbye()
        await peer.send()
        peer.sock.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.01)
        assert end.protocol.events == ["connection_made"]
        end.transport.resume_reading()
        await lost(end.protocol)
        assert end.protocol.data == b"last words"
        assert end.protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]


@sides
async def test_closing_while_paused(loop, side):
    async with tls_pair(loop) as pair:
        near, far = pair.seen_from(side)
        near.transport.pause_reading()
        near.transport.close()
        await lost(near.protocol, far.protocol)
        assert near.protocol.events.count("connection_lost") == 1
        assert far.protocol.error is None


@sides
async def test_closing_while_paused_with_data_unread(loop, side):
    """They are given up; the end comes all the same."""
    async with tls_pair(loop) as pair:
        near, far = pair.seen_from(side)
        near.transport.pause_reading()
        far.transport.write(b"unread")
        await asyncio.sleep(0.01)
        near.transport.close()
        await lost(near.protocol, far.protocol)
        assert near.protocol.events.count("connection_lost") == 1


@sides
async def test_connection_lost_is_no_part_of_close_or_abort(loop, side):
    for method in ("close", "abort"):
        async with tls_pair(loop) as pair:
            near, _ = pair.seen_from(side)
            getattr(near.transport, method)()
            assert "connection_lost" not in near.protocol.events
            await lost(near.protocol)


async def test_closing_again_changes_nothing(loop):
    async with tls_pair(loop) as pair:
        transport = pair.client.transport
        transport.close()
        transport.close()
        await lost(pair.client.protocol, pair.server.protocol)
        transport.close()
        transport.abort()
        await turns(3)
        assert pair.client.protocol.events.count("connection_lost") == 1


@pytest.mark.parametrize(
    "method", ["get_extra_info", "write", "pause_reading", "get_write_buffer_size", "get_protocol"]
)
async def test_a_transport_closed_twice_can_be_used_as_one_closed_once(loop, method):
    async with tls_pair(loop) as pair:
        transport = pair.client.transport
        transport.close()
        transport.close()
        await lost(pair.client.protocol, pair.server.protocol)
        getattr(transport, method)(*{"get_extra_info": ("cipher",), "write": (b"dropped",)}.get(method, ()))


@sides
async def test_methods_after_the_end(loop, side):
    async with tls_pair(loop) as pair:
        near, _ = pair.seen_from(side)
        near.transport.abort()
        await lost(near.protocol)
        transport = near.transport
        transport.write(b"dropped")
        transport.writelines([b"dropped"])
        transport.pause_reading()
        transport.resume_reading()
        transport.set_write_buffer_limits(10)
        assert transport.get_write_buffer_size() == 0
        assert transport.is_closing() is True
        await turns(3)
        assert near.protocol.events.count("connection_lost") == 1


async def test_many_writes_after_the_end_are_warned_of(loop, caplog):  # T13
    async with tls_pair(loop) as pair:
        pair.client.transport.abort()
        await lost(pair.client.protocol)
        for _ in range(6):
            pair.client.transport.write(b"dropped")
    assert "SSL connection is closed" in caplog.text


async def test_a_write_after_close_is_dropped(loop):  # T13
    async with tls_pair(loop) as pair:
        pair.client.transport.write(b"heard")
        pair.client.transport.close()
        pair.client.transport.write(b"dropped")
        pair.client.transport.writelines([b"dropped"])
        await lost(pair.client.protocol, pair.server.protocol)
        assert pair.server.protocol.data == b"heard"


async def test_a_server_waits_for_its_tls_connections(loop):  # T45
    made = []

    def factory():
        made.append(Recorder())
        return made[-1]

    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=server_context())
    transport, protocol = await loop.create_connection(
        Recorder, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname=NAME
    )
    transport.write(b"x")
    while not made or not made[0].data:
        await asyncio.sleep(0)
    server.close()
    transport.close()
    await server.wait_closed()
    await lost(protocol, made[0])


@pytest.mark.parametrize("method", ["close_clients", "abort_clients"])
async def test_a_server_ends_its_tls_connections(loop, method):  # T8
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_context())
    if not hasattr(server, method):
        server.close()
        pytest.skip("came with Python 3.13")
    transport, protocol = await loop.create_connection(
        Recorder, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname=NAME
    )
    transport.write(b"x")
    await asyncio.sleep(0.01)
    server.close()
    getattr(server, method)()
    await lost(protocol)
    await server.wait_closed()
    await turns(5)


async def test_an_exchange_does_not_end_by_itself(loop):
    async with tls_pair(loop) as pair:
        for _ in range(3):
            await exchange(pair)
            assert not any("connection_lost" in end.protocol.events for end in pair)

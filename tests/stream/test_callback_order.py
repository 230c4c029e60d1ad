"""Which callbacks come, in which order. # G2"""

import asyncio
import socket

import pytest

from tests.support.recorders import Recorder
from tests.support.streams import KINDS, raw_pair, receive_all, reset, transport_and_peer, turns

pytestmark = pytest.mark.all_drivers
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
async def test_made_data_eof_lost(loop, kind):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        await loop.sock_sendall(peer, b"hello")
        await protocol.until_data(5)
        peer.close()
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
        assert protocol.data == b"hello"
        assert protocol.error is None
        assert transport.is_closing()


async def test_connection_made_runs_before_create_connection_returns(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        assert protocol.events == ["connection_made"]
        assert protocol.transport is transport


async def test_data_that_was_there_before_comes_after_connection_made(loop):
    left, right = raw_pair("tcp")
    with right:
        right.send(b"early")
        right.shutdown(socket.SHUT_WR)
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
        assert protocol.data == b"early"


async def test_callbacks_do_not_run_inside_one_another(loop):
    depth = 0
    nested = []

    def guarded(name):
        def method(self, *args):
            nonlocal depth
            depth += 1
            nested.append(depth)
            if name == "data_received":
                self.transport.write(b"answer")
                self.transport.pause_reading()
                self.transport.resume_reading()
                self.transport.close()
            result = getattr(Recorder, name)(self, *args)
            depth -= 1
            return result

        return method

    methods = {name: guarded(name) for name in ("connection_made", "data_received", "eof_received", "connection_lost")}
    async with transport_and_peer(loop, factory=type("Guarded", (Recorder,), methods)) as (_, protocol, peer):
        await loop.sock_sendall(peer, b"x")
        await protocol.until("connection_lost")
    assert set(nested) == {1}


@kinds
async def test_close_leads_to_connection_lost_once_and_not_at_once(loop, kind):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        transport.close()
        assert transport.is_closing()
        assert "connection_lost" not in protocol.events
        transport.close()
        transport.abort()
        await protocol.until("connection_lost")
        await turns(3)
        assert protocol.events == ["connection_made", "connection_lost"]
        assert protocol.error is None


async def test_no_data_comes_after_close(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        peer.send(b"on its way")
        transport.close()
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "connection_lost"]


async def test_no_data_comes_after_a_close_in_data_received(loop):
    class Closer(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.close()

    async with transport_and_peer(loop, factory=Closer) as (transport, protocol, peer):
        await loop.sock_sendall(peer, bytes(1_000_000))
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "data_received", "connection_lost"]
        assert len(protocol.data) < 1_000_000


async def test_a_reset_is_told_as_an_error(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        reset(peer)
        await protocol.until("connection_lost")
        assert isinstance(protocol.error, ConnectionResetError)
        assert protocol.events == ["connection_made", "connection_lost"]


async def test_data_before_a_reset_is_not_required_but_the_end_is(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        peer.send(b"data")
        reset(peer)
        await protocol.until("connection_lost")
        assert protocol.events[0] == "connection_made"
        assert protocol.events[-1] == "connection_lost"


@kinds
async def test_eof_with_a_true_answer_keeps_the_other_direction_open(loop, kind):
    class HalfOpen(Recorder):
        def eof_received(self):
            super().eof_received()
            return True

    async with transport_and_peer(loop, kind, HalfOpen) as (transport, protocol, peer):
        peer.shutdown(socket.SHUT_WR)
        await protocol.until("eof_received")
        await turns(3)
        assert not transport.is_closing()
        transport.write(b"answer after the end")
        transport.close()
        assert await receive_all(loop, peer) == b"answer after the end"
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "eof_received", "connection_lost"]


@kinds
async def test_eof_with_a_false_answer_sends_what_is_buffered_and_closes(loop, kind):
    class Answer(Recorder):
        def eof_received(self):
            super().eof_received()
            self.transport.write(b"x" * 1_000_000)

    async with transport_and_peer(loop, kind, Answer) as (transport, protocol, peer):
        peer.shutdown(socket.SHUT_WR)
        assert len(await receive_all(loop, peer)) == 1_000_000
        await protocol.until("connection_lost")
        assert protocol.error is None


async def test_eof_comes_once_and_costs_no_processor_time_while_half_open(loop):
    import time

    class HalfOpen(Recorder):
        keep_open_at_eof = True

        def __init__(self):
            super().__init__()
            self.keep_open_at_eof = True

    async with transport_and_peer(loop, factory=HalfOpen) as (transport, protocol, peer):
        peer.shutdown(socket.SHUT_WR)
        await protocol.until("eof_received")
        started = time.process_time()
        await asyncio.sleep(0.1)
        assert time.process_time() - started < 0.08, "the loop spins on a half-closed connection"
        assert protocol.events.count("eof_received") == 1


@kinds
async def test_write_eof_ends_our_direction_only(loop, kind):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        assert transport.can_write_eof()
        transport.write(b"last words")
        transport.write_eof()
        assert await receive_all(loop, peer) == b"last words"
        assert not transport.is_closing()
        await loop.sock_sendall(peer, b"still heard")
        await protocol.until_data(11)
        transport.write_eof()
        with pytest.raises(RuntimeError, match="eof"):
            transport.write(b"too late")
        with pytest.raises(RuntimeError, match="eof"):
            transport.writelines([b"too late"])
        peer.close()
        await protocol.until("connection_lost")


@kinds
async def test_write_eof_waits_for_buffered_writes(loop, kind):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        data = bytes(range(256)) * 20_000
        transport.write(data)
        transport.write_eof()
        assert await receive_all(loop, peer) == data


@kinds
async def test_both_directions_ended_close_the_connection(loop, kind):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        transport.write_eof()
        assert await receive_all(loop, peer) == b""
        peer.shutdown(socket.SHUT_WR)
        await protocol.until("connection_lost")
        assert protocol.error is None


async def test_two_directions_do_not_wait_for_each_other(loop):
    """Both sides send much at once; neither reads only after it has written."""
    data = bytes(5_000_000)
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.write(data)
        sending = loop.create_task(loop.sock_sendall(peer, data))
        from tests.support.streams import receive

        assert len(await receive(loop, peer, len(data))) == len(data)
        await sending
        await protocol.until_data(len(data))

"""Backpressure in both directions: nothing piles up. # G17 # T1"""

import asyncio
import ssl
import tracemalloc

import pytest

from tests.support.descriptors import small_buffers
from tests.support.recorders import Recorder
from tests.support.streams import turns, until
from tests.support.tls import end_and_peer, lost, sides, tls_pair, write_until_paused

MIB = 1024 * 1024


async def push(loop, sock, ciphertext, most):
    """Send again and again until nothing has been taken for a while; how many bytes were taken."""
    taken = idle = 0
    view = memoryview(ciphertext)
    while taken < most and idle < 20:
        try:
            taken += sock.send(view[taken % len(view) :])
            idle = 0
        except BlockingIOError:
            idle += 1
            await asyncio.sleep(0.001)
    return taken


@sides
async def test_a_reader_that_stops_stops_the_sender(loop, side):
    """64 MiB are offered; what is taken stays below what the kernel and one buffer hold."""
    async with tls_pair(loop) as pair:
        near, far = pair.seen_from(side)
        near.transport.pause_reading()
        written = await write_until_paused(far, most=64 * MIB)
        assert written < 16 * MIB
        assert not near.protocol.data
        near.transport.resume_reading()
        await near.protocol.until_data(written)
        await far.protocol.until("resume_writing")


async def test_ciphertext_does_not_pile_up_in_a_reader_that_stopped(loop):
    """Counted at the peer's socket, which goes round flow control of ours; and by memory."""
    async with end_and_peer(loop, kind="unix") as (end, peer):
        small_buffers(peer.sock, end.transport.get_extra_info("socket"))
        end.transport.pause_reading()
        tracemalloc.start()
        try:
            taken = 0
            while taken < 64 * MIB:
                peer.object.write(bytes(256 * 1024))
                ciphertext = peer.made()
                sent = await push(loop, peer.sock, ciphertext, len(ciphertext))
                taken += sent
                if sent < len(ciphertext):
                    break
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert taken < 4 * MIB
        assert peak < 8 * MIB
        assert not end.protocol.data


async def test_memory_stays_bounded_while_much_goes_to_a_slow_reader(loop):
    """The writer obeys pause_writing, the reader stops and goes on: 64 MiB pass through a few."""
    total = 64 * MIB
    chunk = bytes(256 * 1024)

    class Counting(Recorder):
        count = 0

        def data_received(self, data):
            self.count += len(data)
            if self.count % (4 * MIB) < len(data):
                self.transport.pause_reading()
                asyncio.get_running_loop().call_soon(self.transport.resume_reading)
            self.note("data_received")

    class Obeying(Recorder):
        free = None

        def pause_writing(self):
            self.free = asyncio.get_running_loop().create_future()

        def resume_writing(self):
            self.free.set_result(None)
            self.free = None

    async with tls_pair(loop, factory=Obeying, server_factory=Counting) as pair:
        tracemalloc.start()
        try:
            written = 0
            while written < total:
                pair.client.transport.write(chunk)
                written += len(chunk)
                await (pair.client.protocol.free or asyncio.sleep(0))
            await pair.server.protocol.until(lambda: pair.server.protocol.count >= total)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 16 * MIB


@sides
async def test_paused_and_resumed(loop, side):
    async with end_and_peer(loop, side) as (end, peer):
        assert end.transport.is_reading()
        end.transport.pause_reading()
        assert not end.transport.is_reading()
        await peer.write(b"while paused")
        await asyncio.sleep(0.01)
        assert not end.protocol.data
        end.transport.resume_reading()
        assert end.transport.is_reading()
        await end.protocol.until_data(12)


async def test_pausing_and_resuming_twice_is_allowed(loop):
    async with end_and_peer(loop) as (end, peer):
        for method in ("pause_reading", "pause_reading", "resume_reading", "resume_reading"):
            getattr(end.transport, method)()
        await peer.write(b"x")
        await end.protocol.until_data(1)


async def test_data_that_wait_are_delivered_on_resume_without_more_from_the_peer(loop):
    """They came while the protocol was paused, some of them decrypted already; nothing else will come."""

    class Pausing(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async with end_and_peer(loop, factory=Pausing) as (end, peer):
        for word in (b"one", b"two", b"three"):
            peer.object.write(word)
            await peer.send()
        while len(end.protocol.data) < 11:
            before = len(end.protocol.data)
            end.transport.resume_reading()
            await end.protocol.until_data(before + 1)


async def test_a_resume_is_no_call_of_the_protocol(loop):
    """What waits comes from the loop, not from inside `resume_reading`."""
    async with end_and_peer(loop) as (end, peer):
        end.transport.pause_reading()
        await peer.write(b"x")
        await asyncio.sleep(0.01)
        end.transport.resume_reading()
        assert not end.protocol.data
        await end.protocol.until_data(1)


@sides
async def test_what_came_while_paused_is_delivered_though_close_follows_the_resume(loop, side):  # T43
    """And what was written goes out as well: closing waits for both."""
    async with end_and_peer(loop, side) as (end, peer):
        end.transport.pause_reading()
        for _ in range(10):
            await peer.write(b"x" * 1000)
        await until(lambda: end.transport.get_read_buffer_size() >= 10_000)
        end.transport.write(b"last words")
        end.transport.resume_reading()
        end.transport.close()
        assert await peer.read(10) == b"last words"
        await peer.goodbye_comes()
        peer.say_goodbye()
        await peer.send()
        await lost(end.protocol)
        assert end.protocol.data == b"x" * 10_000
        assert end.protocol.error is None


@sides
async def test_a_peer_that_closed_while_reading_was_paused_is_answered_on_resume(loop, side):
    async with end_and_peer(loop, side) as (end, peer):
        end.transport.pause_reading()
        await peer.write(b"last words")
        peer.say_goodbye()
        await peer.send()
        await until(lambda: end.transport.get_read_buffer_size() > 40)
        end.transport.resume_reading()
        await peer.goodbye_comes()
        await lost(end.protocol)
        assert end.protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
        assert end.protocol.error is None


async def test_closing_while_paused_delivers_nothing(loop):
    async with end_and_peer(loop) as (end, peer):
        end.transport.pause_reading()
        await peer.write(b"x")
        await until(lambda: end.transport.get_read_buffer_size())
        end.transport.resume_reading()
        end.transport.pause_reading()
        end.transport.close()
        await peer.goodbye_comes()
        assert not end.protocol.data
        end.transport.abort()
        await lost(end.protocol)
        assert not end.protocol.data


async def test_a_pause_right_after_a_resume_holds(loop):
    async with end_and_peer(loop) as (end, peer):
        end.transport.pause_reading()
        await peer.write(b"x")
        await asyncio.sleep(0.01)
        end.transport.resume_reading()
        end.transport.pause_reading()
        await turns(5)
        assert not end.protocol.data
        end.transport.resume_reading()
        await end.protocol.until_data(1)


@sides
async def test_pausing_in_connection_made(loop, side):
    """The handshake is done for this end, and what it owes the peer goes out all the same."""

    class Paused(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    async with end_and_peer(loop, side, factory=Paused) as (end, peer):
        await peer.write(b"x")
        await asyncio.sleep(0.01)
        assert not end.protocol.data
        end.transport.resume_reading()
        await end.protocol.until_data(1)


async def test_writes_go_out_while_reading_is_paused(loop):
    async with end_and_peer(loop) as (end, peer):
        end.transport.pause_reading()
        end.transport.write(bytes(5_000_000))
        assert len(await peer.read(5_000_000)) == 5_000_000


async def test_pauses_and_resumes_alternate(loop):
    async with end_and_peer(loop) as (end, peer):
        for _ in range(3):
            await write_until_paused_again(end)
            assert await drained(loop, end, peer)
        events = [event for event in end.protocol.events if event.endswith("_writing")]
        assert events == ["pause_writing", "resume_writing"] * 3


async def write_until_paused_again(end):
    count = end.protocol.events.count("pause_writing")
    for _ in range(1000):
        end.transport.write(bytes(100_000))
        await asyncio.sleep(0)
        if end.protocol.events.count("pause_writing") > count:
            return
    raise AssertionError("never paused")


async def drained(loop, end, peer):
    count = end.protocol.events.count("pause_writing")
    while end.protocol.events.count("resume_writing") < count:
        try:
            peer.object.read(MIB)
        except ssl.SSLWantReadError:
            await peer.take()
    return True


async def test_the_limits(loop):
    async with tls_pair(loop) as pair:
        transport = pair.client.transport
        assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
        transport.set_write_buffer_limits(1000)
        assert transport.get_write_buffer_limits() == (250, 1000)
        transport.set_write_buffer_limits(low=1000)
        assert transport.get_write_buffer_limits() == (1000, 4000)
        transport.set_write_buffer_limits(3000, 1000)
        assert transport.get_write_buffer_limits() == (1000, 3000)
        with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\) must be >= 0"):
            transport.set_write_buffer_limits(1, 2)
        with pytest.raises(ValueError):
            transport.set_write_buffer_limits(-1)
        assert transport.get_write_buffer_limits() == (1000, 3000)


async def test_the_limits_of_reading(loop):
    """asyncio's TLS transport has these, undocumented; uvloop's too."""
    async with tls_pair(loop) as pair:
        transport = pair.client.transport
        assert transport.get_read_buffer_limits() == (64 * 1024, 256 * 1024)
        assert transport.get_read_buffer_size() == 0
        transport.set_read_buffer_limits(1000)
        assert transport.get_read_buffer_limits() == (250, 1000)
        with pytest.raises(ValueError):
            transport.set_read_buffer_limits(1, 2)


async def test_a_small_limit_of_reading_still_reads_everything(loop):
    async with end_and_peer(loop) as (end, peer):
        end.transport.set_read_buffer_limits(1, 0)
        writing = asyncio.ensure_future(peer.write(bytes(1_000_000)))
        await end.protocol.until_data(1_000_000)
        await writing


async def test_the_size_of_what_waits(loop):
    async with end_and_peer(loop) as (end, peer):
        assert end.transport.get_write_buffer_size() == 0
        await write_until_paused(end)
        size = end.transport.get_write_buffer_size()
        assert size >= 512 * 1024
        end.transport.abort()
        await lost(end.protocol)
        assert end.transport.get_write_buffer_size() == 0


async def test_the_size_of_one_large_write(loop):
    """What the socket has not taken waits, in whichever layer."""
    async with end_and_peer(loop) as (end, peer):
        end.transport.write(bytes(20_000_000))
        assert end.transport.get_write_buffer_size() > 5_000_000
        assert "pause_writing" in end.protocol.events


async def test_limits_below_what_waits_pause_at_once(loop):
    async with end_and_peer(loop) as (end, peer):
        end.transport.set_write_buffer_limits(high=100_000_000)
        for _ in range(200):
            end.transport.write(bytes(100_000))
        assert "pause_writing" not in end.protocol.events
        assert end.transport.get_write_buffer_size() > 1_000_000
        end.transport.set_write_buffer_limits(high=1_000_000)
        assert "pause_writing" in end.protocol.events


async def test_idle_connections_stay_unpaused(loop):
    async with tls_pair(loop) as pair:
        for _ in range(50):
            pair.client.transport.write(b"x" * 1000)
            await turns(2)
        await pair.server.protocol.until_data(50_000)
        assert not [event for event in pair.client.protocol.events if event.endswith("_writing")]

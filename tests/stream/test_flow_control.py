"""Flow control in both directions. # G17 # T15"""

import asyncio

import pytest

from tests.support.descriptors import small_buffers
from tests.support.recorders import Recorder
from tests.support.streams import KINDS, receive, transport_and_peer, turns

pytestmark = pytest.mark.all_drivers
kinds = pytest.mark.parametrize("kind", KINDS)


async def test_the_default_marks(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, (16 * 1024, 64 * 1024)),
        ({"high": 0}, (0, 0)),
        ({"high": 1000}, (250, 1000)),
        ({"low": 1000}, (1000, 4000)),
        ({"low": 0}, (0, 0)),
        ({"high": 5, "low": 5}, (5, 5)),
        ({"high": 0, "low": 0}, (0, 0)),
        ({"high": 10**12}, (25 * 10**10, 10**12)),
    ],
    ids=str,
)
async def test_marks_are_computed_as_asyncio_does(loop, arguments, expected):  # T15
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.set_write_buffer_limits(**arguments)
        assert transport.get_write_buffer_limits() == expected


@pytest.mark.parametrize("arguments", [{"high": -1}, {"low": -1}, {"high": 1, "low": 2}], ids=str)
async def test_wrong_marks_are_value_errors(loop, arguments):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        with pytest.raises(ValueError, match="high"):
            transport.set_write_buffer_limits(**arguments)
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)


@kinds
async def test_writing_is_paused_synchronously_and_resumed(loop, kind):  # T15
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        small_buffers(peer, transport.get_extra_info("socket"))
        transport.set_write_buffer_limits(high=100_000, low=50_000)
        transport.write(bytes(10_000_000))
        assert protocol.events == ["connection_made", "pause_writing"]
        assert transport.get_write_buffer_size() > 100_000
        await receive(loop, peer, 10_000_000)
        await protocol.until("resume_writing")
        assert transport.get_write_buffer_size() <= 50_000


@kinds
async def test_resume_comes_at_the_low_mark_and_not_before(loop, kind):
    sizes = []

    class Watching(Recorder):
        def resume_writing(self):
            super().resume_writing()
            sizes.append(self.transport.get_write_buffer_size())

    async with transport_and_peer(loop, kind, Watching) as (transport, protocol, peer):
        transport.set_write_buffer_limits(high=1_000_000, low=200_000)
        transport.write(bytes(20_000_000))
        await receive(loop, peer, 20_000_000)
        await protocol.until("resume_writing")
        assert len(sizes) == 1
        assert sizes[0] <= 200_000


async def test_writelines_honours_the_marks(loop):  # T15 (CVE-2024-12254)
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        transport.writelines([bytes(1_000_000)] * 10)
        assert protocol.events == ["connection_made", "pause_writing"]


async def test_many_small_writes_are_paused_too(loop):  # T15
    async with transport_and_peer(loop) as (transport, protocol, peer):
        small_buffers(peer, transport.get_extra_info("socket"))
        for _ in range(200_000):
            transport.write(bytes(100))
            if "pause_writing" in protocol.events:
                break
        else:
            pytest.fail("20 MB were taken without a pause")
        assert transport.get_write_buffer_size() > 64 * 1024


async def test_below_the_mark_nothing_is_paused(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        for _ in range(60):
            transport.write(bytes(1000))
        assert protocol.events == ["connection_made"]


async def test_what_the_kernel_takes_at_once_does_not_pause(loop):  # T15
    """Only what the kernel refused counts against the mark: 100 KB into an empty socket is no reason to pause."""
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.get_extra_info("socket").setsockopt(1, 7, 1 << 20)
        await turns(2)
        transport.write(bytes(100_000))
        assert protocol.events == ["connection_made"]


async def test_a_mark_of_zero_pauses_with_the_first_byte_that_waits(loop):  # T15
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.set_write_buffer_limits(0)
        transport.write(b"goes at once")
        assert protocol.events == ["connection_made"]
        transport.write(bytes(20_000_000))
        assert protocol.events == ["connection_made", "pause_writing"]
        await receive(loop, peer, 20_000_012)
        await protocol.until("resume_writing")
        assert transport.get_write_buffer_size() == 0


async def test_raising_the_mark_does_not_lose_the_resume(loop):
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        transport.write(bytes(10_000_000))
        assert "pause_writing" in protocol.events
        transport.set_write_buffer_limits(high=100_000_000)
        await receive(loop, peer, 10_000_000)
        await protocol.until("resume_writing")


async def test_pause_and_resume_alternate(loop):
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        for _ in range(5):
            before = len(protocol.events)
            transport.write(bytes(10_000_000))
            assert protocol.events[before:] == ["pause_writing"]
            await receive(loop, peer, 10_000_000)
            await protocol.until(lambda before=before: len(protocol.events) == before + 2)
            assert protocol.events[-1] == "resume_writing"


@kinds
async def test_reading_is_paused_and_resumed(loop, kind):
    async with transport_and_peer(loop, kind) as (transport, protocol, peer):
        assert transport.is_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        peer.send(b"while paused")
        await turns(5)
        assert protocol.data == b""
        transport.resume_reading()
        assert transport.is_reading()
        await protocol.until_data(12)


async def test_pause_and_resume_twice_are_allowed(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.pause_reading()
        transport.pause_reading()
        transport.resume_reading()
        transport.resume_reading()
        peer.send(b"x")
        await protocol.until_data(1)


async def test_pausing_in_data_received_stops_at_once(loop):
    class OneAtATime(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async with transport_and_peer(loop, factory=OneAtATime) as (transport, protocol, peer):
        sending = loop.create_task(loop.sock_sendall(peer, bytes(3_000_000)))
        await protocol.until_data(1)
        await turns(10)
        seen = len(protocol.data)
        await turns(10)
        assert len(protocol.data) == seen
        while len(protocol.data) < 3_000_000:
            before = len(protocol.data)
            transport.resume_reading()
            await protocol.until(lambda before=before: len(protocol.data) > before)
        await sending


async def test_pausing_in_connection_made_keeps_early_data_back(loop):
    class Shy(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    async with transport_and_peer(loop, factory=Shy) as (transport, protocol, peer):
        peer.send(b"early")
        await turns(5)
        assert protocol.data == b""
        transport.resume_reading()
        await protocol.until_data(5)


async def test_a_paused_reader_pushes_back_on_the_sender(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.pause_reading()
        sending = loop.create_task(loop.sock_sendall(peer, bytes(50_000_000)))
        done, _ = await asyncio.wait([sending], timeout=0.1)
        assert not done
        transport.resume_reading()
        await protocol.until_data(50_000_000)
        await sending


async def test_a_paused_reader_does_not_miss_the_end(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.pause_reading()
        peer.send(b"last")
        peer.close()
        await turns(5)
        assert protocol.events == ["connection_made"]
        transport.resume_reading()
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]


async def test_pausing_after_close_changes_nothing(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.close()
        transport.pause_reading()
        transport.resume_reading()
        assert not transport.is_reading()
        await protocol.until("connection_lost")


async def test_drain_waits_for_room(loop):
    async with transport_and_peer(loop, "unix", asyncio.streams.FlowControlMixin) as (transport, protocol, peer):
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        writer.write(bytes(10_000_000))
        draining = loop.create_task(writer.drain())
        await turns(3)
        assert not draining.done()
        await receive(loop, peer, 10_000_000)
        await draining


async def test_a_protocol_whose_pause_writing_raises_is_reported_and_nothing_is_lost(loop, reported):  # R8
    class Broken(Recorder):
        def pause_writing(self):
            super().pause_writing()
            raise LookupError("pause_writing")

        def resume_writing(self):
            super().resume_writing()
            raise LookupError("resume_writing")

    async with transport_and_peer(loop, "unix", Broken) as (transport, protocol, peer):
        transport.write(bytes(10_000_000))
        assert len(await receive(loop, peer, 10_000_000)) == 10_000_000
        await protocol.until("resume_writing")
        await turns(2)
    assert [str(context["exception"]) for context in reported] == ["pause_writing", "resume_writing"]
    reported.clear()


async def test_limits_outlive_the_connection(loop):
    """As on asyncio: they are the transport's, not the connection's."""
    async with transport_and_peer(loop) as (transport, protocol, _):
        transport.set_write_buffer_limits(high=100_000, low=50_000)
        transport.close()
        await protocol.until("connection_lost")
        await turns(2)
        assert transport.get_write_buffer_limits() == (50_000, 100_000)
        transport.set_write_buffer_limits(high=10)
        assert transport.get_write_buffer_limits() == (2, 10)

"""`connect_read_pipe` and `connect_write_pipe` on devices and on files without a name. # P5"""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from tests.support.recorders import Recorder

pytestmark = [pytest.mark.all_drivers, pytest.mark.only_tulipa]


async def test_an_endless_device_starves_nobody_and_can_be_paused_and_closed(loop):
    ticks = 0

    class Counting(Recorder):
        def data_received(self, data):
            assert not data.strip(b"\0")
            chunks.append(len(data))
            # As many ticks as chunks, give or take the first.
            assert abs(len(chunks) - ticks) < 10
            if len(chunks) == 100:
                self.transport.pause_reading()
                self.note("paused")

    def tick():
        nonlocal ticks
        ticks += 1
        if ticks < 200:
            loop.call_soon(tick)

    chunks: list[int] = []
    transport, protocol = await loop.connect_read_pipe(Counting, open("/dev/zero", "rb", 0))
    loop.call_soon(tick)
    await protocol.until("paused")
    while ticks < 200:
        await asyncio.sleep(0)
    assert len(chunks) == 100
    transport.close()
    await protocol.until("connection_lost")
    assert "eof_received" not in protocol.events


async def test_the_null_device_is_at_its_end_and_takes_everything(loop):
    _, protocol = await loop.connect_read_pipe(Recorder, open("/dev/null", "rb", 0))
    await protocol.until("connection_lost")
    assert protocol.events == ["connection_made", "eof_received", "connection_lost"]
    transport, protocol = await loop.connect_write_pipe(Recorder, open("/dev/null", "wb", 0))
    transport.write(bytes(10_000_000))
    transport.close()
    await protocol.until("connection_lost")
    assert protocol.error is None


async def test_a_full_device_is_an_error_for_connection_lost(loop):  # R8
    transport, protocol = await loop.connect_write_pipe(Recorder, open("/dev/full", "wb", 0))
    transport.write(b"too much")
    await protocol.until("connection_lost")
    assert isinstance(protocol.error, OSError) and protocol.error.errno == errno.ENOSPC


async def test_an_eventfd_is_read_and_written(loop):
    number = os.eventfd(0)
    kept = os.dup(number)
    writing, _ = await loop.connect_write_pipe(Recorder, os.fdopen(os.dup(number), "wb", 0))
    transport, protocol = await loop.connect_read_pipe(Recorder, os.fdopen(number, "rb", 0))
    for value in (1, 5, 1 << 40):
        protocol.data.clear()
        os.eventfd_write(kept, value)
        await protocol.until_data(8)
        assert int.from_bytes(protocol.data, "little") == value
    protocol.data.clear()
    writing.write((7).to_bytes(8, "little"))
    await protocol.until_data(8)
    assert int.from_bytes(protocol.data, "little") == 7
    assert os.get_blocking(kept)
    transport.close()
    writing.close()
    await protocol.until("connection_lost")
    os.close(kept)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

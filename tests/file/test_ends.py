"""The end of a file: closed after all calls, once; nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import time

import pytest

import tulipa

pytestmark = pytest.mark.only_tulipa


async def test_closing_waits_for_the_calls_before_it(loop, tmp_path):  # R4
    file = await tulipa.open_file(tmp_path / "file", "w")
    writes = [file.write(b"." * 100_000) for _ in range(20)]
    await file.close()
    assert all(write.done() for write in writes)
    assert (tmp_path / "file").stat().st_size == 2_000_000


async def test_a_closed_file_refuses_calls(loop, tmp_path):
    file = await tulipa.open_file(tmp_path / "file", "w+")
    closing = file.close()
    assert file.closed
    for call in (
        lambda: file.read_at(0, 1),
        lambda: file.write_at(0, b""),
        lambda: file.read(),
        lambda: file.write(b""),
        lambda: file.sync(),
        lambda: file.size(),
        lambda: file.truncate(0),
        lambda: file.fileno(),
    ):
        with pytest.raises(ValueError, match="closed file"):
            call()
    await closing
    await file.close()
    assert "closed" in repr(file)


async def test_a_cancelled_close_closes_all_the_same(loop, tmp_path):  # R5
    file = await tulipa.open_file(tmp_path / "file", "w")
    number = file.fileno()
    writing, closing = file.write(b"." * 1_000_000), file.close()
    closing.cancel()
    await file.close()
    assert await writing == 1_000_000
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


async def test_cancelled_calls_keep_the_descriptor_open_until_they_are_done(loop):  # R4
    file = await tulipa.open_file("/dev/zero")
    # Some have begun; without a turn of the loop none of them ends.
    reads = [file.read_at(0, 8 * 1024 * 1024) for _ in range(30)]
    for read in reads:
        read.cancel()
    await file.close()
    assert all(read.cancelled() for read in reads)


async def test_leaving_the_block_closes_after_an_error(loop, tmp_path):
    with pytest.raises(ZeroDivisionError):
        async with tulipa.open_file(tmp_path / "file", "w") as file:
            await file.write(b"tulip")
            raise ZeroDivisionError
    assert file.closed
    assert (tmp_path / "file").read_bytes() == b"tulip"


async def test_a_cancelled_opening_leaves_no_descriptor(loop, tmp_path):  # R5
    for wait in (0, 1, 2, 3):
        opening = asyncio.ensure_future(_opened(tmp_path / "file"))
        for _ in range(wait):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled():
            await opening.result().close()


async def _opened(path):
    return await tulipa.open_file(path, "w")


async def test_a_file_that_nobody_closes_is_warned_of_and_closed(loop, tmp_path):  # T26
    file = await tulipa.open_file(tmp_path / "file", "w")
    number = file.fileno()
    await asyncio.sleep(0)  # The call that opened it is in the turn that goes on.
    with pytest.warns(ResourceWarning, match="unclosed file"):
        del file
    gc.collect()  # What was caught names the file.
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_loop_that_is_closed_under_calls_lets_go_of_everything(loop_factory):
    loop = loop_factory()

    async def main():
        file = await tulipa.open_file("/dev/zero")
        calls = [file.read_at(0, 4 * 1024 * 1024) for _ in range(12)]
        return file.fileno(), calls, file.close()

    number, calls, closing = loop.run_until_complete(main())
    loop.close()
    assert not calls[-1].done()
    del calls, closing
    gc.collect()
    # Threads end the calls that they have begun, and let go of the file with the last.
    while os.path.exists(f"/proc/self/fd/{number}"):
        time.sleep(0.001)


def test_a_loop_with_a_call_under_way_is_not_idle(loop_factory, tmp_path):  # N2
    loop = loop_factory()
    done = []

    async def main():
        async with tulipa.open_file(tmp_path / "file", "w") as file:
            for _ in range(20):
                await file.write(b"tulip")
        done.append(True)

    task = loop.create_task(main())
    loop.run_until_idle()
    assert done == [True]
    assert task.done()

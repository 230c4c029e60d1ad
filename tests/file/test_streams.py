"""Files as streams: an own position, chunks, what cancelling does to them."""

from __future__ import annotations

import asyncio

import pytest

import tulipa

pytestmark = pytest.mark.only_tulipa


async def test_reading_and_writing_go_on_where_they_stopped(loop, tmp_path):
    async with tulipa.open_file(tmp_path / "file", "w+") as file:
        assert await file.write(b"tulip") == 5
        assert await file.write(b"s and roses") == 11
        assert file.position == 16
        file.position = 2
        assert await file.read(3) == b"lip"
        assert await file.read(0) == b""
        assert await file.read() == b"s and roses"
        assert await file.read(5) == b""
        await file.write_at(0, b"T")
        assert file.position == 16
        with pytest.raises(ValueError, match="negative"):
            file.position = -1


async def test_calls_that_nobody_awaits_between_keep_their_order(loop, tmp_path):  # G10
    async with tulipa.open_file(tmp_path / "file", "w+") as file:
        await asyncio.gather(*(file.write(b"%03d" % number) for number in range(300)))
        file.position = 0
        pieces = await asyncio.gather(*(file.read(3) for _ in range(301)))
    assert pieces == [b"%03d" % number for number in range(300)] + [b""]


async def test_the_position_is_not_set_under_a_call(loop, tmp_path):
    async with tulipa.open_file(tmp_path / "file", "w+") as file:
        writing = file.write(b"tulip")
        with pytest.raises(RuntimeError, match="under way"):
            file.position = 0
        await writing
        file.position = 0
        assert await file.read(2) == b"tu"


async def test_appending_goes_to_the_end_whoever_else_writes(loop, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one ")
    async with tulipa.open_file(path, "a") as file:
        await file.write(b"two ")
        with path.open("ab") as other:
            other.write(b"three ")
        await file.write(b"four")
        assert file.position == 0
    assert path.read_bytes() == b"one two three four"


async def test_iterating_gives_chunks_to_the_end(loop, tmp_path):
    data = bytes(range(256)) * 4000
    (tmp_path / "file").write_bytes(data)
    async with tulipa.open_file(tmp_path / "file") as file:
        chunks = [chunk async for chunk in file]
        assert b"".join(chunks) == data
        assert [len(chunk) for chunk in chunks[:-1]] == [256 * 1024] * (len(chunks) - 1)
        file.position = len(data) - 10
        assert [len(chunk) async for chunk in file.chunks(4)] == [4, 4, 2]
        with pytest.raises(ValueError, match="at least one byte"):
            await anext(file.chunks(0))


async def test_a_cancelled_read_loses_nothing(loop, tmp_path):  # R5
    data = bytes(range(200))
    (tmp_path / "file").write_bytes(data)
    async with tulipa.open_file(tmp_path / "file") as file:
        found = b""
        for number in range(400):
            reading = file.read(10)
            if number % 3:
                reading.cancel()
            elif number % 2:
                await asyncio.sleep(0)
                if not reading.cancel():
                    found += await reading
            else:
                found += await reading
            if len(found) == len(data):
                break
        assert found == data


async def test_a_call_that_is_cancelled_before_its_turn_has_no_effect(loop, tmp_path):  # R5
    async with tulipa.open_file(tmp_path / "file", "w+") as file:
        first, second, third = file.write(b"one "), file.write(b"two "), file.write(b"three")
        assert second.cancel()
        await asyncio.gather(first, third)
        assert second.cancelled()
        assert await file.read_at(0, 99) == b"one three"


async def test_a_timeout_around_a_call_is_an_ordinary_one(loop):
    async with tulipa.open_file("/dev/zero") as file:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await file.read(64 * 1024 * 1024)
        assert await file.read(2) == b"\0\0"

"""Files at an offset: what is written is read, in the order of the calls, errors with number and path."""

from __future__ import annotations

import asyncio
import errno
import io
import os

import pytest

import tulipa

pytestmark = pytest.mark.only_tulipa


async def test_what_is_written_at_an_offset_is_read_there(loop, tmp_path):
    async with tulipa.open_file(tmp_path / "file", "w+") as file:
        assert await file.write_at(3, b"tulip") == 5
        assert await file.read_at(3, 5) == b"tulip"
        assert await file.read_at(0, 100) == b"\0\0\0tulip"
        assert await file.read_at(100, 1) == b""
        assert await file.read_at(0, 0) == b""
        assert await file.size() == 8
        await file.sync()
        await file.sync(metadata=True)
        await file.truncate(4)
        assert await file.read_at(0, 100) == b"\0\0\0t"
    assert (tmp_path / "file").read_bytes() == b"\0\0\0t"


async def test_calls_that_nobody_awaits_between_take_effect_in_order(loop, tmp_path):  # G10
    async with tulipa.open_file(tmp_path / "file", "w+") as file:
        calls = []
        for number in range(200):
            calls.append(file.write_at(number % 7, bytes([number]) * 64))
            if number % 10 == 9:
                calls.append(file.read_at(0, 200))
        results = await asyncio.gather(*calls)
    expected = bytearray()
    reads = iter(result for result in results if isinstance(result, bytes))
    for number in range(200):
        place = number % 7
        expected.extend(bytes(max(0, place + 64 - len(expected))))
        expected[place : place + 64] = bytes([number]) * 64
        if number % 10 == 9:
            assert next(reads) == bytes(expected), number


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_what_is_written_may_change_at_once(loop, tmp_path, kind):  # T14
    async with tulipa.open_file(tmp_path / "file", "w+") as file:
        memory = bytearray(b"tulip")
        writing = file.write_at(0, kind(memory))
        memory[:] = b"roses"
        assert await writing == 5
        assert await file.read_at(0, 5) == b"tulip"


async def test_large_data_arrive_whole(loop, tmp_path):
    data = os.urandom(5_000_001)
    async with tulipa.open_file(tmp_path / "file", "w+") as file:
        assert await file.write_at(1, data) == len(data)
        assert await file.read_at(1, len(data)) == data


async def test_errors_carry_number_and_path(loop, tmp_path):  # G11
    missing = str(tmp_path / "missing")
    with pytest.raises(FileNotFoundError) as caught:
        await tulipa.open_file(missing)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, missing)
    async with tulipa.open_file("/dev/full", "w") as full:
        with pytest.raises(OSError, match="No space left on device: '/dev/full'") as caught:
            await full.write_at(0, b"tulip")
        assert caught.value.errno == errno.ENOSPC
    (tmp_path / "there").touch()
    with pytest.raises(FileExistsError):
        await tulipa.open_file(tmp_path / "there", "x")
    with pytest.raises(IsADirectoryError):
        await tulipa.open_file(tmp_path, "w")


async def test_a_failed_call_does_not_stop_those_behind_it(loop):
    async with tulipa.open_file("/dev/full", "r+") as full:
        writing, reading = full.write_at(0, b"tulip"), full.read_at(0, 3)
        assert isinstance(await asyncio.gather(writing, return_exceptions=True), list)
        assert await reading == b"\0\0\0"


async def test_what_has_no_offsets_is_refused_and_does_not_wait(loop, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="Illegal seek"):
        await tulipa.open_file(tmp_path / "fifo")
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match="Illegal seek"):
            await tulipa.open_file(reader)
        os.fstat(reader)  # A refused descriptor is not closed.
    finally:
        os.close(reader)
        os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await tulipa.open_file(reader)


@pytest.mark.parametrize("mode", ["", "rw", "r++", "q", "+", "rt", "rbb"])
async def test_a_mode_that_is_none_is_named(loop, mode):
    with pytest.raises(ValueError, match="invalid mode"):
        tulipa.open_file("/dev/null", mode)


async def test_the_mode_decides_what_can_be_done(loop, tmp_path):
    path = tmp_path / "file"
    async with tulipa.open_file(path, "wb") as file:
        assert (file.readable(), file.writable(), file.mode, file.name) == (False, True, "wb", str(path))
        with pytest.raises(io.UnsupportedOperation, match="not readable"):
            file.read_at(0, 1)
        await file.write_at(0, b"tulip")
    async with tulipa.open_file(path) as file:
        for call in (lambda: file.write_at(0, b""), lambda: file.truncate(0), lambda: file.write(b"")):
            with pytest.raises(io.UnsupportedOperation, match="not writable"):
                call()
        assert await file.read_at(0, 9) == b"tulip"
    async with tulipa.open_file(path, "r+") as file:
        await file.write_at(0, b"T")
    async with tulipa.open_file(path, "a+") as file:
        with pytest.raises(io.UnsupportedOperation, match="append"):
            file.write_at(0, b"t")
        await file.write(b"s")
        assert await file.read_at(0, 9) == b"Tulips"
    async with tulipa.open_file(path, "w", permissions=0o600) as file:
        assert await file.size() == 0


async def test_permissions_are_those_of_a_new_file(loop, tmp_path):
    async with tulipa.open_file(tmp_path / "file", "x", permissions=0o600):
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


async def test_numbers_that_no_file_has_are_refused(loop):
    async with tulipa.open_file("/dev/zero") as file:
        for offset, size in ((-1, 1), (0, -1)):
            with pytest.raises(ValueError, match="cannot be negative"):
                file.read_at(offset, size)
        with pytest.raises(OverflowError, match="more than any file has"):
            file.read_at(2**63, 1)
        with pytest.raises(OSError, match="Cannot allocate memory"):
            await file.read_at(0, 2**62)
        with pytest.raises(TypeError):
            file.read_at("0", 1)


async def test_wrong_data_are_refused_at_once(loop, tmp_path):
    async with tulipa.open_file(tmp_path / "file", "w") as file:
        for data in ("text", None, 3):
            with pytest.raises(TypeError):
                file.write_at(0, data)
        assert await file.size() == 0


async def test_a_descriptor_is_taken_over_unless_it_is_lent(loop, tmp_path):
    (tmp_path / "file").write_bytes(b"tulip")
    for closefd in (True, False):
        fd = os.open(tmp_path / "file", os.O_RDWR)
        os.lseek(fd, 2, os.SEEK_SET)
        async with tulipa.open_file(fd, "r+", closefd=closefd) as file:
            assert file.fileno() == fd == file.name
            assert await file.read() == b"tulip"
            if not closefd:
                assert os.lseek(fd, 0, os.SEEK_CUR) == 2  # P6
        if closefd:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(fd)
        else:
            os.close(fd)
    with pytest.raises(ValueError, match="closefd"):
        tulipa.open_file("/dev/null", closefd=False)


def test_without_a_running_loop_it_says_what_to_do():
    with pytest.raises(RuntimeError, match="make a loop with tulipa"):
        tulipa.open_file("/dev/null")

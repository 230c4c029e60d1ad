"""`sock_sendfile`. # T27"""

import asyncio
import io

import pytest

from tests.support.descriptors import small_buffers, socket_pair

DATA = bytes(range(256)) * 4096


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with open(path, "rb") as opened:
        yield opened


async def receive(loop, sock, count):
    got = bytearray()
    while len(got) < count:
        data = await loop.sock_recv(sock, 1 << 16)
        if not data:
            break
        got += data
    return bytes(got)


async def test_a_whole_file(loop, file):
    with socket_pair() as (left, right):
        small_buffers(left, right)
        receiving = loop.create_task(receive(loop, right, len(DATA)))
        assert await loop.sock_sendfile(left, file) == len(DATA)
        assert await receiving == DATA
        assert file.tell() == len(DATA)


async def test_a_part_of_a_file(loop, file):
    with socket_pair() as (left, right):
        receiving = loop.create_task(receive(loop, right, 3000))
        assert await loop.sock_sendfile(left, file, 1000, 3000) == 3000
        assert await receiving == DATA[1000:4000]
        assert file.tell() == 4000


async def test_more_than_the_file_holds(loop, file):
    with socket_pair() as (left, right):
        offset = len(DATA) - 100
        assert await loop.sock_sendfile(left, file, offset, 5000) == 100
        assert await receive(loop, right, 100) == DATA[offset:]


async def test_an_offset_behind_the_end(loop, file):
    with socket_pair() as (left, right):
        assert await loop.sock_sendfile(left, file, len(DATA) + 10) == 0


async def test_what_has_no_descriptor_is_copied(loop):
    with socket_pair() as (left, right):
        receiving = loop.create_task(receive(loop, right, len(DATA)))
        assert await loop.sock_sendfile(left, io.BytesIO(DATA)) == len(DATA)
        assert await receiving == DATA


async def test_without_fallback_what_has_no_descriptor_is_refused(loop):
    with socket_pair() as (left, right):
        with pytest.raises(asyncio.SendfileNotAvailableError):
            await loop.sock_sendfile(left, io.BytesIO(DATA), fallback=False)


async def test_text_files_are_refused(loop, tmp_path):
    path = tmp_path / "text"
    path.write_text("text")
    with socket_pair() as (left, right), open(path) as text:
        with pytest.raises(ValueError, match="binary"):
            await loop.sock_sendfile(left, text)


@pytest.mark.parametrize(
    ("offset", "count", "error"),
    [(-1, None, ValueError), ("0", None, TypeError), (0, 0, ValueError), (0, -1, ValueError), (0, "1", TypeError)],
)
async def test_wrong_numbers_are_refused(loop, file, offset, count, error):
    with socket_pair() as (left, right):
        with pytest.raises(error):
            await loop.sock_sendfile(left, file, offset, count)


async def test_a_peer_that_goes_away_is_an_error(loop, file):
    with socket_pair() as (left, right):
        small_buffers(left, right)
        task = loop.create_task(loop.sock_sendfile(left, file))
        await asyncio.sleep(0.001)
        right.close()
        with pytest.raises(ConnectionError):
            await task


async def test_it_may_be_cancelled(loop, file):  # R5
    with socket_pair() as (left, right):
        small_buffers(left, right)
        task = loop.create_task(loop.sock_sendfile(left, file))
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert loop.remove_writer(left) is False

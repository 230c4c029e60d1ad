"""What may be written, when, and what arrives. # T13 # T14 # R4"""

import array
import asyncio
import os

import pytest

from tests.support.certificates import client_context, only
from tests.support.recorders import Recorder
from tests.support.streams import turns
from tests.support.tls import end_and_peer, lost, sides, tls_pair, versions


@versions
@sides
@pytest.mark.parametrize("size", [1, 16_383, 16_384, 16_385, 100_000, 3_000_000])
async def test_data_of_all_sizes_arrive_whole(loop, version, side, size):
    data = os.urandom(1000) * (size // 1000) + os.urandom(size % 1000)
    async with tls_pair(loop, only(client_context(), version)) as pair:
        near, far = pair.seen_from(side)
        near.transport.write(data)
        await far.protocol.until_data(size)
        assert far.protocol.data == data


async def test_many_small_writes_arrive_in_order(loop):
    async with tls_pair(loop) as pair:
        for number in range(2000):
            pair.client.transport.write(b"%d," % number)
            pair.server.transport.write(b"%d;" % number)
        expected = b"".join(b"%d," % number for number in range(2000))
        await pair.server.protocol.until_data(len(expected))
        await pair.client.protocol.until_data(len(expected))
        assert pair.server.protocol.data == expected
        assert pair.client.protocol.data == expected.replace(b",", b";")


async def test_both_directions_at_once(loop):
    data = os.urandom(1000) * 3000
    async with tls_pair(loop) as pair:
        for end in pair:
            end.transport.write(data)
        for end in pair:
            await end.protocol.until_data(len(data))
            assert end.protocol.data == data


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        bytearray,
        memoryview,
        lambda data: memoryview(bytearray(data)),
        lambda data: memoryview(data + b"tail")[: len(data)],
    ],
    ids=["bytes", "bytearray", "view", "view of bytearray", "part of a view"],
)
async def test_it_takes_buffers(loop, make):
    data = bytes(range(256)) * 300
    async with tls_pair(loop) as pair:
        pair.client.transport.write(make(data))
        pair.client.transport.writelines([make(data), b"", make(b"end")])
        await pair.server.protocol.until_data(2 * len(data) + 3)
        assert pair.server.protocol.data == data * 2 + b"end"


async def test_a_subclass_of_bytes(loop):
    class Special(bytes):
        pass

    async with tls_pair(loop) as pair:
        pair.client.transport.write(Special(b"special"))
        await pair.server.protocol.until_data(7)


@pytest.mark.parametrize(
    "what", ["text", None, 5, [b"list"], object()], ids=["text", "none", "number", "list", "object"]
)
async def test_what_is_no_buffer_is_a_type_error(loop, what):
    async with tls_pair(loop) as pair:
        with pytest.raises(TypeError, match="data: expecting a bytes-like instance, got"):
            pair.client.transport.write(what)
        pair.client.transport.write(b"as before")
        await pair.server.protocol.until_data(9)


async def test_an_array_is_a_type_error_or_all_its_bytes(loop):
    """asyncio takes bytes, bytearray and memoryview; never may items be counted for bytes."""
    async with tls_pair(loop) as pair:
        numbers = array.array("I", range(1000))
        try:
            pair.client.transport.write(numbers)
        except TypeError:
            return
        await pair.server.protocol.until_data(4000)
        assert pair.server.protocol.data == numbers.tobytes()


async def test_a_view_of_wide_items_is_all_its_bytes(loop):
    async with tls_pair(loop) as pair:
        numbers = array.array("I", range(5000))
        pair.client.transport.write(memoryview(numbers))
        pair.client.transport.write(b"end")
        await pair.server.protocol.until_data(20_003)
        assert pair.server.protocol.data == numbers.tobytes() + b"end"


@pytest.mark.parametrize("what", [b"", bytearray(), memoryview(b"")], ids=["bytes", "bytearray", "view"])
async def test_nothing_is_written_for_nothing(loop, what):
    async with end_and_peer(loop) as (end, peer):
        peer.sock.setblocking(False)
        end.transport.write(what)
        await turns(3)
        with pytest.raises(BlockingIOError):
            peer.sock.recv(1)
        end.transport.write(b"x")
        assert await peer.read(1) == b"x"


async def test_writelines_of_nothing(loop):
    async with tls_pair(loop) as pair:
        pair.client.transport.writelines([])
        pair.client.transport.writelines(iter([b"", b"a", b"", b"b"]))
        await pair.server.protocol.until_data(2)
        assert pair.server.protocol.data == b"ab"


async def test_writelines_takes_a_generator(loop):
    async with tls_pair(loop) as pair:
        pair.client.transport.writelines(b"%d," % number for number in range(1000))
        expected = b"".join(b"%d," % number for number in range(1000))
        await pair.server.protocol.until_data(len(expected))
        assert pair.server.protocol.data == expected


@pytest.mark.parametrize("what", [None, 5], ids=["none", "number"])
async def test_writelines_of_no_iterable_is_a_type_error(loop, what):
    async with tls_pair(loop) as pair:
        with pytest.raises(TypeError):
            pair.client.transport.writelines(what)
        pair.client.transport.write(b"as before")
        await pair.server.protocol.until_data(9)


async def test_writelines_that_raises_midway(loop):
    """The iterable's error comes out. What it gave before may or may not have been sent, what follows is."""

    def broken():
        yield b"first"
        raise LookupError("iterable")

    async with tls_pair(loop) as pair:
        with pytest.raises(LookupError):
            pair.client.transport.writelines(broken())
        pair.client.transport.write(b"second")
        await pair.server.protocol.until(lambda: pair.server.protocol.data.endswith(b"second"))
        assert pair.server.protocol.data in (b"second", b"firstsecond")


@pytest.mark.parametrize("size", [100, 5_000_000])
@pytest.mark.parametrize("method", ["write", "writelines"])
async def test_a_buffer_changed_after_write_is_sent_as_it_was(loop, method, size):  # T14
    async with end_and_peer(loop) as (end, peer):
        data = bytearray(b"a" * size)
        if method == "write":
            end.transport.write(data)
        else:
            end.transport.writelines([data, memoryview(data)])
        data[:] = b"b" * size
        total = size if method == "write" else 2 * size
        assert (await peer.read(total)).count(b"a") == total


@pytest.mark.parametrize("size", [100, 5_000_000])
async def test_a_buffer_can_be_resized_right_after_write(loop, size):  # T14
    async with end_and_peer(loop) as (end, peer):
        data = bytearray(size)
        end.transport.write(data)
        data.clear()
        view = memoryview(bytearray(size))
        end.transport.write(view)
        view.release()
        assert len(await peer.read(2 * size)) == 2 * size


@sides
async def test_writes_in_connection_made_come_first(loop, side):
    early = []

    class Writing(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"first")
            transport.writelines([b"second", b"third"])
            early.append(transport.get_extra_info("ssl_object").version())

    async with end_and_peer(loop, side, factory=Writing) as (end, peer):
        assert await peer.read(16) == b"firstsecondthird"
        assert early


async def test_writes_of_one_turn_are_not_held_back(loop):
    """Nothing waits for a later write or a timer."""
    async with end_and_peer(loop) as (end, peer):
        for word in (b"a", b"b", b"c"):
            end.transport.write(word)
            assert await peer.read(1) == word


async def test_the_rest_is_sent_without_further_writes(loop):
    async with end_and_peer(loop) as (end, peer):
        end.transport.write(bytes(10_000_000))
        await asyncio.sleep(0)
        assert len(await peer.read(10_000_000)) == 10_000_000
        assert end.transport.get_write_buffer_size() == 0


async def test_sendfile_falls_back(loop, tmp_path):  # T27
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1000) * 1000)
    async with tls_pair(loop) as pair:
        with path.open("rb") as file:
            assert await loop.sendfile(pair.client.transport, file, 1000, 500_000) == 500_000
            assert file.tell() == 501_000
            await pair.server.protocol.until_data(500_000)
            assert pair.server.protocol.data == path.read_bytes()[1000:501_000]
            with pytest.raises(RuntimeError, match="fallback is disabled"):
                await loop.sendfile(pair.client.transport, file, fallback=False)


async def test_a_write_after_the_peers_goodbye_is_dropped(loop):  # T13
    async with end_and_peer(loop) as (end, peer):
        peer.say_goodbye()
        await peer.send()
        await lost(end.protocol)
        end.transport.write(b"dropped")
        assert end.transport.get_write_buffer_size() == 0

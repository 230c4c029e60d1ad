"""`loop.sendfile` over stream transports. # T27"""

import asyncio
import io
import os

import pytest

from tests.support.certificates import NAME, client_context, server_context
from tests.support.recorders import Recorder
from tests.support.streams import receive, receive_all, transport_and_peer

DATA = bytes(range(256)) * 8192


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with open(path, "rb") as opened:
        yield opened


async def test_a_whole_file(loop, file):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        receiving = loop.create_task(receive(loop, peer, len(DATA)))
        assert await loop.sendfile(transport, file) == len(DATA)
        assert await receiving == DATA
        assert file.tell() == len(DATA)


async def test_a_part_of_a_file(loop, file):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        assert await loop.sendfile(transport, file, 1000, 3000) == 3000
        assert await receive(loop, peer, 3000) == DATA[1000:4000]
        assert file.tell() == 4000


async def test_pending_writes_come_first_and_later_ones_last(loop, file):  # T27
    async with transport_and_peer(loop) as (transport, protocol, peer):
        before = os.urandom(1_000_000)
        transport.write(before)
        sending = loop.create_task(loop.sendfile(transport, file))
        received = loop.create_task(receive_all(loop, peer))
        assert await sending == len(DATA)
        transport.write(b"after")
        transport.close()
        assert await received == before + DATA + b"after"


async def test_the_transport_works_as_before_afterwards(loop, file):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        receiving = loop.create_task(receive(loop, peer, len(DATA)))
        await loop.sendfile(transport, file)
        await receiving
        transport.write(b"write")
        assert await receive(loop, peer, 5) == b"write"
        peer.send(b"read")
        await protocol.until_data(4)
        assert transport.is_reading()


async def test_what_has_no_descriptor_is_copied(loop):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        receiving = loop.create_task(receive(loop, peer, len(DATA)))
        assert await loop.sendfile(transport, io.BytesIO(DATA)) == len(DATA)
        assert await receiving == DATA


async def test_without_fallback_what_has_no_descriptor_is_refused(loop):  # T27
    async with transport_and_peer(loop) as (transport, protocol, peer):
        with pytest.raises(asyncio.SendfileNotAvailableError):
            await loop.sendfile(transport, io.BytesIO(DATA), fallback=False)
        transport.write(b"unharmed")
        assert await receive(loop, peer, 8) == b"unharmed"


async def test_a_closing_transport_is_refused(loop, file):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        transport.close()
        with pytest.raises(RuntimeError, match="closing"):
            await loop.sendfile(transport, file)


async def test_a_peer_that_goes_away_is_an_error(loop, file):
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        task = loop.create_task(loop.sendfile(transport, file))
        await asyncio.sleep(0.005)
        peer.close()
        with pytest.raises(ConnectionError):
            await task


async def test_a_transport_closed_meanwhile_is_an_error(loop, file):
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        task = loop.create_task(loop.sendfile(transport, file))
        await asyncio.sleep(0.005)
        transport.abort()
        done, _ = await asyncio.wait([task], timeout=1)
        assert done, "sendfile hangs"
        assert task.cancelled() or isinstance(task.exception(), (ConnectionError, RuntimeError, OSError))


async def test_it_may_be_cancelled(loop, file):  # R5
    async with transport_and_peer(loop, "unix") as (transport, protocol, peer):
        task = loop.create_task(loop.sendfile(transport, file))
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_over_tls_it_falls_back_or_refuses(loop, file):  # T27
    served = []

    class Served(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            served.append(self)

    server = await loop.create_server(Served, "127.0.0.1", 0, ssl=server_context())
    transport, protocol = await loop.create_connection(
        Recorder, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname=NAME
    )
    with pytest.raises(RuntimeError):
        await loop.sendfile(transport, file, fallback=False)
    assert await loop.sendfile(transport, file) == len(DATA)
    await served[0].until_data(len(DATA))
    assert served[0].data == DATA
    transport.close()
    await protocol.until("connection_lost")
    server.close()
    await asyncio.sleep(0.01)


async def test_wrong_arguments_are_refused(loop, file):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        for arguments in ((file, -1), (file, 0, 0), (file, 0, -1)):
            with pytest.raises(ValueError):
                await loop.sendfile(transport, *arguments)
        with pytest.raises((TypeError, AttributeError, ValueError, asyncio.SendfileNotAvailableError)):
            await loop.sendfile(transport, "text")

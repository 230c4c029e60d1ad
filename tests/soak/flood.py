"""More than memory should hold, over TLS to a reader that stops again and again: the writer obeys, memory stays."""

from __future__ import annotations

import asyncio
import socket

from tests.soak.census import MEBIBYTE, resident
from tests.support.certificates import NAME, client_context, server_context

CHUNK = bytes(256 * 1024)
MARGIN = 16 * MEBIBYTE
"""What may be held beyond what was held before: two high-water marks of either end, and what the allocator keeps."""

STOPS_EVERY = 32 * MEBIBYTE


class Writer(asyncio.Protocol):
    def __init__(self):
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.stopped = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def pause_writing(self):
        self.may_write.clear()
        self.stopped.set()

    def resume_writing(self):
        self.stopped.clear()
        self.may_write.set()


class Reader(asyncio.Protocol):
    """Stops after some MiB, until `go_on` is called."""

    def __init__(self):
        self.count = 0
        self.limit = STOPS_EVERY
        self.stopped = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.count += len(data)
        if self.count >= self.limit:
            self.transport.pause_reading()
            self.stopped.set()

    def go_on(self):
        self.limit = self.count + STOPS_EVERY
        self.stopped.clear()
        self.transport.resume_reading()


async def flood(total: int) -> int:
    """Send `total` bytes; by how many the resident memory was larger at most. Raises what breaks the connection."""
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    (_, writer), (_, reader) = await asyncio.gather(
        loop.create_connection(Writer, sock=left, ssl=client_context(), server_hostname=NAME),
        loop.connect_accepted_socket(Reader, right, ssl=server_context()),
    )
    before = most = resident()

    async def write():
        for _ in range(total // len(CHUNK)):
            await writer.may_write.wait()
            writer.transport.write(CHUNK)

    async def look():
        """Each time that the reader has stopped, and the writer for it: what is held then?"""
        nonlocal most
        while True:
            await reader.stopped.wait()
            # At the end nobody is left to be stopped.
            await asyncio.wait([ensure(writer.stopped.wait()), writing], return_when=asyncio.FIRST_COMPLETED)
            most = max(most, resident())
            reader.go_on()
            if writing.done() and reader.count >= total:
                return

    def ensure(waiting):
        waiters.append(asyncio.ensure_future(waiting))
        return waiters[-1]

    waiters: list[asyncio.Future] = []
    writing = asyncio.ensure_future(write())
    looking = asyncio.ensure_future(look())
    try:
        await writing
        while reader.count < total:
            await asyncio.sleep(0.01)
        most = max(most, resident())
        assert reader.count == total // len(CHUNK) * len(CHUNK), "each byte arrives once"
    finally:
        for task in (writing, looking, *waiters):
            task.cancel()
        await asyncio.gather(writing, looking, *waiters, return_exceptions=True)
        for end in (writer, reader):
            end.transport.abort()
        await asyncio.sleep(0.01)
    return most - before

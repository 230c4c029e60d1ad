"""Joined transports over pipes."""

import asyncio
import contextlib

import tulipa
from tests.support.descriptors import pipe_files
from tests.support.recorders import Recorder
from tests.support.streams import turns


async def halves(loop, reading, writing):
    """Two pipe transports, the first of which reads nothing yet."""
    reader, _ = await loop.connect_read_pipe(asyncio.Protocol, reading)
    reader.pause_reading()
    writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, writing)
    return reader, writer


@contextlib.asynccontextmanager
async def joined_pipes(loop, factory=Recorder):
    """A joined transport with its protocol, and the two far ends: where it reads from and where it writes to."""
    with pipe_files() as (reading, feed), pipe_files() as (sink, writing):
        protocol = factory()
        transport = tulipa.join(*await halves(loop, reading, writing), protocol)
        await turns(2)
        try:
            yield transport, protocol, feed, sink
        finally:
            transport.abort()
            await turns(6)


@contextlib.asynccontextmanager
async def two_joined(loop, *protocols):
    """Two joined transports that talk to each other over two pipes."""
    with pipe_files() as (one, other), pipe_files() as (third, fourth):
        made = [
            tulipa.join(*await halves(loop, one, fourth), protocols[0]),
            tulipa.join(*await halves(loop, third, other), protocols[1]),
        ]
        await turns(2)
        try:
            yield made
        finally:
            for transport in made:
                transport.abort()
            await turns(6)


class Half(asyncio.Transport):
    """A half that a test moves by hand, with the fewest methods that will do."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.protocol = None

    def set_protocol(self, protocol):
        self.protocol = protocol

    def is_closing(self):
        return False

    def write(self, data):
        self.calls.append(("write", data))

    def close(self):
        self.calls.append("close")

    def abort(self):
        self.calls.append("abort")

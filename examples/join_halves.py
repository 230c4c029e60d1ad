"""Join two transports of one direction, one of them the program's own: an echo that answers compressed.

    some-program | python join_halves.py | gunzip

The reading half is standard input. The writing half is a class of this program that compresses what is written and
hands it on to standard output. It has `write` and `close`, and passes on `set_protocol` to be told when to pause; no
more is needed. What `join` returns is a transport like that of a socket, and the protocol cannot tell the difference.
"""

import asyncio
import sys
import zlib

import tulipa


class Compressor:
    def __init__(self, below):
        self.below = below
        self.stream = zlib.compressobj(wbits=31)

    def set_protocol(self, protocol):
        self.below.set_protocol(protocol)

    def write(self, data):
        self.below.write(self.stream.compress(data))

    def close(self):
        self.below.write(self.stream.flush())
        self.below.close()


class Echo(asyncio.Protocol):
    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()

    def connection_lost(self, exc):
        self.lost.set_result(exc)


async def main():
    loop = asyncio.get_running_loop()
    output, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
    # Joined at once: what is read goes to the protocol of the whole.
    reading, _ = await loop.connect_read_pipe(asyncio.Protocol, sys.stdin)
    protocol = Echo()
    tulipa.join(reading, Compressor(output), protocol)
    await protocol.lost


tulipa.run(main())

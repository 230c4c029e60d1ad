"""Await standard input through a protocol, while other things go on.

    some-program | python stdin_protocol.py

Each chunk is reported when it arrives, whole, as bytes: nothing waits for a newline or for the end. Beside that a clock
ticks, which a blocking `sys.stdin.read()` would stop. The end of the input ends the program.

Standard input may be a pipe, a FIFO, a socket, a terminal, a character device or a regular file (`< FILE`).
"""

import asyncio
import sys

import tulipa


class Input(asyncio.Protocol):
    """Reports what arrives; `ended` is resolved once nothing more will."""

    def __init__(self):
        self.ended = asyncio.get_running_loop().create_future()
        self.count = 0

    def connection_made(self, transport):
        print("connected", flush=True)

    def data_received(self, data):
        self.count += len(data)
        print(f"{len(data)} bytes: {data[:40]!r}", flush=True)

    def eof_received(self):
        print("end of input", flush=True)

    def connection_lost(self, exc):
        if exc is None:
            self.ended.set_result(self.count)
        else:
            self.ended.set_exception(exc)


async def tick():
    for second in range(1, sys.maxsize):
        await asyncio.sleep(1)
        print(f"{second} s", file=sys.stderr, flush=True)


async def main():
    loop = asyncio.get_running_loop()
    ticking = loop.create_task(tick())
    transport, protocol = await loop.connect_read_pipe(Input, sys.stdin)
    count = await protocol.ended
    ticking.cancel()
    print(f"{count} bytes in all")


tulipa.run(main())

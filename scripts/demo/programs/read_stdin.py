"""A program that awaits its standard input through a protocol, on one of the loops.

    cat FILE | python read_stdin.py LOOP

It reads until the end and prints one line of JSON: how much came, in how many pieces, and the last bytes.
"""

import asyncio
import json
import sys
import time

import loops

TAIL = 16


class Count(asyncio.Protocol):
    def __init__(self, ended):
        self.ended = ended
        self.bytes = self.pieces = 0
        self.tail = b""
        self.begun = None

    def data_received(self, data):
        if self.begun is None:
            self.begun = time.monotonic()
        self.bytes += len(data)
        self.pieces += 1
        self.tail = (self.tail + data[-TAIL:])[-TAIL:]

    def connection_lost(self, exc):
        if exc is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(exc)


async def main():
    loop = asyncio.get_running_loop()
    transport, count = await loop.connect_read_pipe(lambda: Count(loop.create_future()), sys.stdin)
    cpu = loops.cpu_seconds()
    await count.ended
    return {
        "bytes": count.bytes,
        "pieces": count.pieces,
        "tail": count.tail.hex(),
        "seconds": time.monotonic() - (count.begun or 0.0),
        "cpu": loops.cpu_seconds() - cpu,
    }


if __name__ == "__main__":
    print(json.dumps(loops.run(sys.argv[1], main)))

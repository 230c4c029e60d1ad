"""Await standard input with `add_reader`: a callback each time there is something to read.

    some-program | python stdin_reader.py

The lower of the two forms: the program reads for itself, and takes what there is. The callback is run again in the next
turn as long as something is left, so one `read` per call is enough. `stdin_protocol.py` is the other form.
"""

import asyncio
import os
import sys

import tulipa

CHUNK = 65536


async def main():
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    descriptor = sys.stdin.fileno()

    def readable():
        # Does not block: a callback means that there is something, or the end.
        data = os.read(descriptor, CHUNK)
        if data:
            print(f"{len(data)} bytes: {data[:40]!r}", flush=True)
        else:
            loop.remove_reader(descriptor)
            ended.set_result(None)

    loop.add_reader(descriptor, readable)
    await ended
    print("end of input")


tulipa.run(main())

"""A sender that respects flow control, with a ticker beside it, on one of the loops.

    python send_fast.py LOOP MEGABYTES

It listens, prints the port as its first line, sends that much to the first that connects, as fast as the transport lets
it, and meanwhile ticks every 10 ms. The result is one line of JSON.
"""

import asyncio
import hashlib
import json
import os
import socket
import sys

import loops

TICK = 0.010
BLOCK = 1_000_000
PIECE = 64 * 1024
# Small and fixed, so that it is the program that waits, and not the kernel that buffers.
KERNEL_BUFFER = 256 * 1024


class Sender(asyncio.Protocol):
    """Writes piece by piece, and stops at the high-water mark until it is told to go on."""

    def __init__(self, payload, ended):
        self.payload = payload
        self.ended = ended
        self.position = self.buffer_max = self.pauses = 0
        self.may_write = True

    def connection_made(self, transport):
        self.transport = transport
        self.write_on()

    def write_on(self):
        while self.may_write and self.position < len(self.payload):
            self.transport.write(self.payload[self.position : self.position + PIECE])
            self.position += PIECE
            self.buffer_max = max(self.buffer_max, self.transport.get_write_buffer_size())
        if self.position >= len(self.payload) and not self.transport.is_closing():
            self.transport.close()

    def pause_writing(self):
        self.may_write = False
        self.pauses += 1

    def resume_writing(self):
        self.may_write = True
        self.write_on()

    def connection_lost(self, exc):
        if exc is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(exc)


class Ticker:
    """Ticks at fixed moments, and notes how late each tick came; at some it looks at the memory."""

    def __init__(self, loop):
        self.loop = loop
        self.memory_max = 0
        self.due = loop.time() + TICK
        self.late = []
        self.handle = loop.call_at(self.due, self.tick)

    def tick(self):
        now = self.loop.time()
        self.late.append(now - self.due)
        if len(self.late) % 10 == 0:
            self.memory_max = max(self.memory_max, resident_bytes())
        # One that came more than a whole tick late would only repeat itself in those after it.
        self.due = max(self.due + TICK, now)
        self.handle = self.loop.call_at(self.due, self.tick)


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main(megabytes):
    loop = asyncio.get_running_loop()
    payload = os.urandom(BLOCK) * megabytes
    digest = hashlib.sha256(payload).hexdigest()
    ended = loop.create_future()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
    senders = []

    def connected():
        senders.append(Sender(payload, ended))
        return senders[0]

    server = await loop.create_server(connected, sock=listening)
    print(listening.getsockname()[1], flush=True)
    memory, cpu = resident_bytes(), loops.cpu_seconds()
    begun = loop.time()
    ticker = Ticker(loop)
    await ended
    ticker.handle.cancel()
    server.close()
    return {
        "digest": digest,
        "seconds": loop.time() - begun,
        "buffer_max": senders[0].buffer_max,
        "pauses": senders[0].pauses,
        "memory_growth": max(0, ticker.memory_max - memory),
        "cpu": loops.cpu_seconds() - cpu,
        "ticks": len(ticker.late),
        "late_max": max(ticker.late),
        "late_by_a_tick": sum(late >= TICK for late in ticker.late),
    }


if __name__ == "__main__":
    print(json.dumps(loops.run(sys.argv[1], main, int(sys.argv[2]))))

"""Send much to a slow reader, in every way from a blocking call to cooperative tasks.

    python partial_writes.py [MEGABYTES]

A socket takes as much as its buffer has room for. What the program does about the rest decides whether anything else
can go on meanwhile, which a ticker shows that wants to tick every 10 ms:

    blocking    `sendall` waits, and everything else with it
    careless    one non-blocking `send`: the rest is lost
    selecting   a loop of one's own, which waits for room and does nothing else
    callbacks   `add_writer`: the loop says when there is room
    generator   a task written as a generator: `yield wait_writable(sock)`, and the rest is as in the blocking form
    transport   `write` and `drain`: the transport keeps the rest
"""

import asyncio
import select
import socket
import sys
import threading
import time

import tulipa

TICK = 0.010


def read_slowly(sock, count):
    """Read to the end in a thread of its own, with pauses."""
    with sock:
        while data := sock.recv(256 * 1024):
            count.append(len(data))
            time.sleep(0.001)


# -- the ways to send --------------------------------------------------------------------------


async def blocking(sock, data):
    sock.setblocking(True)
    sock.sendall(data)


async def careless(sock, data):
    sock.send(data)


async def selecting(sock, data):
    while data:
        select.select([], [sock], [])
        data = data[sock.send(data) :]


async def callbacks(sock, data):
    loop = asyncio.get_running_loop()
    sent = loop.create_future()

    def writable():
        nonlocal data
        data = data[sock.send(data) :]
        if not data:
            loop.remove_writer(sock)
            sent.set_result(None)

    loop.add_writer(sock, writable)
    await sent


def send_as_task(sock, data):
    while data:
        yield tulipa.wait_writable(sock)
        data = data[sock.send(data) :]


async def generator(sock, data):
    await tulipa.spawn(send_as_task(sock, data))


async def transport(sock, data):
    _, writer = await asyncio.open_connection(sock=sock)
    for position in range(0, len(data), 65536):
        writer.write(data[position : position + 65536])
        await writer.drain()
    writer.close()
    await writer.wait_closed()


# -- measuring ---------------------------------------------------------------------------------


def tick(ticks):
    """A cooperative task, too: it yields until the next tick is due."""
    while True:
        yield asyncio.sleep(TICK)
        ticks.append(time.monotonic())


async def measure(way, megabytes):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    arrived, ticks = [], [time.monotonic()]
    reading = threading.Thread(target=read_slowly, args=(theirs, arrived))
    reading.start()
    ticking = tulipa.spawn(tick(ticks))
    await asyncio.sleep(0)
    try:
        with ours:
            await way(ours, memoryview(bytes(megabytes * 1_000_000)))
    finally:
        ticks.append(time.monotonic())
        ticking.cancel()
        await asyncio.get_running_loop().run_in_executor(None, reading.join)
    longest = max(after - before for before, after in zip(ticks, ticks[1:], strict=False))
    print(
        f"{way.__name__:9}  {sum(arrived):,} bytes arrived, {len(ticks) - 2} ticks, {longest * 1000:.0f} ms without any"
    )


async def main(megabytes):
    for way in (blocking, careless, selecting, callbacks, generator, transport):
        await measure(way, megabytes)


tulipa.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 70))

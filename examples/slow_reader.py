"""Send much to a reader that takes its time, in bounded memory, while a ticker keeps its pace.

    python slow_reader.py [MEGABYTES]

Writing never blocks: what the kernel does not take is kept in the transport's buffer and sent when there is room.
`drain` waits while that buffer is above its high-water mark, so a sender that awaits it holds little, however much it
sends and however slow the reader is.
"""

import asyncio
import sys
import time

import tulipa

PIECE = bytes(64 * 1024)
TICK = 0.010


async def read_slowly(reader, writer):
    """Take what comes with a pause after each piece; answer with the number of bytes."""
    count = 0
    while data := await reader.read(len(PIECE)):
        count += len(data)
        await asyncio.sleep(0.001)
    writer.write(b"%d\n" % count)
    writer.close()
    await writer.wait_closed()


async def tick(late):
    """Note how late each tick comes."""
    due = time.monotonic()
    while True:
        due += TICK
        await asyncio.sleep(due - time.monotonic())
        late.append(time.monotonic() - due)


async def main(megabytes):
    server = await asyncio.start_server(read_slowly, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    late, largest = [], 0
    ticking = asyncio.create_task(tick(late))

    to_send = megabytes * 1_000_000
    for position in range(0, to_send, len(PIECE)):
        writer.write(PIECE[: to_send - position])
        largest = max(largest, writer.transport.get_write_buffer_size())
        await writer.drain()
    writer.write_eof()

    arrived = int(await reader.readline())
    writer.close()
    await writer.wait_closed()
    ticking.cancel()
    server.close()
    print(f"{arrived:,} bytes of {to_send:,} arrived")
    print(f"the buffer never held more than {largest // 1024} KiB")
    print(f"{len(late)} ticks, the latest by {max(late) * 1000:.1f} ms")


tulipa.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 70))

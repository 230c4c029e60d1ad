"""Children, their pipes, and standard input."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from workloads.model import Scheduling

CHUNK = 64 * 1024


async def spawn(loop, count):
    for _ in range(count):
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()


async def drained(reader, size):
    while size > 0:
        data = await reader.read(CHUNK)
        if not data:
            raise EOFError(f"{size} bytes are missing")
        size -= len(data)


async def output(loop, count):
    """What a child writes to its standard output."""
    size = count * CHUNK
    process = await asyncio.create_subprocess_exec("head", "-c", str(size), "/dev/zero", stdout=subprocess.PIPE)
    await drained(process.stdout, size)
    await process.wait()


async def standard_input(loop, count):
    """What comes in through descriptor 0, from another process."""
    size = count * CHUNK
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    try:
        child = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdin=subprocess.DEVNULL, stdout=writing)
    finally:
        os.close(writing)
    with child:
        reader = asyncio.StreamReader()
        # Without ownership: descriptor 0 stays open for the next round.
        file = open(0, "rb", closefd=False)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        await drained(reader, size)
        transport.close()
        await asyncio.sleep(0)
    if child.returncode:
        sys.exit("head failed")


WORKLOADS = (
    Scheduling(name="process/spawn", title="A child starts and ends", run=spawn, batch=10, usual=True),
    Scheduling(name="process/output", title="A child's output, per 64 KiB", run=output, batch=1000, transports=True),
    Scheduling(name="stdin", title="Standard input from a pipe, per 64 KiB", run=standard_input, batch=1000,
               transports=True, usual=True),
)  # fmt: skip

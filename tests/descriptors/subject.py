"""One loop, one operation on standard input or output, in a process of its own, since some loops abort there.

    python subject.py LOOP OPERATION NUMBER REPORT

What comes of it is told in words on descriptor REPORT: first "ready" once the transport is there, then the result.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading

LOOP, OPERATION = sys.argv[1:3]
NUMBER, REPORT = map(int, sys.argv[3:])

#: What has not happened by then hangs, in seconds.
PATIENCE = 3.0
WRITTEN = b"written by the subject\n"


def say(result: str) -> None:
    os.write(REPORT, result.encode() + b"\n")


def words(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, OSError) and error.errno:
        return f"{name} ({errno.errorcode[error.errno]})"
    return name


class Stream:
    """A file object as a program may have one, without a look at what it is."""

    def __init__(self, number: int):
        self.number = number

    def fileno(self):
        return self.number

    def close(self):
        os.close(self.number)


class Notes(asyncio.Protocol):
    def __init__(self):
        self.got = b""
        self.eof = False
        self.lost = 0
        self.error: BaseException | None = None
        self.arrived = asyncio.Event()
        self.ended = asyncio.Event()

    def data_received(self, data):
        self.got += data
        self.arrived.set()

    def eof_received(self):
        self.eof = True

    def connection_lost(self, exc):
        self.lost += 1
        self.error = exc
        self.ended.set()


async def first(*events: asyncio.Event) -> bool:
    """Whether one of the events happened in time."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    done, _ = await asyncio.wait(waiting, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return bool(done)


def end(notes: Notes) -> str:
    if notes.error is not None:
        return words(notes.error)
    return "end of input" if notes.eof else "closed without an end"


async def read(transport, notes):
    if not await first(notes.arrived, notes.ended):
        return "hangs"
    return "arrives" if notes.got else end(notes)


async def finish(transport, notes):
    return end(notes) if await first(notes.ended) else "hangs"


async def write(transport, notes):
    transport.write(WRITTEN)
    transport.close()
    if not await first(notes.ended):
        return "hangs"
    return "written" if notes.error is None else words(notes.error)


def descriptors() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:
            continue
    return found


async def close(transport, notes, before):
    transport.close()
    if not await first(notes.ended):
        return "hangs"
    await asyncio.sleep(0.1)
    left = len(descriptors() - before)
    if left:
        return f"leaves {left} descriptor{'s' * (left > 1)}"
    return "closed, nothing left" if notes.lost == 1 else f"connection_lost {notes.lost} times"


async def wait(transport, notes):
    """For operations that the harness performs: until it kills this process."""
    await asyncio.sleep(60)
    return "not killed"


async def leave(transport, notes):
    await first(notes.arrived, notes.ended)
    transport.close()
    await first(notes.ended)
    return "left"


async def warm_up(loop):
    """What a loop keeps once it has had a transport is none of a later one's."""
    reader, writer = os.pipe()
    transport, notes = await loop.connect_read_pipe(Notes, Stream(reader))
    transport.close()
    await notes.ended.wait()
    os.close(writer)
    await asyncio.sleep(0.05)


async def main():
    loop = asyncio.get_running_loop()
    operation, _, direction = OPERATION.partition("-")
    writes = direction == "write"
    file = Stream(NUMBER)
    if operation == "closed":
        os.close(file.fileno())
        operation = "read"
    await warm_up(loop)
    before = descriptors()
    connect = loop.connect_write_pipe if writes else loop.connect_read_pipe
    try:
        transport, notes = await asyncio.wait_for(connect(Notes, file), PATIENCE)
    except Exception as error:
        say("ready")
        say(words(error))
        return
    say("ready")
    if operation == "close":
        say(await close(transport, notes, before))
    else:
        say(
            await {"read": read, "end": finish, "write": write, "wait": wait, "leave": leave}[operation](
                transport, notes
            )
        )


def new_loop() -> asyncio.AbstractEventLoop:
    if LOOP == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    if LOOP == "tulipa":
        import tulipa

        return tulipa.new_event_loop()
    return asyncio.SelectorEventLoop()


# What hangs in a system call is ended too.
threading.Thread(target=lambda: (threading.Event().wait(20), os._exit(99)), daemon=True).start()
loop = new_loop()
loop.set_exception_handler(lambda loop, context: None)
loop.run_until_complete(main())
loop.close()
os._exit(0)

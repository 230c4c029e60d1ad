"""Properties: whatever is done with a reader, it does what asyncio's own code does, step by step. # T2 # T16 # R5

Two readers get the same bytes in the same turns and are read in the same way: one of the plain class, and one of a
subclass, for which each loop runs asyncio's own methods. After each step their attributes and results are the same.
"""

import asyncio
import contextlib
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.properties import EXAMPLES, property_test
from tests.support.streams import end, raw_pair, turns

SETTLED = 6

some_bytes = st.lists(st.sampled_from([b"a", b"b", b"\n", b"ab", b"xxxxxxxx"]), max_size=4).map(b"".join)
separators = st.sampled_from([b"\n", b"ab", b"b\na", b"", b"abababab"])
if sys.version_info >= (3, 13):
    separators |= st.just((b"\n", b"ab")) | st.just(())

steps = st.one_of(
    st.tuples(st.just("send"), some_bytes),
    st.tuples(st.just("send"), some_bytes),
    st.tuples(st.just("turns"), st.integers(1, 3)),
    st.tuples(st.just("read"), st.integers(-1, 12)),
    st.tuples(st.just("readexactly"), st.integers(-1, 40)),
    st.tuples(st.just("readuntil"), separators),
    st.tuples(st.just("readline")),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("wake")),
    st.tuples(st.just("eof")),
    st.tuples(st.just("fail")),
)


class AsyncioReader(asyncio.StreamReader):
    """Not the plain class, so nobody serves it but asyncio."""


class Side:
    """One of the two readers, with its peer and those who read."""

    def __init__(self, loop, reader):
        self.loop = loop
        self.reader = reader
        self.tasks = []

    async def start(self):
        left, self.peer = raw_pair("unix")
        protocol = asyncio.StreamReaderProtocol(self.reader, loop=self.loop)
        self.transport, _ = await self.loop.create_connection(lambda: protocol, sock=left)
        # The first bytes are what makes a loop look whose the reader is.
        self.peer.send(b"!")
        assert await self.reader.readexactly(1) == b"!"
        self.ended = False

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.peer.close()
        await end(self.transport)
        await turns(2)

    def do(self, name, *args):
        if name == "send" and not self.ended:
            self.peer.send(*args)
        elif name == "eof":
            self.ended = True
            with contextlib.suppress(OSError):
                self.peer.shutdown(1)
        elif name == "fail":
            self.reader.set_exception(ZeroDivisionError("failed"))
        elif name == "wake":
            self.reader._wakeup_waiter()
        elif name == "cancel" and self.tasks:
            self.tasks[-1].cancel()
        elif name.startswith("read"):
            self.tasks.append(self.loop.create_task(getattr(self.reader, name)(*args)))

    def seen(self):
        """All that a program can see, in words."""
        reader = self.reader
        state = [
            bytes(reader._buffer),
            reader._eof,
            reader._waiter is None,
            reader._paused,
            reader.at_eof(),
            repr(reader.exception()),
            self.transport.is_reading(),
        ]
        for task in self.tasks:
            if not task.done():
                state.append("waits")
            elif task.cancelled():
                state.append("cancelled")
            elif error := task.exception():
                state.append((repr(error), getattr(error, "partial", None), getattr(error, "consumed", None)))
            else:
                state.append((task.result(), type(task.result())))
        return state


async def compare(loop, limit, program):
    ours = Side(loop, asyncio.StreamReader(limit=limit, loop=loop))
    theirs = Side(loop, AsyncioReader(limit=limit, loop=loop))
    await ours.start()
    await theirs.start()
    try:
        for number, (name, *args) in enumerate([*program, ("turns", SETTLED)]):
            if name == "fail":
                # asyncio waits for ever for what fails in the turn in which bytes came; nobody can want that.
                await turns(SETTLED)
            if name == "turns":
                await turns(*args)
            else:
                ours.do(name, *args)
                theirs.do(name, *args)
            assert ours.seen() == theirs.seen(), (number, name, args)
    finally:
        await ours.stop()
        await theirs.stop()


@settings(property_test, max_examples=EXAMPLES * 8)  # each takes a few milliseconds
@given(limit=st.integers(1, 16), program=st.lists(steps, min_size=10, max_size=60))
def test_a_reader_does_what_asyncios_code_does(loop, limit, program):
    loop.run_until_complete(compare(loop, limit, program))

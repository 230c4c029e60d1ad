"""The streams of the program, joined transports, children, terminals, event sources and generator tasks, as typed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from typing import Any, assert_type

import tulipa


class Counting(asyncio.Protocol):
    count = 0

    def data_received(self, data: bytes) -> None:
        self.count += len(data)


async def inputs_and_outputs() -> None:
    async with tulipa.stdin() as stdin:
        assert_type(stdin, tulipa.Input[bytes])
        assert_type(stdin.position, int)
        assert_type(stdin.size, int | None)
    async with tulipa.stdin(text=True) as lines:
        assert_type(lines, tulipa.Input[str])
        async for line in lines:
            assert_type(line, str)
    async with tulipa.stdin(encoding="utf-8", errors="replace") as text:
        assert_type(await text.read(), str)
    out = tulipa.stdout()
    assert_type(out, tulipa.Output[bytes])
    out.write(b"")
    await out.flush()
    await out.aclose()
    async with tulipa.stderr(text=True) as err:
        err.write("")


async def pairs() -> None:
    reader, writer = await tulipa.stdio()
    assert_type(reader, asyncio.StreamReader)
    assert_type(writer, asyncio.StreamWriter)
    writer.close()
    await writer.wait_closed()
    transport, protocol = await tulipa.stdio(Counting)
    assert_type(transport, asyncio.Transport)
    assert_type(protocol, Counting)
    transport.close()


async def children() -> None:
    transport, protocol = await tulipa.connect_child(Counting, "cat", env={})
    assert_type(transport, tulipa.ChildTransport)
    assert_type(protocol, Counting)
    assert_type(transport.pty, tulipa.Pty | None)
    transport.write_eof()
    assert_type(await transport.wait(), int)
    transport.close()
    pty = tulipa.open_pty((80, 24))
    assert_type(pty.size, os.terminal_size)
    pty.size = (132, 50)
    reader, writer = await tulipa.open_child("true", pty=pty)
    assert_type(await reader.read(), bytes)
    writer.close()
    await writer.wait_closed()
    with tulipa.open_pty() as other:
        terminal, _ = await other.connect(Counting)
        assert_type(terminal, tulipa.PtyTransport)
        terminal.close()
    await asyncio.sleep(0.01)


async def joined() -> None:
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    reader, _ = await loop.connect_read_pipe(Counting, os.fdopen(reading, "rb", 0))
    writer, _ = await loop.connect_write_pipe(Counting, os.fdopen(writing, "wb", 0))
    whole = tulipa.join(reader, writer, Counting())
    assert_type(whole, tulipa.JoinedTransport)
    plain: asyncio.Transport = whole
    plain.abort()
    await asyncio.sleep(0.01)


class Ticks(tulipa.EventSource):
    def prepare(self) -> float | None:
        return 0.001

    def poll(self) -> None:
        self.close()


def count(to: int) -> Generator[Any, Any, int]:
    for _ in range(to):
        yield
    return to


async def generators() -> None:
    assert_type(tulipa.spawn(count(2)), asyncio.Task[int])
    assert_type(await tulipa.spawn(count(3)), int)
    reading, writing = os.pipe()
    await tulipa.wait_writable(writing)
    os.close(reading)
    await tulipa.wait_readable(writing)
    os.close(writing)
    assert_type(Ticks().wake(), bool)


async def main() -> None:
    for part in (inputs_and_outputs, pairs, children, joined, generators):
        await part()


if __name__ == "__main__":
    tulipa.run(main())

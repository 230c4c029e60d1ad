"""Two files become one transport, or one stream reader and stream writer.

Lives here: `connect_duplex` and `open_duplex`. Not here: which files (`_standard`, `_pty`, `_commands`), and how two
transports become one (`_joining`). Rule: whatever fails or is cancelled on the way, both files are closed (R5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from ._compat import set_result_unless_cancelled
from ._joining import JoinedTransport
from ._loop import Loop

__all__ = ["LIMIT", "connect_duplex", "open_duplex"]

_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)

# As asyncio's streams, in bytes.
LIMIT = 64 * 1024


async def connect_duplex(
    loop: Loop,
    protocol_factory: Callable[[], _ProtocolT],
    reading: Any,
    writing: Any,
    kind: Callable[..., Any] = JoinedTransport,
) -> tuple[Any, _ProtocolT]:
    """Make a transport of a file to read from and one to write to, which it owns from now on.

    Whatever fails, both files are closed. `kind` makes the transport of its two halves.
    """
    halves: list[Any] = []
    try:
        protocol = protocol_factory()
        halves.append(loop._make_read_pipe_transport(reading, asyncio.Protocol()))
        halves[0].pause_reading()
        halves.append(loop._make_write_pipe_transport(writing, asyncio.Protocol()))
        transport = kind(loop, *halves, protocol)
    except BaseException:
        for half in halves:
            half.abort()
        for file in (reading, writing)[len(halves) :]:
            file.close()
        raise
    made: asyncio.Future[None] = loop.create_future()
    loop.call_soon(set_result_unless_cancelled, made, None)
    try:
        await made
    except BaseException:
        transport.abort()
        raise
    return transport, protocol


async def open_duplex(
    loop: Loop,
    reading: Any,
    writing: Any,
    kind: Callable[..., Any] = JoinedTransport,
    limit: int = LIMIT,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The same as a stream reader and a stream writer."""
    reader = asyncio.StreamReader(limit, loop)
    transport, protocol = await connect_duplex(
        loop, lambda: asyncio.StreamReaderProtocol(reader, loop=loop), reading, writing, kind
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

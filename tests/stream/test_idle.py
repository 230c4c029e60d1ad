"""What a connection holds while nothing happens on it: memory that very many of them take."""

import asyncio
import gc
import os
import socket
import tracemalloc

import pytest

from tests.support.streams import turns, until

pytestmark = pytest.mark.only_tulipa
CONNECTIONS = 200
# Transport, context, packed names and a protocol with nothing in it. Two address tuples and a dictionary are 450 more,
# a weak reference in a set 200.
BYTES_MAX = 450


async def test_a_connection_that_waits_holds_little(loop):
    transports = [None] * CONNECTIONS
    # Numbers: an object for each far end would count, too.
    ends = [-1] * CONNECTIONS
    count = 0

    class Idle(asyncio.Protocol):
        __slots__ = ()

        def connection_made(self, transport):
            nonlocal count
            transports[count] = transport
            count += 1

    async def connect(number):
        goal = count + number
        for nth in range(count, goal):
            with socket.create_connection(server.sockets[0].getsockname()) as end:
                ends[nth] = end.detach()
            await turns(1)
        await until(lambda: count >= goal)

    server = await loop.create_server(Idle, "127.0.0.1", 0)
    # What is made once is made.
    await connect(CONNECTIONS // 2)
    gc.collect()
    tracemalloc.start()
    await connect(CONNECTIONS // 2)
    gc.collect()
    taken = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, __file__)])
    tracemalloc.stop()
    each = sum(trace.size for trace in taken.traces) / (CONNECTIONS // 2)
    assert each < BYTES_MAX
    for transport, end in zip(transports, ends, strict=True):
        transport.abort()
        os.close(end)
    server.close()
    await server.wait_closed()
    await turns(2)

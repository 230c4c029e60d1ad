"""The loop as the client, against a server in the far process that does no more than answer."""

from __future__ import annotations

import asyncio
import time

from workloads.model import Asking

MESSAGE = b"m" * 1024


class Once(asyncio.Protocol):
    """Asks, has its answer, closes."""

    def __init__(self):
        self.missing = len(MESSAGE)
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(MESSAGE)

    def data_received(self, data):
        self.missing -= len(data)
        if not self.missing:
            self.transport.close()

    def connection_lost(self, exc):
        if exc is None and not self.missing:
            self.lost.set_result(None)
        else:
            self.lost.set_exception(exc or ConnectionError("the answer is not whole"))


async def for_a_while(connections, seconds, once):
    """`once` again and again, `connections` at a time; how long each took."""
    latencies, clock = [], time.perf_counter
    end = clock() + seconds

    async def work():
        while (start := clock()) < end:
            await once()
            latencies.append(clock() - start)

    await asyncio.gather(*(work() for _ in range(connections)))
    return latencies


async def connect(address, connections, seconds):
    loop = asyncio.get_running_loop()

    async def once():
        _, protocol = await loop.create_connection(Once, *address)
        await protocol.lost

    return await for_a_while(connections, seconds, once)


async def aiohttp_client(address, connections, seconds):
    import aiohttp

    url = "http://{}:{}/".format(*address)
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def once():
            async with session.get(url) as response:
                if len(await response.read()) != 13:
                    raise ValueError("the answer is not whole")

        return await for_a_while(connections, seconds, once)


WORKLOADS = (
    Asking(name="connect", title="Connect, message, close, as the client, 32 at a time", run=connect, usual=True),
    Asking(name="http/aiohttp-client", title="aiohttp client, GET, 32 kept-alive connections", run=aiohttp_client,
           http=True, usual=True),
)  # fmt: skip

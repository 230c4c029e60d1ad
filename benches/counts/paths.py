"""The paths that are counted: each a round that can be repeated, and how many operations a round has.

Lives here: what a loop is made to do. What is counted, and how, is `subject.py`'s and `run.py`'s matter. Rule: a round
leaves nothing to chance. The far end of each connection is in the same process; all its messages are there before the
loop looks, and all answers before the far end looks, so the same turns do the same work each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import far
from far import SIZE, Far

CONNECTIONS = 32
PIECES = 16
AT_ONCE = 100
# Turns after which an answer that is still missing never comes.
TURNS = 50
SLOWLY = 3
# How often the rounds of a path are counted, once and twice as many each time.
SPANS = 5

Rounds = Callable[[int], Awaitable[None]]
Prepare = Callable[[asyncio.AbstractEventLoop], contextlib.AbstractAsyncContextManager[Rounds]]


@dataclass(frozen=True)
class Path:
    name: str
    title: str
    # Sets everything up, gives what makes so many rounds, and takes everything down.
    prepare: Prepare
    operations: int
    # The path whose cost is the far end's share in this one's.
    far_end: str | None = None


# -- protocols --------------------------------------------------------------------------------


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class EchoInPieces(Echo):
    """Answers as frameworks do that write a header, a body, a trailer."""

    def data_received(self, data):
        step = SIZE // PIECES
        for start in range(0, SIZE, step):
            self.transport.write(data[start : start + step])


class BufferedEcho(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.buffer = bytearray(64 * 1024)
        self.view = memoryview(self.buffer)

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.transport.write(bytes(self.view[:nbytes]))


class EchoDatagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def stream_read(reader, writer):
    while data := await reader.read(64 * 1024):
        writer.write(data)
        await writer.drain()


async def stream_readline(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()


async def stream_readexactly(reader, writer):
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            writer.write(await reader.readexactly(SIZE))
            await writer.drain()


def streams(handle):
    """A protocol as `asyncio.start_server` makes it."""
    reader = asyncio.StreamReader()
    return asyncio.StreamReaderProtocol(reader, handle)


# -- what they serve --------------------------------------------------------------------------


def exchange(ends: Far) -> Rounds:
    """Rounds in which each far end sends a message and has it back.

    How many turns that takes is seen in the first of them, and stays so.
    """
    turns = 0

    async def slowly() -> int:
        ends.send()
        for number in range(1, TURNS + 1):
            await asyncio.sleep(0)
            if ends.answered():
                ends.receive()
                return number
        raise RuntimeError(f"no answer within {TURNS} turns")

    async def rounds(count: int) -> None:
        nonlocal turns
        if not turns:
            await settled()
            turns = [await slowly() for _ in range(SLOWLY)][-1]
        for _ in range(count):
            ends.send()
            for _ in range(turns):
                await asyncio.sleep(0)
            ends.receive()

    return rounds


async def settled() -> None:
    """What was begun has come to rest."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def served(make, loop, connections=CONNECTIONS, tls=False) -> AsyncIterator[Rounds]:
    """A protocol of `make` at the near end of each connection."""
    pairs = [far.stream_pair() for _ in range(connections)]
    context = far.server_context() if tls else None
    joining = [loop.create_task(loop.connect_accepted_socket(make, near, ssl=context)) for near, _ in pairs]
    others = [other for _, other in pairs]
    if tls:
        others = await asyncio.gather(*(far.shaken_hands(other) for other in others))
    transports = [transport for transport, _ in await asyncio.gather(*joining)]
    with Far(others) as ends:
        yield exchange(ends)
    for transport in transports:
        transport.abort()
    await settled()


@contextlib.asynccontextmanager
async def served_by_sockets(loop) -> AsyncIterator[Rounds]:
    pairs = [far.stream_pair() for _ in range(CONNECTIONS)]

    async def echo(near):
        with near:
            while data := await loop.sock_recv(near, 64 * 1024):
                await loop.sock_sendall(near, data)

    tasks = [loop.create_task(echo(near)) for near, _ in pairs]
    with Far([other for _, other in pairs]) as ends:
        yield exchange(ends)
    await asyncio.gather(*tasks)


@contextlib.asynccontextmanager
async def served_datagrams(loop) -> AsyncIterator[Rounds]:
    transport, _ = await loop.create_datagram_endpoint(EchoDatagrams, local_addr=("127.0.0.1", 0))
    with Far(far.datagram_ends(transport.get_extra_info("sockname"), CONNECTIONS)) as ends:
        yield exchange(ends)
    transport.abort()
    await settled()


@contextlib.asynccontextmanager
async def accepted(loop) -> AsyncIterator[Rounds]:
    """Connections that come, ask, have their answer, and go."""
    open_now = set()

    class Served(Echo):
        def connection_made(self, transport):
            super().connection_made(transport)
            open_now.add(self)

        def connection_lost(self, exc):
            open_now.discard(self)

    server = await loop.create_server(Served, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()

    async def rounds(count: int) -> None:
        for _ in range(count):
            with Far(far.connected(address, CONNECTIONS)) as ends:
                ends.send()
                while not ends.answered():
                    await asyncio.sleep(0)
                ends.receive()
            while open_now:
                await asyncio.sleep(0)

    yield rounds
    server.close()
    await settled()


@contextlib.asynccontextmanager
async def connecting(loop) -> AsyncIterator[Rounds]:
    """Connections that the loop makes, on which it asks, has its answer, and goes."""
    open_now = set()

    class Asking(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            open_now.add(self)
            transport.write(far.MESSAGE)

        def data_received(self, data):
            self.transport.close()

        def connection_lost(self, exc):
            open_now.discard(self)

    with far.listening() as listener:
        address = listener.getsockname()

        async def rounds(count: int) -> None:
            for _ in range(count):
                made = [loop.create_task(loop.create_connection(Asking, *address)) for _ in range(CONNECTIONS)]
                for one in made:
                    await one
                with Far([far.accepted(listener) for _ in made]) as ends:
                    ends.receive()
                    ends.send()
                    while open_now:
                        await asyncio.sleep(0)

        yield rounds


# -- without the network ----------------------------------------------------------------------


def nothing(*arguments):
    pass


async def call_soon(loop, count):
    for _ in range(count):
        for _ in range(AT_ONCE):
            loop.call_soon(nothing)
        await asyncio.sleep(0)


async def call_soon_arguments(loop, count):
    for _ in range(count):
        for _ in range(AT_ONCE):
            loop.call_soon(nothing, loop, count)
        await asyncio.sleep(0)


async def turns(loop, count):
    """One callback per turn, each of which schedules the next."""
    done = loop.create_future()
    left = count * AT_ONCE

    def tick():
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(tick)
        else:
            done.set_result(None)

    loop.call_soon(tick)
    await done


async def cancelled_timers(loop, count):
    for _ in range(count):
        for _ in range(AT_ONCE):
            loop.call_later(60, nothing).cancel()
        await asyncio.sleep(0)


async def fired_timers(loop, count):
    """Timers that are due when they are made, and run one turn later."""
    for _ in range(count):
        for _ in range(AT_ONCE):
            loop.call_at(0, nothing)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def call_soon_threadsafe(loop, count):
    """One thread makes all calls while the loop stands still, so that the two never meet at the GIL."""

    def call():
        for _ in range(count * AT_ONCE):
            loop.call_soon_threadsafe(nothing)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def futures(loop, count):
    for _ in range(count * AT_ONCE):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


async def switches(loop, count):
    tasks = 10

    async def switch():
        for _ in range(count * AT_ONCE // tasks):
            await asyncio.sleep(0)

    await asyncio.gather(*(switch() for _ in range(tasks)))


async def spawned(loop, count):
    async def task():
        pass

    for _ in range(count):
        for _ in range(AT_ONCE):
            loop.create_task(task())
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def scheduling(name, title, run) -> Path:
    @contextlib.asynccontextmanager
    async def prepare(loop):
        yield functools.partial(run, loop)

    return Path(name, title, prepare, AT_ONCE)


# -- the far ends alone -----------------------------------------------------------------------


def alone(name, title, make_pairs) -> Path:
    """What sending a message and receiving one costs a far end: the cost of one end that sends to another."""

    @contextlib.asynccontextmanager
    async def prepare(loop):
        pairs = [await made for made in make_pairs(CONNECTIONS)]
        with Far([one for one, _ in pairs]) as ones, Far([other for _, other in pairs]) as others:

            async def rounds(count):
                for _ in range(count):
                    ones.send()
                    others.receive()

            # Both directions, so that what each end does once is done.
            others.send()
            ones.receive()
            yield rounds

    return Path(name, title, prepare, CONNECTIONS)


def protocol(name, title, make, far_end="far", connections=CONNECTIONS, **options) -> Path:
    prepare = functools.partial(served, make, connections=connections, **options)
    return Path(name, title, prepare, connections, far_end)


FAR_ENDS = (
    alone("far", "a far end over a stream", far.plain_pairs),
    alone("far/udp", "a far end over UDP", far.datagram_pairs),
    alone("far/tls", "a far end over TLS", far.tls_pairs),
)
PATHS = (
    protocol("echo", "protocol echo, 1 KiB", Echo),
    protocol("echo/1", "protocol echo, 1 KiB, alone in its turn", Echo, connections=1),
    protocol("buffered", "buffered protocol echo, 1 KiB", BufferedEcho),
    protocol("pieces", f"{PIECES} small writes per 1 KiB", EchoInPieces),
    protocol("streams/read", "streams, read()", functools.partial(streams, stream_read)),
    protocol("streams/readline", "streams, readline()", functools.partial(streams, stream_readline)),
    protocol("streams/readexactly", "streams, readexactly()", functools.partial(streams, stream_readexactly)),
    Path("sock", "sock_recv, sock_sendall, 1 KiB", served_by_sockets, CONNECTIONS, "far"),
    Path("udp", "UDP echo, 1 KiB", served_datagrams, CONNECTIONS, "far/udp"),
    protocol("tls", "TLS, protocol echo, 1 KiB", Echo, "far/tls", tls=True),
    protocol("tls/streams", "TLS, streams, readexactly()", functools.partial(streams, stream_readexactly),
             "far/tls", tls=True),
    Path("accept", "connect, message, close, both ends", accepted, CONNECTIONS),
    Path("connect", "connect as the client, message, close, both ends", connecting, CONNECTIONS),
    scheduling("call_soon", "call_soon", call_soon),
    scheduling("call_soon/args", "call_soon with two arguments", call_soon_arguments),
    scheduling("turn", "one callback per turn", turns),
    scheduling("timers/cancelled", "call_later, and cancelled", cancelled_timers),
    scheduling("timers/fired", "call_at, and run", fired_timers),
    scheduling("call_soon_threadsafe", "call_soon_threadsafe from another thread", call_soon_threadsafe),
    scheduling("future", "a future is set, and its waiter wakes up", futures),
    scheduling("switch", "task switch", switches),
    scheduling("spawn", "a task starts and ends", spawned),
)  # fmt: skip

"""Servers of connections: echo by protocols, streams and `sock_*`, on TCP, Unix sockets and TLS; many that come and go,
many that are idle, and bytes in one direction."""

from __future__ import annotations

import asyncio
import functools
import socket

from workloads.model import CHURN, DOWNLOAD, IDLE, MEMORY, UPLOAD, Served

BACKLOG = 1024
BUFFER = 256 * 1024
CHUNK = 64 * 1024
PIECES = 16
MANY = 15_000


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.buffer = bytearray(BUFFER)
        self.view = memoryview(self.buffer)

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        # A copy: the next read may overwrite the buffer before this has left.
        self.transport.write(bytes(self.view[:nbytes]))


class EchoInPieces(asyncio.Protocol):
    """Answers as frameworks do that write a header, a body, a trailer: with many small writes."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        step = -(-len(data) // PIECES)
        for start in range(0, len(data), step):
            self.transport.write(data[start : start + step])


class Idle(asyncio.Protocol):
    """An echo that keeps as little as a protocol can."""

    __slots__ = ("transport",)

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Discard(asyncio.Protocol):
    def data_received(self, data):
        pass


class Pour(asyncio.Protocol):
    """Writes as long as the transport takes more."""

    data = bytes(CHUNK)

    def connection_made(self, transport):
        self.transport = transport
        self.paused = False
        self.pour()

    def pour(self):
        while not self.paused:
            self.transport.write(self.data)

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        self.pour()

    def connection_lost(self, exc):
        self.paused = True


async def serve_protocol(protocol, sock, context):
    loop = asyncio.get_running_loop()
    create = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
    return await create(protocol, sock=sock, ssl=context, backlog=BACKLOG)


async def serve_streams(handle, sock, context):
    start = asyncio.start_unix_server if sock.family == socket.AF_UNIX else asyncio.start_server
    return await start(handle, sock=sock, ssl=context, backlog=BACKLOG)


async def stream_read(reader, writer):
    while data := await reader.read(BUFFER):
        writer.write(data)
        await writer.drain()


async def stream_readline(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()


async def stream_readexactly(size, reader, writer):
    while True:
        try:
            data = await reader.readexactly(size)
        except asyncio.IncompleteReadError:
            return
        writer.write(data)
        await writer.drain()


async def serve_sock(sock, context):
    loop = asyncio.get_running_loop()
    tasks = set()

    async def accept():
        while True:
            connection, _ = await loop.sock_accept(sock)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tasks.add(loop.create_task(echo(connection)))

    async def echo(connection):
        with connection:
            while data := await loop.sock_recv(connection, BUFFER):
                await loop.sock_sendall(connection, data)

    tasks.add(loop.create_task(accept()))
    return tasks


def many(count):
    return f"{count:,} connections" if count > 1 else "1 connection"


def protocol(name, title, make, *sizes_and_connections, limit=None, tls=False, **options):
    serve = functools.partial(serve_protocol, make)
    for kibibytes, connections, usual in sizes_and_connections:
        yield Served(
            name=f"{name}/{kibibytes}k/{connections}",
            title=f"{title}, {kibibytes} KiB, {many(connections)}",
            serve=serve,
            size=kibibytes * 1024,
            connections=connections,
            usual=usual,
            tls=tls,
            limit="tls" if tls else "echo",
            **options,
        )


def streams(name, handle, *connections, tls=False):
    for count in connections:
        yield Served(
            name=f"{'tls/' if tls else ''}streams/{name}/{count}",
            title=f"{'TLS, streams' if tls else 'Streams'}, {name}(), 1 KiB, {many(count)}",
            serve=functools.partial(serve_streams, handle),
            connections=count,
            usual=count > 1 and name != "read" and not tls,
            tls=tls,
            limit="tls" if tls else "echo",
        )


def served(name, title, make, **options):
    return Served(name=name, title=title, serve=functools.partial(serve_protocol, make), **options)


readexactly = functools.partial(stream_readexactly, 1024)
ECHOES = (
    *protocol(
        "echo",
        "Protocol echo",
        Echo,
        *((size, count, count == 32 and size < 100) for size in (1, 10, 100) for count in (1, 32, 1000)),
    ),
    *protocol("buffered", "Buffered protocol echo", BufferedEcho, (1, 32, False), (100, 32, False)),
    *protocol("pieces", f"{PIECES} small writes per request", EchoInPieces, (1, 32, True)),
    *protocol("unix", "Unix socket, protocol echo", Echo, (1, 32, False), family=socket.AF_UNIX),
    *protocol("tls", "TLS, protocol echo", Echo, (1, 32, True), (100, 32, False), tls=True),
    *streams("readexactly", readexactly, 32, tls=True),
    *streams("read", stream_read, 1, 32),
    *streams("readline", stream_readline, 1, 32),
    *streams("readexactly", readexactly, 1, 32),
    *(
        Served(
            name=f"sock/1k/{count}",
            title=f"sock_recv, sock_sendall, 1 KiB, {many(count)}",
            serve=serve_sock,
            connections=count,
            usual=count > 1,
            limit="echo",
        )
        for count in (1, 32)
    ),
)
WORKLOADS = (
    *ECHOES,
    served("churn", "Connect, message, close, as the server, 32 at a time", Echo, client=CHURN, connections=32,
           usual=True, limit="echo"),
    served("tls/handshakes", "TLS handshake, message, close, as the server, 32 at a time", Echo, client=CHURN,
           connections=32, tls=True, usual=True, limit="tls"),
    served("bulk/send", "Bulk send, per 64 KiB, 4 connections", Pour, client=DOWNLOAD, connections=4, limit="source"),
    served("bulk/receive", "Bulk receive, per 64 KiB, 4 connections", Discard, client=UPLOAD, connections=4,
           limit="sink"),
    served("idle", f"{MANY:,} idle connections, memory of each, and one that is active", Idle, client=IDLE,
           connections=MANY, judged=MEMORY, limit="echo"),
    served("tls/idle", "1,000 idle TLS connections, memory of each, and one that is active", Idle, client=IDLE,
           connections=1000, judged=MEMORY, tls=True, limit="tls"),
)  # fmt: skip

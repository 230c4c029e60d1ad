"""Echo over connections: by protocols, streams and `sock_*`, on TCP, Unix sockets and TLS."""

from __future__ import annotations

import asyncio
import functools
import socket

from workloads.model import Served

BACKLOG = 1024
BUFFER = 256 * 1024
PIECES = 16


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


def protocol(name, title, make, *sizes_and_connections, **options):
    serve = functools.partial(serve_protocol, make)
    for kibibytes, connections, usual in sizes_and_connections:
        yield Served(
            f"{name}/{kibibytes}k/{connections}",
            f"{title}, {kibibytes} KiB, {many(connections)}",
            serve,
            size=kibibytes * 1024,
            connections=connections,
            usual=usual,
            **options,
        )


def streams(name, handle, *connections):
    for count in connections:
        yield Served(
            f"streams/{name}/{count}",
            f"Streams, {name}(), 1 KiB, {many(count)}",
            functools.partial(serve_streams, handle),
            connections=count,
            usual=count > 1 and name != "read",
        )


WORKLOADS = (
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
    Served(
        "tls/streams/32",
        "TLS, streams, readexactly(), 1 KiB, 32 connections",
        functools.partial(serve_streams, functools.partial(stream_readexactly, 1024)),
        connections=32,
        tls=True,
    ),
    *streams("read", stream_read, 1, 32),
    *streams("readline", stream_readline, 1, 32),
    *streams("readexactly", functools.partial(stream_readexactly, 1024), 1, 32),
    Served("sock/1k/1", "sock_recv, sock_sendall, 1 KiB, 1 connection", serve_sock),
    Served("sock/1k/32", "sock_recv, sock_sendall, 1 KiB, 32 connections", serve_sock, connections=32, usual=True),
)

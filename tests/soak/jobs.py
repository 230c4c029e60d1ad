"""The jobs of the soak: each does one thing that a program does with a loop, and cleans up as a program should.

A job draws from its own `random.Random`, waits for what must come, and raises if that is not what came.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import os
import socket
import ssl
import sys
import tempfile
import threading
from dataclasses import dataclass, field

from tests.support.certificates import NAME, client_context, server_context

SIZES = (1, 100, 10_000, 300_000)
PAYLOAD = bytes(range(256)) * 1200
SOCKETS = "tcp", "unix", "tls", "tls over unix"


@dataclass
class Town:
    """What the jobs live in: a loop, its servers, and contexts that they share."""

    loop: asyncio.AbstractEventLoop
    folder: str
    server_context: ssl.SSLContext = field(default_factory=server_context)
    client_context: ssl.SSLContext = field(default_factory=client_context)
    strange_context: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    servers: dict[str, asyncio.Server] = field(default_factory=dict)

    async def open(self) -> None:
        for kind in SOCKETS:
            secure = self.server_context if "tls" in kind else None
            if "unix" in kind:
                serving = self.loop.create_unix_server(Echo, self.path(kind), ssl=secure)
            else:
                serving = self.loop.create_server(Echo, "127.0.0.1", 0, ssl=secure)
            self.servers[kind] = await serving
        self.servers["streams"] = await asyncio.start_server(echo_lines, "127.0.0.1", 0)

    async def close(self) -> None:
        for server in self.servers.values():
            server.close()
            await server.wait_closed()

    def path(self, kind: str) -> str:
        return os.path.join(self.folder, kind.replace(" ", "-"))

    def port(self, kind: str) -> int:
        return self.servers[kind].sockets[0].getsockname()[1]

    def connect(self, factory, kind: str, context: ssl.SSLContext | None = None):
        """Connect to the echo server of a kind."""
        options = {}
        if "tls" in kind:
            options = {"ssl": context or self.client_context, "server_hostname": NAME}
        if "unix" in kind:
            return self.loop.create_unix_connection(factory, self.path(kind), **options)
        return self.loop.create_connection(factory, "127.0.0.1", self.port(kind), **options)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


class Client(asyncio.Protocol):
    """Counts what comes back."""

    transport = None

    def __init__(self, expected: int):
        self.expected = expected
        self.received = 0
        self.enough = asyncio.get_running_loop().create_future()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def abandon(self):
        if self.transport is not None and not self.transport.is_closing():
            getattr(self.transport, "abort", self.transport.close)()

    def data_received(self, data):
        self.received += len(data)
        if self.received >= self.expected and not self.enough.done():
            self.enough.set_result(None)

    def connection_lost(self, error):
        if not self.lost.done():  # whoever waited for it was cancelled
            self.lost.set_result(error)


async def echo_lines(reader, writer):
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


class Held(contextlib.ExitStack):
    """Ends at its own end the transports that it was given and that are open still: a job may be cancelled anywhere."""

    def hold(self, transport) -> None:
        self.callback(lambda: transport.is_closing() or transport.abort())


async def connection(town, random):
    """Connect, have something echoed, and end in one of four ways."""
    kind = random.choice(SOCKETS)
    count = random.choice(SIZES)
    with Held() as held:
        transport, protocol = await town.connect(functools.partial(Client, count), kind)
        held.hold(transport)
        transport.write(PAYLOAD[:count])
        ending = random.choice(("close", "abort", "half", "abort at once"))
        if ending != "abort at once":
            await protocol.enough
            assert protocol.received == count
        if ending == "half" and transport.can_write_eof():
            transport.write_eof()
        elif ending.startswith("abort"):
            transport.abort()
        else:
            transport.close()
        await protocol.lost


async def lines(town, random):
    """Streams: a few lines, then close."""
    with Held() as held:
        reader, writer = await asyncio.open_connection("127.0.0.1", town.port("streams"))
        held.hold(writer.transport)
        for number in range(random.randrange(5)):
            writer.write(b"line %d\n" % number)
            assert await reader.readline() == b"line %d\n" % number
        writer.close()
        await writer.wait_closed()


async def refused_handshake(town, random):
    """A client that does not trust the server, or one that speaks no TLS."""
    if random.random() < 0.5:
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await town.connect(functools.partial(Client, 0), "tls", town.strange_context)
            raise AssertionError("a strange certificate was trusted")
        return
    transport, protocol = await town.loop.create_connection(functools.partial(Client, 0), "127.0.0.1", town.port("tls"))
    transport.write(b"no handshake at all\n" * 10)
    await protocol.lost


async def upgrade(town, random):
    """`start_tls` on both ends of a pair."""
    with Held() as held:
        protocols = Client(1), Client(1)
        for protocol in protocols:
            held.callback(protocol.abandon)
        left_protocol, right_protocol = protocols
        (left, _), (right, _) = await asyncio.gather(
            *(
                town.loop.create_connection(lambda protocol=protocol: protocol, sock=sock)
                for protocol, sock in zip(protocols, socket.socketpair(), strict=True)
            )
        )
        left, right = await asyncio.gather(
            town.loop.start_tls(left, left_protocol, town.client_context, server_hostname=NAME),
            town.loop.start_tls(right, right_protocol, town.server_context, server_side=True),
        )
        held.hold(left)
        held.hold(right)
        left.write(b"x")
        await right_protocol.enough
        left.close()
        await asyncio.gather(left_protocol.lost, right_protocol.lost)


async def process(town, random):
    """A child that echoes, one that fails, one that is killed, one whose `communicate` is cancelled."""
    way = random.choice(("echo", "fail", "kill", "cancel"))
    pipe = asyncio.subprocess.PIPE
    if way == "fail":
        child = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 3")
        assert await child.wait() == 3
        return
    child = await asyncio.create_subprocess_exec("/bin/cat", stdin=pipe, stdout=pipe)
    if way == "echo":
        output, _ = await child.communicate(PAYLOAD[:10_000])
        assert output == PAYLOAD[:10_000]
        return
    if way == "cancel":
        task = asyncio.ensure_future(child.stdout.read())
        await asyncio.sleep(0)
        await cancel(task)
    child.kill()
    await child.communicate()
    assert child.returncode == -9


async def datagrams(town, random):
    class Receiver(asyncio.DatagramProtocol):
        def __init__(self):
            self.came = asyncio.get_running_loop().create_future()

        def datagram_received(self, data, address):
            if not self.came.done():
                self.came.set_result(data)

    with Held() as held:
        here, protocol = await town.loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
        held.hold(here)
        address = here.get_extra_info("sockname")
        there, _ = await town.loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
        held.hold(there)
        for _ in range(random.randrange(1, 5)):
            there.sendto(b"datagram")
        assert await protocol.came == b"datagram"
        for transport in (here, there):
            random.choice((transport.close, transport.abort))()


async def socket_calls(town, random):
    """`sock_*`, watches, and a reader that is cancelled."""
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        sending = asyncio.ensure_future(town.loop.sock_sendall(left, PAYLOAD))
        received = 0
        while received < len(PAYLOAD):
            received += len(await town.loop.sock_recv(right, 65536))
        await sending
        await cancel(asyncio.ensure_future(town.loop.sock_recv(right, 1)))
        readable = town.loop.create_future()
        town.loop.add_reader(right, lambda: readable.done() or readable.set_result(None))
        left.send(b"x")
        await readable
        town.loop.remove_reader(right)


async def pipes(town, random):
    with Held() as held:
        client, writer = Client(100), Client(0)
        held.callback(client.abandon)
        held.callback(writer.abandon)
        reading, writing = os.pipe()
        (receiving, _), (sending, _) = await asyncio.gather(
            town.loop.connect_read_pipe(lambda: client, os.fdopen(reading, "rb", 0)),
            town.loop.connect_write_pipe(lambda: writer, os.fdopen(writing, "wb", 0)),
        )
        sending.write(PAYLOAD[:100])
        await client.enough
        random.choice((sending.close, sending.abort))()
        await asyncio.gather(client.lost, writer.lost)


async def files(town, random):
    """A file that is written and read; calls may be cancelled at once, and the file closed under them."""
    tulipa = sys.modules.get("tulipa")
    if tulipa is None or not isinstance(town.loop, tulipa.Loop):
        return  # asyncio has no files
    path = town.path(f"file-{random.random()}")
    async with tulipa.open_file(path, "w+") as file:
        os.unlink(path)
        calls = []
        for _ in range(random.randrange(1, 8)):
            offset, size = random.randrange(1000), random.choice(SIZES)
            calls.append(random.choice((file.write, functools.partial(file.write_at, offset)))(PAYLOAD[:size]))
            calls.append(random.choice((file.read, functools.partial(file.read_at, offset)))(size))
            if random.random() < 0.3:
                random.choice(calls).cancel()
        if random.random() < 0.5:
            await asyncio.gather(*calls, return_exceptions=True)


async def piped_files(town, random):
    """A file under transports."""
    if isinstance(town.loop, asyncio.SelectorEventLoop):
        return  # asyncio takes no files
    with tempfile.TemporaryFile(buffering=0) as file, Held() as held:
        writer, reader = Client(0), Client(random.randrange(1, len(PAYLOAD)))
        held.callback(writer.abandon)
        held.callback(reader.abandon)
        writing = os.fdopen(os.dup(file.fileno()), "wb", 0)
        transport, _ = await town.loop.connect_write_pipe(lambda: writer, writing)
        transport.write(PAYLOAD)
        transport.close()
        await writer.lost
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        reading = os.fdopen(os.dup(file.fileno()), "rb", 0)
        transport, _ = await town.loop.connect_read_pipe(lambda: reader, reading)
        if random.random() < 0.5:
            await reader.enough
        random.choice((transport.close, transport.abort))()
        await reader.lost


async def timers(town, random):
    handles = [town.loop.call_later(random.random() * 100, print) for _ in range(random.randrange(50))]
    for handle in handles:
        handle.cancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(random.choice((0, 0.001))):
            await town.loop.create_future()


async def from_threads(town, random):
    future = town.loop.create_future()
    thread = threading.Thread(target=town.loop.call_soon_threadsafe, args=(future.set_result, 7))
    thread.start()
    assert await future == 7
    thread.join()
    assert await town.loop.run_in_executor(None, int, "7") == 7


async def cancelled(town, random):
    """Any other job, cancelled on the way."""
    job = random.choice((connection, lines, upgrade, datagrams, pipes, files, connecting))
    task = asyncio.ensure_future(job(town, random))
    for _ in range(random.randrange(12)):
        await asyncio.sleep(0)
    await cancel(task)


async def connecting(town, random):
    with Held() as held:
        transport, protocol = await town.connect(functools.partial(Client, 0), random.choice(SOCKETS))
        held.hold(transport)
        transport.abort()
        await protocol.lost


# What asyncio has not: a loop of its own does nothing there.


def forms_of(town):
    """tulipa, if the loop is one of its loops."""
    return importlib.import_module("tulipa") if type(town.loop).__module__.startswith("tulipa") else None


async def child_transports(town, random):
    """A child over pipes or on a terminal, which ends by itself, is killed, or whose start is cancelled."""
    tulipa = forms_of(town)
    if tulipa is None:
        return
    pty = tulipa.open_pty((80, 24)) if random.random() < 0.5 else None
    way = random.choice(("echo", "kill", "cancel"))
    if way == "cancel":
        task = asyncio.ensure_future(tulipa.open_child("/bin/cat", pty=pty))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await cancel(task)
        return
    reader, writer = await tulipa.open_child("/bin/cat", pty=pty)
    if way == "echo":
        writer.write(b"some words\n")
        writer.write_eof()
        assert b"some words" in await reader.read()
    else:
        writer.transport.kill()
    status = await writer.transport.wait()
    assert status == (0 if way == "echo" else -9), (way, pty, status)
    writer.close()
    await writer.wait_closed()


async def joined(town, random):
    """Two pipes joined into one transport, and at times TLS over it that fails."""
    tulipa = forms_of(town)
    if tulipa is None:
        return
    with Held() as held:
        reading, writing = os.pipe()
        reader, _ = await town.loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reading, "rb", 0))
        held.hold(reader)
        writer, _ = await town.loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
        held.hold(writer)
        size = random.choice(SIZES)
        client = Client(size)
        transport = tulipa.join(reader, writer, client)
        if random.random() < 0.3:
            # It talks to itself, which is no handshake.
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                await town.loop.start_tls(transport, client, town.client_context, server_hostname=NAME)
            return
        transport.write(PAYLOAD[:size])
        await client.enough
        transport.close()
        await client.lost


async def generators_and_sources(town, random):
    """A generator task that waits for a socket, cancelled at times, and an event source that a thread wakes."""
    tulipa = forms_of(town)
    if tulipa is None:
        return
    left, right = socket.socketpair()
    with left, right:

        def receive():
            yield tulipa.wait_readable(left)
            return left.recv(10)

        task = tulipa.spawn(receive())
        await asyncio.sleep(0)
        if random.random() < 0.5:
            await cancel(task)
        else:
            right.send(b"x")
            assert await task == b"x"
    polled = town.loop.create_future()

    class Source(tulipa.EventSource):
        def prepare(self):
            return 3600

        def poll(self):
            self.close()
            polled.set_result(None)

    source = Source()
    await town.loop.run_in_executor(None, source.wake)
    await polled


async def cancel(task) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


# How often each is done, for each process that is started: processes take a thousand times longer than timers.
WEIGHTS = {
    connection: 40,
    lines: 20,
    refused_handshake: 10,
    upgrade: 10,
    process: 1,
    datagrams: 20,
    socket_calls: 10,
    pipes: 10,
    files: 10,
    piped_files: 5,
    timers: 20,
    from_threads: 10,
    cancelled: 40,
    child_transports: 1,
    joined: 10,
    generators_and_sources: 5,
}

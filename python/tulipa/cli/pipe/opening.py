"""Opening addresses.

Lives here: from an address to an `End`, one function for each kind, and waiting for connections. Not here: what happens
between two ends (`relay`). Rules:

1. What fails is an OSError, and the caller knows which address it was opening.
2. Nothing is read from an end before both are open.
3. Whatever is cut short, what was opened is closed (R5).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import tulipa

from . import security, terminal
from .adapters import DatagramStream, FileStream
from .addresses import Address
from .relay import End, Waiting

__all__ = ["accept", "accept_all", "open_end"]

# The most that fits in a datagram over IPv4 and Ethernet without being cut up, in bytes.
_DATAGRAM = 1472
_CONNECTIONS_WAITING = 128
# How long one address of a name has before the next one is tried beside it, in seconds (RFC 8305).
_NEXT_ADDRESS = 0.25
# How long until the reader of a pipe is looked for again, in seconds: no event tells of it.
_LOOK_AGAIN = 0.05

_Opener = Callable[[Address, Waiting, bool, bool], Awaitable[End]]
# Says what only `--verbose` wants to know.
_Say = Callable[[str], None]


async def open_end(address: Address, reads: bool, writes: bool, say: _Say) -> End:
    """Open an address for these directions. Raises OSError; ValueError for what cannot be a transport."""
    if address.kind.listens:
        return await accept(address, say)
    timeout = address.options.get("timeout")
    try:
        async with asyncio.timeout(timeout):
            context = security.make_context(address)
            if address.kind.name == "udp-listen":
                end = await _receive_first(address, Waiting(), say)
            else:
                end = await _OPENERS[address.kind.name](address, Waiting(reads=reads), reads, writes)
            return await _secure(end, context)
    except TimeoutError:
        if timeout is None:
            raise
        raise TimeoutError(errno.ETIMEDOUT, f"not open after {timeout:g} seconds") from None


async def _secure(end: End, context: Any) -> End:
    """Start the TLS layer, if there is one."""
    if context is None:
        return end
    waiting = Waiting()
    try:
        secured = await security.start(end.address, context, end.transport, waiting)
    except BaseException:
        end.abort()
        raise
    secured.pause_reading()
    return End(end.address, secured, waiting, reads=end.reads, writes=end.writes, half_closes=False, child=end.child)


# -- connections ----------------------------------------------------------------------------


def _family(address: Address) -> int:
    if "ipv4" in address.options:
        return socket.AF_INET
    return socket.AF_INET6 if "ipv6" in address.options else socket.AF_UNSPEC


def _socket_path(address: Address) -> str:
    path = address.path
    return "\0" + path[1:] if path.startswith("@") else path


async def _open_tcp(address: Address, waiting: Waiting, reads: bool, writes: bool) -> End:
    loop = asyncio.get_running_loop()
    place: Any = (address.host, address.port)
    transport, _ = await loop.create_connection(
        lambda: waiting, *place, family=_family(address), happy_eyeballs_delay=_NEXT_ADDRESS
    )
    return End(address, transport, waiting)


async def _open_unix(address: Address, waiting: Waiting, reads: bool, writes: bool) -> End:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_unix_connection(lambda: waiting, _socket_path(address))
    return End(address, transport, waiting)


async def accept_all(address: Address, say: _Say) -> AsyncGenerator[Callable[[], Awaitable[End]], None]:
    """Listen, and give what makes an end of each connection: TLS is started there, without holding up the others."""
    context = security.make_context(address)
    connections: asyncio.Queue[Waiting] = asyncio.Queue()
    server = await _listen(address, connections)
    say(f"listening on {', '.join(_spell(sock) for sock in server.sockets)}")
    try:
        while True:
            waiting = await connections.get()

            say(f"connection from {_spell_place(waiting.transport.get_extra_info('peername'))}")

            async def make(waiting: Waiting = waiting) -> End:
                return await _secure(End(address, waiting.transport, waiting), context)

            yield make
    finally:
        _stop(server, connections)


async def accept(address: Address, say: _Say) -> End:
    """Listen for one connection."""
    async with contextlib.aclosing(accept_all(address, say)) as connections:
        make = await anext(connections)
    return await make()


async def _listen(address: Address, connections: asyncio.Queue[Waiting]) -> asyncio.Server:
    loop = asyncio.get_running_loop()

    class Accepted(Waiting):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            connections.put_nowait(self)

    backlog = _CONNECTIONS_WAITING if "fork" in address.options else 1
    if address.kind.name == "unix-listen":
        return await loop.create_unix_server(Accepted, _socket_path(address), backlog=backlog)
    port: Any = address.port
    return await loop.create_server(Accepted, address.host, port, family=_family(address), backlog=backlog)


def _stop(server: asyncio.Server, connections: asyncio.Queue[Waiting]) -> None:
    paths = [sock.getsockname() for sock in server.sockets if sock.family == socket.AF_UNIX]
    server.close()
    if sys.version_info < (3, 13):
        # From then on the server does that. Abstract names are bytes.
        for path in paths:
            if path and isinstance(path, str):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
    while not connections.empty():
        connections.get_nowait().transport.abort()


def _spell(sock: Any) -> str:
    return _spell_place(sock.getsockname())


def _spell_place(place: Any) -> str:
    """The address of a socket, as one of ours is written."""
    if isinstance(place, str | bytes):
        return os.fsdecode(place).replace("\0", "@", 1) if place else "a Unix socket"
    host, port = place[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# -- datagrams ------------------------------------------------------------------------------


async def _open_udp(address: Address, waiting: Waiting, reads: bool, writes: bool) -> End:
    loop = asyncio.get_running_loop()
    stream = DatagramStream(waiting, size=int(address.options.get("size", _DATAGRAM)))
    place: Any = (address.host, address.port)
    await loop.create_datagram_endpoint(lambda: stream, remote_addr=place, family=_family(address))
    waiting.connection_made(stream)
    return End(address, stream, waiting)


async def _receive_first(address: Address, waiting: Waiting, say: _Say) -> End:
    """Wait for a datagram, whose sender is the peer."""
    loop = asyncio.get_running_loop()
    stream = DatagramStream(waiting, size=int(address.options.get("size", _DATAGRAM)))
    family = _family(address)
    place: Any = (address.host or ("::" if family == socket.AF_INET6 else "0.0.0.0"), address.port)
    transport, _ = await loop.create_datagram_endpoint(lambda: stream, local_addr=place, family=family)
    say(f"listening on {_spell(transport.get_extra_info('socket'))}")
    try:
        await stream.met
    except BaseException:
        stream.abort()
        raise
    waiting.connection_made(stream)
    return End(address, stream, waiting)


# -- the program's own, and what it starts --------------------------------------------------


async def _open_stdio(address: Address, waiting: Waiting, reads: bool, writes: bool) -> End:
    is_terminal = reads and os.isatty(0)
    if "raw" in address.options:
        terminal.make_raw()
    transport: Any
    if reads and writes:
        transport, _ = await tulipa.stdio(lambda: waiting)
    else:
        number = 0 if reads else 1
        transport = await _connect_pipe(os.dup(number), waiting, writes=writes)
    return End(address, transport, waiting, reads=reads, writes=writes, is_terminal=is_terminal)


async def _open_exec(address: Address, waiting: Waiting, reads: bool, writes: bool) -> End:
    options: dict[str, Any] = {"cwd": address.options.get("cwd")}
    if "stderr" in address.options:
        options["stderr"] = asyncio.subprocess.STDOUT
    transport, _ = await tulipa.connect_child(lambda: waiting, *address.command, **options)
    return End(address, transport, waiting, child=transport)


async def _open_pty(address: Address, waiting: Waiting, reads: bool, writes: bool) -> End:
    pty = tulipa.open_pty(address.options.get("size") or terminal.size())
    cwd = address.options.get("cwd")
    transport, _ = await tulipa.connect_child(lambda: waiting, *address.command, pty=pty, cwd=cwd)
    if "size" not in address.options:
        terminal.on_resize(pty)
    return End(address, transport, waiting, child=transport)


# -- files and pipes ------------------------------------------------------------------------


async def _open_file(address: Address, waiting: Waiting, reads: bool, writes: bool) -> End:
    options = address.options
    if "create" not in options and not _has_offsets(address.path):
        return await _open_pipe(address, waiting, reads, writes)
    mode = "a" if "append" in options else "x" if "create" in options else "w" if writes else "r"
    stream = FileStream(await tulipa.open_file(address.path, mode), waiting)
    waiting.connection_made(stream)
    return End(address, stream, waiting, reads=reads, writes=writes)


def _has_offsets(path: str) -> bool:
    """Whether it is a regular file or a block device, or will be one."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return True  # Opening it says what is wrong, if anything is.
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode) or stat.S_ISDIR(mode)


async def _open_pipe(address: Address, waiting: Waiting, reads: bool, writes: bool) -> End:
    transport: Any
    if "out" in address.options and reads and writes:
        transport = await _join_pipes(address.path, address.options["out"], waiting)
    else:
        path = address.options.get("out", address.path) if writes else address.path
        number = await _wait_for_pipe(path, writes=writes)
        transport = await _connect_pipe(number, waiting, writes=writes)
    return End(address, transport, waiting, reads=reads, writes=writes)


async def _join_pipes(reading: str, writing: str, waiting: Waiting) -> tulipa.JoinedTransport:
    """Make one transport of two named pipes."""
    reader = await _connect_pipe(await _wait_for_pipe(reading, writes=False), Waiting(), writes=False)
    try:
        number = await _wait_for_pipe(writing, writes=True)
        writer = await _connect_pipe(number, Waiting(reads=False), writes=True)
    except BaseException:
        reader.close()
        raise
    transport = tulipa.join(reader, writer, waiting)
    try:
        while waiting.transport is None:
            await asyncio.sleep(0)  # It is told of its transport in the next turn.
    except BaseException:
        transport.abort()
        raise
    return transport


async def _wait_for_pipe(path: str, *, writes: bool) -> int:
    """Open a pipe, to be written once somebody reads it; its descriptor."""
    flags = os.O_NOCTTY | os.O_NONBLOCK | (os.O_WRONLY if writes else os.O_RDONLY)
    while (number := _open_unless_alone(path, flags)) is None:
        await asyncio.sleep(_LOOK_AGAIN)
    return number


def _open_unless_alone(path: str, flags: int) -> int | None:
    """Open a pipe; None to be written while nobody reads it."""
    try:
        return os.open(path, flags)
    except OSError as exc:
        if exc.errno != errno.ENXIO or not flags & os.O_WRONLY:
            raise
        return None


async def _connect_pipe(number: int, waiting: Waiting, *, writes: bool) -> Any:
    """Make a transport of a descriptor, which it owns."""
    loop = asyncio.get_running_loop()
    file = os.fdopen(number, "wb" if writes else "rb", 0)
    try:
        if writes:
            return (await loop.connect_write_pipe(lambda: waiting, file))[0]
        return (await loop.connect_read_pipe(lambda: waiting, file))[0]
    except BaseException:
        file.close()
        raise


_OPENERS: dict[str, _Opener] = {
    "stdio": _open_stdio,
    "tcp": _open_tcp,
    "unix": _open_unix,
    "udp": _open_udp,
    "file": _open_file,
    "pipe": _open_pipe,
    "exec": _open_exec,
    "pty": _open_pty,
}

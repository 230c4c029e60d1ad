"""The program's standard input, output and error as streams.

Lives here: `stdin`, `stdout`, `stderr` and `stdio`. Not here: the streams themselves (`_input`, `_output`), joining
(`_joining`). Rules:

1. Numbers 0 to 2 stay open, and no flag of theirs changes (P6): `print`, `input` and children go on using them.
2. What `sys.stdin` has read from its descriptor and nobody has taken comes first; what `sys.stdout` has buffered is
   written before.
3. What one input has read too far, the next one of the same descriptor begins with.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import os
import socket
import stat
import sys
from collections.abc import Callable, Generator
from typing import Any, Literal, TypeVar, overload

from ._buffered_text import take_buffered
from ._duplex import LIMIT, connect_duplex
from ._input import Input
from ._joining import JoinedTransport, give
from ._loop import Loop
from ._output import Output
from ._run import current_loop
from ._shutdown import AtShutdown

__all__ = ["stderr", "stdin", "stdio", "stdout"]

_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)

# What was read from a standard descriptor and not used, with the file that it was read from.
_unused: dict[int, tuple[os.stat_result, bytes]] = {}


@overload
def stdin(*, text: Literal[False] = ..., encoding: None = ..., errors: None = ...) -> Input[bytes]: ...
@overload
def stdin(*, text: Literal[True], encoding: str | None = ..., errors: str | None = ...) -> Input[str]: ...
@overload
def stdin(*, text: bool = ..., encoding: str, errors: str | None = ...) -> Input[str]: ...
def stdin(*, text: bool = False, encoding: str | None = None, errors: str | None = None) -> Input[Any]:
    """Open standard input: an `Input` of bytes, or of text if `text`, `encoding` or `errors` is given.

    Without `encoding` and `errors`, text is decoded as `sys.stdin` decodes it. Nothing is read before it is asked for.
    Closing it leaves the descriptor open, so that `input()` and children go on where it has stopped; what it had read
    too far, the next `stdin()` begins with.

    Raises ValueError when the program has no standard input, RuntimeError when another transport of the loop reads it,
    or when there is no loop, LookupError for an unknown encoding.
    """
    file = StandardFile(sys.stdin, 0, "input")
    with file.read_ahead() as read_ahead:
        return Input(
            file,
            **_text_options(sys.stdin, text, encoding, errors),
            read_ahead=read_ahead,
            keep=file.keep,
        )


@overload
def stdout(*, text: Literal[False] = ..., encoding: None = ..., errors: None = ...) -> Output[bytes]: ...
@overload
def stdout(*, text: Literal[True], encoding: str | None = ..., errors: str | None = ...) -> Output[str]: ...
@overload
def stdout(*, text: bool = ..., encoding: str, errors: str | None = ...) -> Output[str]: ...
def stdout(*, text: bool = False, encoding: str | None = None, errors: str | None = None) -> Output[Any]:
    """Open standard output: an `Output` of bytes, or of text if `text`, `encoding` or `errors` is given.

    What `print` has buffered is written first. Closing it leaves the descriptor open and `print` working. Raises as
    `stdin`.
    """
    return _standard_output(sys.stdout, 1, "output", text, encoding, errors)


@overload
def stderr(*, text: Literal[False] = ..., encoding: None = ..., errors: None = ...) -> Output[bytes]: ...
@overload
def stderr(*, text: Literal[True], encoding: str | None = ..., errors: str | None = ...) -> Output[str]: ...
@overload
def stderr(*, text: bool = ..., encoding: str, errors: str | None = ...) -> Output[str]: ...
def stderr(*, text: bool = False, encoding: str | None = None, errors: str | None = None) -> Output[Any]:
    """Open standard error; in all else as `stdout`."""
    return _standard_output(sys.stderr, 2, "error", text, encoding, errors)


def _standard_output(
    stream: Any, number: int, name: str, text: bool, encoding: str | None, errors: str | None
) -> Output[Any]:
    file = StandardFile(stream, number, name)
    stream.flush()
    return Output(file, **_text_options(stream, text, encoding, errors))


def _text_options(stream: Any, text: bool, encoding: str | None, errors: str | None) -> dict[str, Any]:
    """The encoding and errors that are asked for, or else those of the stream; neither for bytes."""
    if not (text or encoding or errors):
        return {}
    if encoding is None:
        encoding = getattr(stream, "encoding", None) or sys.getdefaultencoding()
        errors = errors or getattr(stream, "errors", None)
    return {"encoding": encoding, "errors": errors}


@overload
async def stdio(*, limit: int = ...) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]: ...
@overload
async def stdio(protocol_factory: Callable[[], _ProtocolT]) -> tuple[asyncio.Transport, _ProtocolT]: ...
async def stdio(protocol_factory: Callable[[], Any] | None = None, *, limit: int = LIMIT) -> tuple[Any, Any]:
    """Open standard input and output as one.

    Returns a stream reader and a stream writer; with `protocol_factory`, a transport and a protocol. The transport is
    bidirectional, and `writer.transport` is one, too. `write_eof` tells whoever reads standard output that nothing more
    comes, and `print` raises OSError from then on. Closing leaves both descriptors open. `limit` is that of
    `asyncio.StreamReader`. Raises as `stdin`.
    """
    loop = current_loop()
    reading = StandardFile(sys.stdin, 0, "input")
    writing = StandardFile(sys.stdout, 1, "output")
    sys.stdout.flush()
    with reading.read_ahead() as read_ahead:
        kind = functools.partial(_StandardTransport, read_ahead=read_ahead)
        stream = asyncio.StreamReader(limit, loop)
        factory = protocol_factory or functools.partial(asyncio.StreamReaderProtocol, stream, loop=loop)
        if _is_one_socket(reading, writing):
            transport, protocol = await _connect_socket(loop, factory, reading, read_ahead)
        else:
            transport, protocol = await connect_duplex(loop, factory, reading, writing, kind)
        transport._at_shutdown = AtShutdown(loop, functools.partial(_write_rest, transport))
    if protocol_factory is not None:
        return transport, protocol
    return stream, asyncio.StreamWriter(transport, protocol, stream, loop)


async def _write_rest(transport: Any) -> None:
    """Wait until everything is written, then close: a program that just ends has said what it wanted to say."""
    if transport.get_write_buffer_size():
        await transport._make_empty_waiter()
    transport.close()


def _is_one_socket(reading: StandardFile, writing: StandardFile) -> bool:
    status = os.fstat(reading.fileno())
    return stat.S_ISSOCK(status.st_mode) and os.path.samestat(status, os.fstat(writing.fileno()))


async def _connect_socket(loop: Loop, factory: Callable[[], Any], file: StandardFile, read_ahead: bytes) -> Any:
    """Make a transport of a socket that is both, as a program has it that a super-server starts."""
    number = os.dup(file.fileno())
    # With a time limit, the socket would be made non-blocking, which everybody would see who shares it.
    limit = socket.getdefaulttimeout()
    socket.setdefaulttimeout(None)
    try:
        sock = socket.socket(fileno=number)
    finally:
        socket.setdefaulttimeout(limit)
    made: asyncio.Future[None] = loop.create_future()
    try:
        protocol = factory()
        transport = loop._make_socket_transport(sock, protocol, made)
    except BaseException:
        sock.close()
        raise
    try:
        transport.pause_reading()
        await made
        if read_ahead:
            give(protocol, read_ahead)
        transport.resume_reading()
    except BaseException:
        transport.abort()
        raise
    return transport, protocol


class _StandardTransport(JoinedTransport):
    """Standard input and output as one transport."""

    def _make_empty_waiter(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = self._writer._make_empty_waiter()
        return waiter

    def _write_end(self) -> None:
        self._writer.get_extra_info("pipe").end()
        super()._write_end()


class StandardFile:
    """One of the three, for a transport that closes what it owns: here nothing is closed."""

    def __init__(self, stream: Any, number: int, name: str) -> None:
        if stream is None:
            raise ValueError(f"the program was started without standard {name}: descriptor {number} was closed")
        try:
            self._number: int = stream.fileno()
        except (io.UnsupportedOperation, AttributeError):
            raise ValueError(
                f"standard {name} was replaced by {stream!r}, which has no descriptor; "
                f"give the descriptor itself to loop.connect_read_pipe() or loop.connect_write_pipe()"
            ) from None
        self._stream = stream
        self.name = f"<standard {name}>"
        self._ends = False

    def __repr__(self) -> str:
        return self.name

    def fileno(self) -> int:
        """Return the number."""
        return self._number

    def end(self) -> None:
        """Have whoever reads this output see its end when the transport closes it."""
        self._ends = True

    def close(self) -> None:
        """Leave the descriptor as it is; or, if the output is to end, leave one in its place that takes no data."""
        if not self._ends:
            return
        self._ends = False
        if stat.S_ISSOCK(os.fstat(self._number).st_mode):
            with socket.socket(fileno=os.dup(self._number)) as sock:
                sock.shutdown(socket.SHUT_WR)
        # Not closed: the number would go to the next thing that is opened.
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, self._number)
        os.close(nothing)

    @contextlib.contextmanager
    def read_ahead(self) -> Generator[bytes, None, None]:
        """Give what was read from the descriptor already and not used. It is kept if whoever takes it fails."""
        data = self._take_read_ahead()
        try:
            yield data
        except BaseException:
            self.keep(data)
            raise

    def _take_read_ahead(self) -> bytes:
        unused = b""
        if (kept := _unused.pop(self._number, None)) is not None:
            file, data = kept
            if os.path.samestat(file, os.fstat(self._number)):
                unused = data
        return take_buffered(self._stream) + unused

    def keep(self, data: bytes) -> None:
        """Keep what was read too far, for the next who reads."""
        if data:
            _unused[self._number] = (os.fstat(self._number), data)

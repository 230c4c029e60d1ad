"""An input to read by chunks, by lines or in numbers of bytes; as bytes or as text.

Lives here: `Input`. Not here: which file it reads (`_standard`), and the transport below it (`_transports`). Rules:

1. Nothing is read before it is asked for, and little beyond: the transport is paused while enough is there.
2. What has arrived is never lost by a wait that is cancelled, nor by an error that comes after it.
3. Only while somebody waits for it is the input something that the loop has left to do.
"""

from __future__ import annotations

import asyncio
import codecs
import io
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, AnyStr, Generic, Self, cast

from ._descriptors import position_of, size_of
from ._run import current_loop
from ._shutdown import AtShutdown
from ._transports import ReadPipeTransport

__all__ = ["Input"]

# Above this much that nobody has taken, no more is read.
_ENOUGH = 64 * 1024


class Input(Generic[AnyStr]):
    """A file that is read without blocking: pipe, terminal, socket, device, or whatever else the loop can read.

    `file` is an open file, or anything with `fileno()` and `close()`; the input owns it and closes it. With `text`,
    `encoding` or `errors` it gives text, with every kind of line end as a line feed; without them bytes, as they are.

    It is iterated by lines, with `async for`; `chunks()` gives what arrives as it arrives. It is an asynchronous
    context manager that closes itself.

    Raises what `loop.connect_read_pipe` raises, LookupError for an unknown encoding, RuntimeError when there is no
    loop.
    """

    def __init__(
        self,
        file: Any,
        *,
        text: bool = False,
        encoding: str | None = None,
        errors: str | None = None,
        read_ahead: bytes = b"",
        keep: Callable[[bytes], None] | None = None,
    ) -> None:
        self._loop = current_loop()
        self._name = repr(getattr(file, "name", file))
        is_text = bool(text or encoding or errors)
        self._encoding, self._errors = encoding or "utf-8", errors or "strict"
        self._decoder = _decoder(self._encoding, self._errors) if is_text else None
        self._newline: Any = "\n" if is_text else b"\n"
        self._empty: Any = "" if is_text else b""
        # Pieces that have arrived, and where the first one that is left begins.
        self._pieces: deque[Any] = deque()
        self._start = 0
        self._held = 0
        self._waiter: asyncio.Future[None] | None = None
        self._at_end = False
        self._error: BaseException | None = None
        self._closed = False
        self._keep = keep
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._file = file
        self._begin = (position_of(file.fileno()) or 0) - len(read_ahead)
        self._size = size_of(file.fileno())
        self._arrived = 0
        self._reading = False
        self.transport: ReadPipeTransport = self._loop._make_read_pipe_transport(file, _Receiver(self))
        self.transport.pause_reading()
        self._loop._background += 1
        self._at_shutdown = AtShutdown(self._loop, self.aclose)
        if read_ahead:
            self._arrive(read_ahead)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "at its end" if self._at_end else "open"
        return f"<{self.__class__.__name__} {self._name} {state}>"

    # -- what a program wants to know -------------------------------------------------

    @property
    def position(self) -> int:
        """How many bytes have been read: from the beginning of a file that has one, or else since this was opened."""
        return self._begin + self._arrived

    @property
    def size(self) -> int | None:
        """How many bytes the file has, or None for what has no size, such as a pipe."""
        if not self._lost.done():
            self._size = size_of(self._file.fileno())
        return self._size

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def at_end(self) -> bool:
        """Whether the end was reached and all was taken."""
        return self._at_end and not self._held

    # -- reading ----------------------------------------------------------------------

    async def read(self, count: int = -1) -> AnyStr:
        """Return what is there, up to `count` bytes or characters, at least one; empty at the end.

        A negative `count` means everything until the end. Raises OSError when reading fails, after what came before;
        UnicodeDecodeError for text that cannot be decoded; ValueError on a closed input; RuntimeError while another
        task waits for it.
        """
        if count == 0:
            return cast(AnyStr, self._empty)
        if count < 0:
            await self._until(lambda: False)
            return self._take(self._held)
        await self._until(lambda: self._held > 0)
        there = len(self._pieces[0]) - self._start if self._pieces else 0
        return self._take(min(count, there))

    async def readexactly(self, count: int) -> AnyStr:
        """Return `count` bytes or characters.

        Raises EOFError, with nothing taken, if the input ends before; else as `read`.
        """
        await self._until(lambda: self._held >= count)
        if self._held < count:
            raise EOFError(f"{self._name} ended after {self._held} of {count} expected")
        return self._take(count)

    async def readline(self) -> AnyStr:
        """Return a line with its line end, which the last one may lack; empty at the end. Raises as `read`.

        A line is as long as it is: one without end takes memory without end, as with other files.
        """
        searched = 0  # pieces without a line end
        length = 0

        def has_line() -> bool:
            nonlocal searched, length
            while searched < len(self._pieces):
                piece = self._pieces[searched]
                start = 0 if searched else self._start
                found = piece.find(self._newline, start)
                if found >= 0:
                    length += found + 1 - start
                    return True
                length += len(piece) - start
                searched += 1
            return False

        await self._until(has_line)
        return self._take(length)

    async def lines(self) -> AsyncIterator[AnyStr]:
        """Iterate over the lines, each with its line end."""
        while line := await self.readline():
            yield line

    async def chunks(self, count: int = _ENOUGH) -> AsyncIterator[AnyStr]:
        """Iterate over what arrives when it arrives, in chunks of up to `count` bytes or characters."""
        while chunk := await self.read(count):
            yield chunk

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyStr:
        if not (line := await self.readline()):
            raise StopAsyncIteration
        return line

    async def _until(self, enough: Callable[[], bool]) -> None:
        """Wait until `enough`, or the end. Raises the error that ended the input once nothing is left before it."""
        if self._closed:
            raise ValueError(f"{self._name} is closed")
        if self._waiter is not None:
            raise RuntimeError(f"{self!r} is already waited for by another task")
        try:
            while not enough() and not self._at_end:
                self._waiter = self._loop.create_future()
                self._set_reading(True)
                await self._waiter
                if self._closed:
                    raise ValueError(f"{self._name} was closed")
        finally:
            self._waiter = None
            self._set_reading(False)
        if self._error is not None and not self._held:
            raise self._error

    def _take(self, count: int) -> AnyStr:
        """Take so much off the beginning, which is there."""
        self._held -= count
        taken: list[Any] = []
        while count:
            piece, start = self._pieces[0], self._start
            end = start + count
            if end < len(piece):
                taken.append(piece[start:end])
                self._start = end
                break
            taken.append(piece[start:] if start else piece)
            count -= len(piece) - start
            self._pieces.popleft()
            self._start = 0
        return cast(AnyStr, taken[0] if len(taken) == 1 else self._empty.join(taken))

    # -- ending -----------------------------------------------------------------------

    async def aclose(self) -> None:
        """Stop reading and close the file; a task that waits for input gets ValueError. Closing twice is allowed."""
        if not self._closed:
            self._closed = True
            self._at_shutdown.call_off()
            self._set_reading(False)
            if self._keep is not None and (rest := self._rest()):
                self._keep(rest)
            self._pieces.clear()
            self._held = 0
            self.transport.close()
            self._wake()
        await asyncio.shield(self._lost)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _rest(self) -> bytes:
        """What has arrived and nobody has taken, as bytes."""
        rest = self._empty.join(
            [piece[self._start :] if not place else piece for place, piece in enumerate(self._pieces)]
        )
        if self._decoder is None:
            return bytes(rest)
        return str(rest).encode(self._encoding, self._errors) + self._decoder.getstate()[0]

    # -- what the transport tells -----------------------------------------------------

    def _set_reading(self, wanted: bool) -> None:
        if wanted == self._reading or self._lost.done():
            return
        self._reading = wanted
        if wanted:
            self._loop._background -= 1
            self.transport.resume_reading()
        else:
            self._loop._background += 1
            if not self._closed:
                self.transport.pause_reading()

    def _arrive(self, data: bytes) -> None:
        self._arrived += len(data)
        self._add(data, False)

    def _add(self, data: bytes, final: bool) -> None:
        piece: Any = data
        if self._decoder is not None:
            try:
                piece = self._decoder.decode(data, final)
            except UnicodeDecodeError as exc:
                # What could be decoded comes first.
                good = exc.start - (len(exc.object) - len(data))
                piece = self._decoder.decode(data[: max(good, 0)])
                self._at_end, self._error = True, exc
                self.transport.abort()
        if piece:
            self._pieces.append(piece)
            self._held += len(piece)
        self._wake()

    def _end(self, exc: BaseException | None) -> None:
        if self._at_end:
            return
        self._at_end, self._error = True, exc
        if exc is None and self._decoder is not None:
            self._add(b"", True)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _lose(self, exc: BaseException | None) -> None:
        self._end(exc)
        if not self._reading:
            self._loop._background -= 1
        self._reading = False
        self._lost.set_result(None)


class _Receiver(asyncio.Protocol):
    """What the transport has for a protocol."""

    def __init__(self, owner: Input[Any]) -> None:
        self._owner = owner

    def data_received(self, data: bytes) -> None:
        self._owner._arrive(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner._lose(exc)


def _decoder(encoding: str, errors: str) -> io.IncrementalNewlineDecoder:
    return io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(errors), translate=True, errors=errors)

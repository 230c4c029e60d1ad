"""An output to write to without waiting, as bytes or as text.

Lives here: `Output`. Not here: which file it writes to (`_standard`), and the transport below it (`_transports`).

1. What was written arrives, or an error tells that it has not: `drain`, `flush` and `aclose` raise it, and so does the
   next write (R8).
2. A loop that is wound down as `asyncio.run` does it writes what is left before it is closed.
3. Only while something waits to be written is the output something that the loop has left to do.
"""

from __future__ import annotations

import asyncio
import codecs
import errno
from collections.abc import AsyncGenerator, Iterable
from types import TracebackType
from typing import Any, AnyStr, Generic, Self

from ._descriptors import position_of, size_of
from ._run import current_loop
from ._transports import WritePipeTransport

__all__ = ["Output"]


class Output(Generic[AnyStr]):
    """A file that is written to without blocking: pipe, terminal, socket, device, or whatever else the loop can write.

    `file` is an open file, or anything with `fileno()` and `close()`; the output owns it and closes it. With `text`,
    `encoding` or `errors` it takes text, without them bytes.

    It is an asynchronous context manager that writes what is left and closes itself.

    Raises what `loop.connect_write_pipe` raises, LookupError for an unknown encoding, RuntimeError when there is no
    loop.
    """

    def __init__(
        self, file: Any, *, text: bool = False, encoding: str | None = None, errors: str | None = None
    ) -> None:
        self._loop = current_loop()
        self._name = repr(getattr(file, "name", file))
        self._encoder: codecs.IncrementalEncoder | None = None
        if text or encoding or errors:
            self._encoder = codecs.getincrementalencoder(encoding or "utf-8")(errors or "strict")
        self._error: BaseException | None = None
        self._closed = False
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._file = file
        self._position = position_of(file.fileno()) or 0
        self._size = size_of(file.fileno())
        self._drained: asyncio.Event = asyncio.Event()
        self._drained.set()
        self._emptied: asyncio.Future[None] | None = None
        self.transport: WritePipeTransport = self._loop._make_write_pipe_transport(file, _Reporter(self))
        self._loop._background += 1
        self._last_rites = self._flush_at_shutdown()
        self._loop.call_soon(self._expect_shutdown)

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self._name} {'closed' if self._closed else 'open'}>"

    # -- what a program wants to know -------------------------------------------------

    @property
    def position(self) -> int:
        """How many bytes have been written, without those that wait.

        Counted from the beginning of a file that has one, or else from the opening.
        """
        return self._position - (0 if self._lost.done() else self.transport.get_write_buffer_size())

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

    # -- writing ----------------------------------------------------------------------

    def write(self, data: AnyStr) -> None:
        """Write without waiting; what the file does not take now is kept. Await `drain` between large writes.

        Raises ValueError on a closed output, TypeError for text where bytes are taken and the other way round,
        UnicodeEncodeError, and the error that has ended the output.
        """
        self._check_open()
        if self._encoder is None:
            piece: Any = data
        elif isinstance(data, str):
            piece = self._encoder.encode(data)
        else:
            raise TypeError(f"{self._name} takes str, not {type(data).__name__}")
        self.transport.write(piece)
        self._position += memoryview(piece).nbytes
        self._note_pending()

    def writelines(self, list_of_data: Iterable[AnyStr]) -> None:
        """Write several pieces; nothing is added between them. Raises as `write`."""
        for data in list_of_data:
            self.write(data)

    async def drain(self) -> None:
        """Wait until the buffer is small enough for more. Raises the error that has ended the output."""
        await self._drained.wait()
        self._check_error()

    async def flush(self) -> None:
        """Wait until the file has taken everything. Raises the error that has ended the output."""
        while self._emptied is not None:
            await asyncio.shield(self._emptied)
        self._check_error()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"{self._name} is closed")
        self._check_error()

    def _check_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _note_pending(self) -> None:
        """See to it that the loop does not end before what was written is gone."""
        if self._emptied is None and not self._lost.done():
            self._emptied = self._loop.create_future()
            self._loop._hold()
            # Most is written at the end of this turn, and then need not be waited for.
            self._loop.call_soon(self._look_whether_empty)

    def _look_whether_empty(self) -> None:
        if self._emptied is None or self._emptied.done():
            return
        if not self.transport.get_write_buffer_size():
            self._note_empty()
        else:
            waiter: asyncio.Future[None] = self.transport._make_empty_waiter()
            waiter.add_done_callback(self._on_empty)

    def _on_empty(self, waiter: asyncio.Future[None]) -> None:
        self.transport._reset_empty_waiter()
        if not waiter.cancelled() and waiter.exception() is None:
            self._look_whether_empty()

    def _note_empty(self) -> None:
        emptied, self._emptied = self._emptied, None
        if emptied is not None:
            self._loop._release()
            emptied.set_result(None)

    # -- ending -----------------------------------------------------------------------

    async def aclose(self) -> None:
        """Write what is left and close the file. Closing twice is allowed.

        Raises the error that has ended the output, once. When cancelled, what is left is dropped.
        """
        if self._closed:
            await asyncio.shield(self._lost)
            return
        self._closed = True
        try:
            self.transport.close()
            await asyncio.shield(self._lost)
        except asyncio.CancelledError:
            self.transport.abort()
            raise
        finally:
            await self._last_rites.aclose()
        self._check_error()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.aclose()
        except BaseException as error:
            if error is not exc:
                raise

    # An asynchronous generator is what every runner ends before it closes the loop (`shutdown_asyncgens`).

    async def _flush_at_shutdown(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if not self._closed:
                self._closed = True
                self.transport.close()
                await self._lost
                self._check_error()

    def _expect_shutdown(self) -> None:
        if not self._closed:
            try:
                self._last_rites.asend(None).send(None)
            except StopIteration:
                pass

    # -- what the transport tells -----------------------------------------------------

    def _lose(self, exc: BaseException | None) -> None:
        if exc is None and not self._closed:
            exc = BrokenPipeError(errno.EPIPE, f"nobody reads {self._name} any more")
        self._error = exc
        self._loop._background -= 1
        self._lost.set_result(None)
        self._drained.set()
        self._note_empty()


class _Reporter(asyncio.BaseProtocol):
    """What the transport has for a protocol."""

    def __init__(self, owner: Output[Any]) -> None:
        self._owner = owner

    def pause_writing(self) -> None:
        self._owner._drained.clear()

    def resume_writing(self) -> None:
        self._owner._drained.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner._lose(exc)

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
from collections.abc import Iterable
from types import TracebackType
from typing import Any, AnyStr, Generic, Self

from ._descriptors import position_of, size_of
from ._run import current_loop
from ._shutdown import AtShutdown
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
        self._flushed: asyncio.Future[None] | None = None
        self.transport: WritePipeTransport = self._loop._make_write_pipe_transport(file, _Reporter(self))
        self._loop._idle_checks.add(self._is_idle)
        self._at_shutdown = AtShutdown(self._loop, self.aclose)

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
        while not self._is_idle() and not self._lost.done():
            if self._flushed is None:
                self._flushed = self._loop.create_future()
                # The next that is told is that nothing is left.
                self.transport.set_write_buffer_limits(high=0)
            await asyncio.shield(self._flushed)
        self._check_error()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"{self._name} is closed")
        self._check_error()

    def _check_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _is_idle(self) -> bool:
        return not self.transport.get_write_buffer_size()

    # -- ending -----------------------------------------------------------------------

    async def aclose(self) -> None:
        """Write what is left and close the file. Closing twice is allowed.

        Raises the error that has ended the output, once. When cancelled, what is left is dropped.
        """
        if self._closed:
            await asyncio.shield(self._lost)
            return
        self._closed = True
        self._at_shutdown.call_off()
        self.transport.close()
        try:
            await asyncio.shield(self._lost)
        except asyncio.CancelledError:
            self.transport.abort()
            raise
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

    # -- what the transport tells -----------------------------------------------------

    def _pause(self) -> None:
        self._drained.clear()

    def _resume(self) -> None:
        self._drained.set()
        if self._flushed is not None:
            self._note_flushed()
            self.transport.set_write_buffer_limits()

    def _note_flushed(self) -> None:
        flushed, self._flushed = self._flushed, None
        if flushed is not None and not flushed.done():
            flushed.set_result(None)

    def _lose(self, exc: BaseException | None) -> None:
        if exc is None and not self._closed:
            exc = BrokenPipeError(errno.EPIPE, f"nobody reads {self._name} any more")
        self._error = exc
        self._loop._idle_checks.discard(self._is_idle)
        self._lost.set_result(None)
        self._drained.set()
        self._note_flushed()


class _Reporter(asyncio.BaseProtocol):
    """What the transport has for a protocol."""

    def __init__(self, owner: Output[Any]) -> None:
        self._owner = owner

    def pause_writing(self) -> None:
        self._owner._pause()

    def resume_writing(self) -> None:
        self._owner._resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner._lose(exc)

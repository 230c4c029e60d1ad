"""Files, as streams and at an offset, which never make the loop wait.

Lives here: what is once per file, and in which order the calls on one file are made. Not here: the calls
and the threads on which they wait for the disk (native).

1. Calls on one file take effect in the order in which they were made. Reads at an offset run side by
   side; whatever changes the file or its position runs alone.
2. A call that was cancelled before it began has no effect. One that has begun goes on to its end in its
   thread, with memory of its own, and the calls after it wait for that: a cancelled write may so have
   taken effect, a cancelled read never moves the position (R5).
3. The descriptor is closed once every call is done, also those that were cancelled (R4).
4. The position is the file object's own. The one that the descriptor may share with other processes is
   neither used nor moved.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from . import _native
from ._run import current_loop

if TYPE_CHECKING:
    from ._loop import Loop

    _Readable = bytes | bytearray | memoryview[Any]

__all__ = ["File", "open_file"]

_T = TypeVar("_T")
# Makes the native call, which is to call back when it is done.
_Begin = Callable[[Callable[[], object]], _native.FileCall]
# Moves the position after a call: what came out, and whether somebody still waits for it.
_Move = Callable[[Any, bool], None]

# How much is read at a time where the caller does not say, in bytes: large enough that the way to the
# thread and back costs little beside the copying.
CHUNK: Final = 256 * 1024
_NUMBER_MAX = 2**63 - 1
_FLAGS = {"r": 0, "w": os.O_CREAT | os.O_TRUNC, "x": os.O_CREAT | os.O_EXCL, "a": os.O_CREAT | os.O_APPEND}


def open_file(
    file: str | bytes | os.PathLike[str] | os.PathLike[bytes] | int,
    mode: str = "r",
    *,
    permissions: int = 0o666,
    closefd: bool = True,
) -> _Opening:
    """Open a file for `await`: `async with tulipa.open_file(path) as file`, or `file = await ...`.

    `file` is a path, or the number of an open descriptor, which the file then owns unless `closefd` is
    false. `mode` is one of `r`, `w`, `x` and `a` as for the built-in `open`, with `+` for both
    directions; data are always bytes, and a `b` changes nothing. `permissions` are those of a file that
    is made, before the umask.

    Raises at once TypeError and ValueError for wrong arguments, and RuntimeError when no tulipa loop
    runs. When it is awaited, OSError with errno and path: `ESPIPE` for what has no offsets (a pipe, a
    socket, a terminal), which `loop.connect_read_pipe` and `connect_write_pipe` serve.
    """
    loop = current_loop()
    path = file if isinstance(file, int) else os.fspath(file)
    if not closefd and not isinstance(path, int):
        raise ValueError("closefd=False is for descriptors: a file that was opened by its path is closed, too")
    return _Opening(loop, path, _Mode(mode), permissions, closefd)


class _Mode:
    """What a mode allows."""

    def __init__(self, text: str) -> None:
        letters = text.replace("b", "", 1)
        kind, both = letters[:1], letters[1:]
        if kind not in _FLAGS or both not in ("", "+"):
            raise ValueError(f"invalid mode: {text!r}; it is one of r, w, x and a, with + for both directions")
        self.text = text
        self.readable = kind == "r" or both == "+"
        self.writable = kind != "r" or both == "+"
        self.appends = kind == "a"
        access = os.O_RDWR if both else os.O_RDONLY if self.readable else os.O_WRONLY
        self.flags = _FLAGS[kind] | access


class _Call(asyncio.Future[_T]):
    """A call on a file, from when it is made; cancelling it keeps rule 2."""

    def __init__(self, line: _Line, begin: _Begin, alone: bool, move: _Move | None) -> None:
        super().__init__(loop=line.loop)
        self.begin = begin
        self.alone = alone
        self.move = move
        self.native: _native.FileCall | None = None
        self._line = line

    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled:
            self._line.drop(self)
        return cancelled


class _Line:
    """The calls on one file: those that wait for their turn, and how many are under way (rule 1)."""

    def __init__(self, loop: Loop, name: str | bytes | int) -> None:
        self.loop = loop
        self.name = name
        # How many calls that are not done will move the position.
        self.moving = 0
        self._waiting: deque[_Call[Any]] = deque()
        self._running = 0
        self._alone = False

    def join(self, begin: _Begin, *, alone: bool, move: _Move | None = None) -> _Call[Any]:
        """Make a call as soon as it is its turn."""
        call: _Call[Any] = _Call(self, begin, alone, move)
        self.moving += move is not None
        self._waiting.append(call)
        self._admit()
        return call

    def drop(self, call: _Call[Any]) -> None:
        """Take back a call that was cancelled, if it has not begun."""
        if call.native is None:
            if call in self._waiting:
                self._waiting.remove(call)
                self.moving -= call.move is not None
                self._admit()
        elif call.native.withdraw(self.loop):
            self._leave(call)

    def _admit(self) -> None:
        waiting = self._waiting
        while waiting and not self._alone and not (waiting[0].alone and self._running):
            call = waiting.popleft()
            try:
                call.native = call.begin(lambda call=call: self._land(call))  # type: ignore[misc]
            except BaseException as exc:
                self.moving -= call.move is not None
                call.set_exception(exc)
                continue
            self.loop._hold()
            self._running += 1
            self._alone = call.alone

    def _leave(self, call: _Call[Any]) -> None:
        self.loop._release()
        self.moving -= call.move is not None
        self._running -= 1
        self._alone = False
        self._admit()

    def _land(self, call: _Call[Any]) -> None:
        assert call.native is not None
        wanted = not call.done()
        try:
            result = call.native.result()
        except OSError as exc:
            if wanted:
                call.set_exception(OSError(exc.errno, exc.strerror, self.name))
        except MemoryError as exc:
            if wanted:
                call.set_exception(exc)
        else:
            if call.move is not None:
                call.move(result, wanted)
            if wanted:
                call.set_result(result)
        self._leave(call)


class File:
    """An open file; see `open_file`, which makes it.

    Each method that concerns the storage returns a future at once: the call is in line from then on,
    whether it is awaited or not.
    """

    def __init__(self, line: _Line, native: _native.FileCore, mode: _Mode, closefd: bool) -> None:
        self._line = line
        self._native = native
        self._mode = mode
        self._closefd = closefd
        self._position = 0
        self._closed: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"fd={self._native.fileno()}"
        return f"<tulipa.File {self._line.name!r} mode={self._mode.text!r} {state}>"

    def __del__(self) -> None:
        if self._closed is None and self._closefd:
            warnings.warn(f"unclosed file {self!r}", ResourceWarning, stacklevel=2, source=self)

    # -- what it is -------------------------------------------------------------------

    @property
    def name(self) -> str | bytes | int:
        """The path or number that the file was opened by."""
        return self._line.name

    @property
    def mode(self) -> str:
        """The mode as it was given."""
        return self._mode.text

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed is not None

    def fileno(self) -> int:
        """Return the number of the descriptor. Raises ValueError when the file was closed."""
        self._check()
        return self._native.fileno()

    def readable(self) -> bool:
        """Say whether the mode allows reading."""
        return self._mode.readable

    def writable(self) -> bool:
        """Say whether the mode allows writing."""
        return self._mode.writable

    # -- at an offset -----------------------------------------------------------------

    def read_at(self, offset: int, size: int) -> asyncio.Future[bytes]:
        """Read `size` bytes from `offset` on; fewer only at the end of the file.

        Raises ValueError for negative numbers or a closed file, `io.UnsupportedOperation` for a file
        that is not readable; the future, OSError.
        """
        self._check(reading=True)
        _check_number("offset", offset)
        _check_number("size", size)
        native, loop = self._native, self._line.loop
        return self._line.join(lambda landed: native.read(loop, offset, size, landed), alone=False)

    def write_at(self, offset: int, data: _Readable) -> asyncio.Future[int]:
        """Write all of `data` from `offset` on; the result is their size in bytes.

        What of `data` can change is copied at once. Raises as `read_at`, and `io.UnsupportedOperation`
        for a file that was opened to append, which the system would do wherever `offset` is. After an
        OSError part of the data may have been written.
        """
        self._check(writing=True)
        _check_number("offset", offset)
        if self._mode.appends:
            raise io.UnsupportedOperation("a file opened to append has no other place to write; use write()")
        return self._write(lambda: offset, data, None)

    def sync(self, *, metadata: bool = False) -> asyncio.Future[None]:
        """Wait until everything that was written before is on the storage.

        With `metadata`, also what is not needed to read it again, such as times.
        Follows fdatasync(2) and fsync(2).
        """
        self._check()
        native, loop = self._native, self._line.loop
        return self._line.join(lambda landed: native.sync(loop, metadata, landed), alone=True)

    def truncate(self, size: int) -> asyncio.Future[None]:
        """Cut the file off at `size` bytes, or make it longer by zeroes. The position stays."""
        self._check(writing=True)
        _check_number("size", size)
        native, loop = self._native, self._line.loop
        return self._line.join(lambda landed: native.truncate(loop, size, landed), alone=True)

    def size(self) -> asyncio.Future[int]:
        """Ask for the size in bytes; 0 for devices."""
        self._check()
        native, loop = self._native, self._line.loop
        return self._line.join(lambda landed: native.size(loop, landed), alone=False)

    # -- as a stream ------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Where the next `read` or `write` begins, in bytes from the start of the file.

        Setting it raises ValueError for a negative number, and RuntimeError while one of those two is
        under way. A file opened to append is written at its end, which moves nothing here.
        """
        return self._position

    @position.setter
    def position(self, offset: int) -> None:
        _check_number("offset", offset)
        if self._line.moving:
            raise RuntimeError("a read() or write() is under way, which will move the position; await it first")
        self._position = offset

    def read(self, size: int = -1) -> asyncio.Future[bytes]:
        """Read up to `size` bytes, or all that is left, and move the position behind them.

        Fewer than `size` only at the end, where the result is empty. Raises as `read_at`.
        """
        self._check(reading=True)
        native, loop = self._native, self._line.loop
        if size > _NUMBER_MAX:
            raise OverflowError(f"size is {size}, more than any file has")
        wanted = None if size < 0 else size

        def move(data: bytes, is_wanted: bool) -> None:
            if is_wanted:
                self._position += len(data)

        return self._line.join(lambda landed: native.read(loop, self._position, wanted, landed), alone=True, move=move)

    def write(self, data: _Readable) -> asyncio.Future[int]:
        """Write all of `data` at the position, or at the end of a file opened to append.

        The position moves behind the data, also if the call is cancelled once it has begun.
        Raises as `write_at`.
        """
        self._check(writing=True)

        def move(count: int, _is_wanted: bool) -> None:
            if not self._mode.appends:
                self._position += count

        return self._write(lambda: self._position, data, move)

    async def chunks(self, size: int = CHUNK) -> AsyncIterator[bytes]:
        """Read on from the position, in pieces of `size` bytes, the last of which may be shorter."""
        if size <= 0:
            raise ValueError(f"a chunk has at least one byte, not {size}")
        while chunk := await self.read(size):
            yield chunk

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()

    # -- its end ----------------------------------------------------------------------

    def close(self) -> asyncio.Future[None]:
        """Close the file after all calls made before; the future is done when that is.

        Whether it is awaited or cancelled changes nothing about that. Closing twice is allowed, and
        both wait. The future raises OSError if the system reports one; only `sync` says what has
        reached the storage.
        """
        if self._closed is None:
            native, loop = self._native, self._line.loop
            self._closed = self._line.join(lambda landed: native.close(loop, landed), alone=True)
        return asyncio.shield(self._closed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # -- inside -----------------------------------------------------------------------

    def _write(self, offset: Callable[[], int], data: _Readable, move: _Move | None) -> asyncio.Future[int]:
        native, loop = self._native, self._line.loop
        kept = data if type(data) is bytes else bytes(memoryview(data))
        return self._line.join(lambda landed: native.write(loop, offset(), kept, landed), alone=True, move=move)

    def _check(self, *, reading: bool = False, writing: bool = False) -> None:
        if self._closed is not None:
            raise ValueError(f"I/O operation on closed file {self._line.name!r}")
        if reading and not self._mode.readable:
            raise io.UnsupportedOperation(f"not readable: {self._line.name!r} was opened with mode {self._mode.text!r}")
        if writing and not self._mode.writable:
            raise io.UnsupportedOperation(f"not writable: {self._line.name!r} was opened with mode {self._mode.text!r}")


class _Opening:
    """A file to be opened: by `await`, or by `async with`, which closes it."""

    def __init__(self, loop: Loop, path: str | bytes | int, mode: _Mode, permissions: int, closefd: bool) -> None:
        self._loop = loop
        self._path = path
        self._mode = mode
        self._permissions = permissions
        self._closefd = closefd
        self._file: File | None = None

    async def _open(self) -> File:
        loop, path, mode = self._loop, self._path, self._mode
        line = _Line(loop, path)
        native: _native.FileCore
        if isinstance(path, int):
            try:
                native = _native.FileCore.adopt(path, self._closefd)
            except OSError as exc:
                raise OSError(exc.errno, exc.strerror, path) from None
        else:
            sys.audit("open", path, mode.text, mode.flags)
            encoded, flags, permissions = os.fsencode(path), mode.flags, self._permissions
            native = await line.join(
                lambda landed: _native.open_file(loop, encoded, flags, permissions, landed), alone=True
            )
        return File(line, native, mode, self._closefd)

    def __await__(self) -> Generator[Any, None, File]:
        return self._open().__await__()

    async def __aenter__(self) -> File:
        self._file = await self._open()
        return self._file

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            await self._file.close()


def _check_number(what: str, number: int) -> None:
    if number < 0:
        raise ValueError(f"{what} is {number}; it counts bytes and cannot be negative")
    if number > _NUMBER_MAX:
        raise OverflowError(f"{what} is {number}, more than any file has")

"""Stream readers whose usual case is native.

Lives here: the subclass of `asyncio.StreamReader` that a reader becomes once a transport of tulipa's has fed it, and
what tells whether a class is as asyncio made it. The native half is `crates/tulipa-py/src/reader/`, which says what the
usual case is. Rule: what is not usual is asyncio's own method, called on the same attributes; and a read is a coroutine
of Python's own, with all that a program sees of it, and whatever happens when it is cancelled or forgotten.
"""

from __future__ import annotations

from asyncio import streams
from asyncio.streams import StreamReader, StreamReaderProtocol
from collections.abc import Callable
from typing import Any, TypeVar

from ._compat import STREAMS_ARE_KNOWN
from ._native import read_exactly, read_some, read_until, serve_readers

__all__ = ["serve_stream_readers"]

F = TypeVar("F", bound=Callable[..., Any])

# What a class must not have got since, beside what it had.
HOOKS = ("__getattribute__", "__getattr__", "__setattr__", "__delattr__")


def _in_place_of(method: Callable[..., Any]) -> Callable[[F], F]:
    """Has our method look like asyncio's in representations and warnings."""

    def name(ours: F) -> F:
        for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(ours, attribute, getattr(method, attribute))
        return ours

    return name


async def _unusual(reader: Any, waited: bool, method: Callable[..., Any], *args: Any) -> bytes:
    """What asyncio's own method finds.

    A read may have been woken by an end, or by too long a line, before an error came in the same turn. asyncio's own,
    which waits in its middle, does not look for errors any more by then; its next one does.
    """
    if waited and reader._exception is not None and (reader._eof or len(reader._buffer) > reader._limit):
        # With one of the two, the method does not wait.
        error, reader._exception = reader._exception, None
        try:
            found: bytes = await method(reader, *args)
        finally:
            reader._exception = error
    else:
        found = await method(reader, *args)
    return found


class Reader(StreamReader):
    """See the top of this file. It has no attributes of its own, so that a reader can become one."""

    __slots__ = ()

    # In each, `finally` does what asyncio's does: nobody waits any more, however the wait has ended. They are written
    # out, because a coroutine in common would cost each read a frame more.

    @_in_place_of(StreamReader.read)
    async def read(self, n: int = -1) -> bytes:
        found: Any = read_some(self, n)
        if type(found) is bytes:
            return found
        if found is not None:
            try:
                await found
            finally:
                self._waiter = None
            taken: bytes | None = found.taken
            if taken is not None:
                return taken
        return await _unusual(self, found is not None, StreamReader.read, n)

    @_in_place_of(StreamReader.readexactly)
    async def readexactly(self, n: int) -> bytes:
        found: Any = read_exactly(self, n)
        if type(found) is bytes:
            return found
        if found is not None:
            try:
                await found
            finally:
                self._waiter = None
            taken: bytes | None = found.taken
            if taken is not None:
                return taken
        return await _unusual(self, found is not None, StreamReader.readexactly, n)

    @_in_place_of(StreamReader.readuntil)
    async def readuntil(self, separator: Any = b"\n") -> bytes:
        found: Any = read_until(self, separator)
        if type(found) is bytes:
            return found
        if found is not None:
            try:
                await found
            finally:
                self._waiter = None
            taken: bytes | None = found.taken
            if taken is not None:
                return taken
        return await _unusual(self, found is not None, StreamReader.readuntil, separator)

    @_in_place_of(StreamReader.readline)
    async def readline(self) -> bytes:
        found: Any = read_until(self, b"\n")
        if type(found) is bytes:
            return found
        if found is not None:
            try:
                await found
            finally:
                self._waiter = None
            taken: bytes | None = found.taken
            if taken is not None:
                return taken
        return await _unusual(self, found is not None, StreamReader.readline)


Reader.__name__, Reader.__qualname__, Reader.__module__ = "StreamReader", "StreamReader", StreamReader.__module__
Reader.__doc__ = StreamReader.__doc__


def _snapshot(cls: type) -> list[tuple[type, dict[str, Any]]]:
    return [(base, dict(vars(base))) for base in cls.__mro__[:-1]]


_SNAPSHOTS: dict[type, list[tuple[type, dict[str, Any]]]] = {
    cls: _snapshot(cls) for cls in (Reader, StreamReaderProtocol)
}


def _is_unchanged(cls: type) -> bool:
    """Whether nobody has replaced a method of the class, or of one that it inherits, or put a hook before them."""
    if cls.__mro__[:-1] != tuple(base for base, _ in _SNAPSHOTS[cls]):
        return False
    return all(
        all(vars(base).get(name) is value for name, value in known.items())
        and not any(hook in vars(base) and hook not in known for hook in HOOKS)
        for base, known in _SNAPSHOTS[cls]
    )


def _is_asyncios(cls: type) -> bool:
    """Whether the methods of the class are those of asyncio's file, and not what somebody has put there before us."""
    methods = [value for value in vars(cls).values() if hasattr(value, "__code__")]
    return all(method.__code__.co_filename == streams.__file__ for method in methods)


def serve_stream_readers() -> None:
    """From now on, if this Python's streams are as we know them."""
    if STREAMS_ARE_KNOWN and _is_asyncios(StreamReader) and _is_asyncios(StreamReaderProtocol):
        serve_readers(StreamReader, Reader, StreamReaderProtocol, _is_unchanged)

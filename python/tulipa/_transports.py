"""Transport classes.

Lives here: what happens to a transport once in its life, and what is asked of it rarely. Not here:
reading, writing and closing, which are native (`_native.TransportCore` and its heirs).
Rule: the classes are asyncio's by inheritance, so that `isinstance` holds (T2).
"""

from __future__ import annotations

import asyncio
import socket
import sys
import warnings
from typing import Any

from ._compat import SENDFILE_TRY_NATIVE, SENDFILE_UNSUPPORTED, TRANSPORT_EXTRA, TransportSocket
from ._native import DatagramCore, StreamCore, TransportCore

__all__ = ["DatagramTransport", "ReadPipeTransport", "SocketTransport", "WritePipeTransport"]

_HIGH_WATER_DEFAULT = 64 * 1024


class _Transport(TransportCore):
    """What all transports do alike."""

    __slots__ = ()
    _reads = True

    def __repr__(self) -> str:
        info = [self.__class__.__name__]
        fd = self._fileno()
        if fd < 0:
            info.append("closed")
        elif self.is_closing() and not self._loop.is_closed():
            info.append("closing")
        else:
            info.append("open")
        if fd >= 0:
            info.append(f"fd={fd}")
            if self._reads and self.is_reading():
                info.append("reading")
            info.append(f"bufsize={self.get_write_buffer_size()}")
        return f"<{' '.join(info)}>"

    @property
    def _extra(self) -> dict[str, Any]:
        """What `get_extra_info` looks into; made when it is asked for the first time, where the names are known."""
        try:
            info: dict[str, Any] = TRANSPORT_EXTRA.__get__(self)
        except AttributeError:
            info = self._unpack_names()
            TRANSPORT_EXTRA.__set__(self, info)
        return info

    @_extra.setter
    def _extra(self, info: dict[str, Any]) -> None:
        TRANSPORT_EXTRA.__set__(self, info)

    @property
    def _closing(self) -> bool:
        return self.is_closing()

    @property
    def _paused(self) -> bool:
        return self._reads and not self.is_reading() and not self.is_closing()

    @property
    def _protocol_paused(self) -> bool:
        return self._writing_paused()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the high- and low-water marks, in bytes.

        More than `high` bytes in the buffer pause the protocol's writing, `low` or fewer let it go
        on. What is not given follows from the other: a quarter, or four times; by default 64 KiB
        and 16 KiB. Raises ValueError unless 0 <= low <= high.

        Follows asyncio.WriteTransport.set_write_buffer_limits.
        """
        if high is None:
            high = _HIGH_WATER_DEFAULT if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._set_marks(int(min(high, sys.maxsize)), int(min(low, sys.maxsize)))

    def __del__(self) -> None:
        if self._is_unclosed():
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self, stacklevel=2)
            if self._file is not None:
                self._file.close()

    def _is_unclosed(self) -> bool:
        return self._fileno() >= 0


# What pyright is not to say below: the native methods of one argument take it by position alone.


class SocketTransport(_Transport, StreamCore, asyncio.Transport):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A connected stream socket."""

    _start_tls_compatible = True
    _sendfile_compatible = SENDFILE_TRY_NATIVE

    def can_write_eof(self) -> bool:
        """Whether the writing half can be closed alone: always, for a socket."""
        return True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Look at `peername`, `sockname` or `socket`; see asyncio.BaseTransport."""
        if name == "socket":
            # Whoever takes the socket may write to it, and what was written here comes first.
            self.get_write_buffer_size()
            if "socket" not in self._extra:
                self._extra["socket"] = TransportSocket(self._sock or self._closed_sock())
        return self._extra.get(name, default)

    @property
    def _sock(self) -> socket.socket | None:
        """The socket object; made on demand for a connection that the loop has made or accepted itself."""
        if self._file is None and (fd := self._fileno()) >= 0:
            self._lend(socket.socket(fileno=fd))
        sock: socket.socket | None = self._file
        return sock

    def _closed_sock(self) -> socket.socket:
        """What is left of a connection that has ended before anybody asked for its socket."""
        # Of Unix sockets it is a path; IPv6 adds two numbers to host and port.
        name: Any = self._extra.get("sockname")
        if not isinstance(name, tuple):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if len(name) == 4 else socket.AF_INET  # pyright: ignore[reportUnknownArgumentType]
        with socket.socket(family) as sock:
            return sock

    @property
    def _sock_fd(self) -> int:
        return self._fileno()


class _PipeTransport(_Transport, StreamCore):
    """One end of a pipe. It owns the file object, and closes it exactly once (T25)."""

    _start_tls_compatible = False  # TLS needs both directions

    @property
    def _pipe(self) -> Any:
        return self._file

    @_pipe.setter
    def _pipe(self, pipe: Any) -> None:
        # Whoever takes the file away closes it.
        self._file = pipe

    def _is_unclosed(self) -> bool:
        return self._fileno() >= 0 and self._file is not None


def _not_of_a_reading_end(name: str) -> Any:
    """A method that is not there, as on asyncio: what it was given would be lost in silence (R8)."""

    def look(transport: ReadPipeTransport) -> Any:
        raise AttributeError(
            f"{transport!r} is the reading end of a pipe and has no {name!r}; write to what `connect_write_pipe` gave",
            name=name,
            obj=transport,
        )

    return property(look)


class ReadPipeTransport(_PipeTransport, asyncio.ReadTransport):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The reading end of a pipe, or of anything else that a program reads from."""

    write = _not_of_a_reading_end("write")
    writelines = _not_of_a_reading_end("writelines")
    write_eof = _not_of_a_reading_end("write_eof")

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Look at `pipe`, the file object; see asyncio.BaseTransport."""
        return self._extra.get(name, default)


class WritePipeTransport(_PipeTransport, asyncio.WriteTransport):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The writing end of a pipe, or of anything else that a program writes to."""

    _reads = False

    # What asyncio's own says, and what `asyncio.StreamReader` asks for: it catches this type.

    def is_reading(self) -> bool:
        """Not there: nothing is read."""
        raise NotImplementedError(f"{self!r} is the writing end of a pipe: nothing is read from it")

    def pause_reading(self) -> None:
        """Not there: nothing is read."""
        raise NotImplementedError(f"{self!r} is the writing end of a pipe: there is no reading to pause")

    def resume_reading(self) -> None:
        """Not there: nothing is read."""
        raise NotImplementedError(f"{self!r} is the writing end of a pipe: there is no reading to resume")

    def can_write_eof(self) -> bool:
        """Whether the end can be told: always, since it means closing."""
        return True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Look at `pipe`, the file object; see asyncio.BaseTransport."""
        return self._extra.get(name, default)


class DatagramTransport(_Transport, DatagramCore, asyncio.Transport, asyncio.DatagramTransport):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A datagram socket. Also an `asyncio.Transport`, since it can pause reading as one (T2)."""

    _sendfile_compatible = SENDFILE_UNSUPPORTED

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Look at `peername`, `sockname` or `socket`; see asyncio.BaseTransport."""
        return self._extra.get(name, default)

    @property
    def _sock(self) -> socket.socket | None:
        sock: socket.socket | None = self._file
        return sock

    @property
    def _sock_fd(self) -> int:
        return self._fileno()

"""Pseudo-terminals: a terminal whose keyboard and screen are a transport.

Lives here: `open_pty`, and the `Pty` and the transport behind it. Not here: a child that runs on one (`_commands`).

1. The terminal side that the program holds is there until somebody else has it open, or it is closed: without any, the
   reading end of the transport sees the end.
2. When the last holder of the terminal side is gone, the transport reads the end, which Linux calls EIO (T36).
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import os
import struct
import termios
import warnings
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from ._duplex import LIMIT, connect_duplex, open_duplex
from ._joining import JoinedTransport
from ._run import current_loop

__all__ = ["Pty", "PtyTransport", "open_pty"]

_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)

_CONTROL_CHARACTERS = 6  # the index of `c_cc` in what `termios.tcgetattr` gives
_LOCAL_FLAGS = 3  # and of `c_lflag`
_MOST = 0xFFFF  # columns or lines
_LINE_ENDS = (b"\n", b"\r")


def open_pty(size: tuple[int, int] | None = None) -> Pty:
    """Open a pseudo-terminal of `size`, in columns and lines; without one it has none, as for the kernel.

    Raises OSError when the kernel has none left.
    """
    master, slave = os.openpty()
    try:
        pty = Pty(master, slave)
    except BaseException:
        os.close(master)
        os.close(slave)
        raise
    try:
        if size is not None:
            pty.size = size
    except BaseException:
        pty.close()
        raise
    return pty


class Pty:
    """A pseudo-terminal: `slave` is the terminal that programs use, and `connect` makes a transport of its other side.

    A context manager that closes what is still open.
    """

    _master = -1
    _slave = -1

    def __init__(self, master: int, slave: int) -> None:
        self._path = os.ttyname(slave)
        self._master = master
        self._slave = slave
        self.transport: PtyTransport | None = None

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self._path}{' closed' if self._master < 0 else ''}>"

    def fileno(self) -> int:
        """Return the descriptor of the master, the side of keyboard and screen."""
        if self._master < 0:
            raise ValueError(f"{self!r} is closed")
        return self._master

    @property
    def slave(self) -> int:
        """The descriptor of the terminal. Raises ValueError when `close_slave` has closed it."""
        if self._slave < 0:
            raise ValueError(f"the terminal side of {self!r} is closed")
        return self._slave

    @property
    def path(self) -> str:
        """The name of the terminal, such as `/dev/pts/3`."""
        return self._path

    @property
    def size(self) -> os.terminal_size:
        """The size in columns and lines. Setting another one sends SIGWINCH to what runs in the foreground."""
        packed = fcntl.ioctl(self.fileno(), termios.TIOCGWINSZ, bytes(8))
        lines, columns, _, _ = struct.unpack("HHHH", packed)
        return os.terminal_size((columns, lines))

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        columns, lines = size
        if not all(0 <= number <= _MOST for number in (columns, lines)):
            raise ValueError(f"a terminal has 0 to {_MOST} columns and lines, not {size!r}")
        fcntl.ioctl(self.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    async def connect(self, protocol_factory: Callable[[], _ProtocolT]) -> tuple[PtyTransport, _ProtocolT]:
        """Return a transport of the master, and its protocol: what is written is typed, what is read is shown.

        Closing the transport closes the pseudo-terminal; reading its end does not. Raises as `loop.connect_read_pipe`;
        RuntimeError if there is a transport already.
        """
        loop = current_loop()
        reading, writing = self.sides()
        return await connect_duplex(loop, protocol_factory, reading, writing, self.transport_kind())

    async def streams(self, limit: int = LIMIT) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the same as a stream reader and a stream writer."""
        loop = current_loop()
        reading, writing = self.sides()
        return await open_duplex(loop, reading, writing, self.transport_kind(), limit)

    def transport_kind(self, kind: type[PtyTransport] | None = None, **options: Any) -> Callable[..., PtyTransport]:
        """What makes the transport of its halves."""
        return functools.partial(kind or PtyTransport, pty=self, **options)

    def sides(self) -> tuple[Any, Any]:
        """What the transport reads and what it writes, which are two: each half of a transport owns a number."""
        if self.transport is not None:
            raise RuntimeError(f"{self!r} is used by transport {self.transport!r}")
        reading = os.fdopen(os.dup(self.fileno()), "rb", 0)
        try:
            return reading, os.fdopen(os.dup(self.fileno()), "wb", 0)
        except BaseException:
            reading.close()
            raise

    def end_of_input(self) -> bytes | None:
        """What has to be typed at the beginning of a line to end the input; None if the terminal has no lines now."""
        try:
            settings: Any = termios.tcgetattr(self.fileno())
        except termios.error:
            return None
        if not settings[_LOCAL_FLAGS] & termios.ICANON:
            return None
        key: bytes = settings[_CONTROL_CHARACTERS][termios.VEOF]
        return key if key != b"\0" else None

    def close_slave(self) -> None:
        """Close this program's descriptor of the terminal, once another has it, or when nobody will."""
        slave, self._slave = self._slave, -1
        if slave >= 0:
            os.close(slave)

    def close(self) -> None:
        """Close both descriptors; a transport that was made of it has others, and closes those itself."""
        self.close_slave()
        master, self._master = self._master, -1
        if master >= 0:
            os.close(master)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._master >= 0:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        self.close()


class PtyTransport(JoinedTransport):
    """The master of a pseudo-terminal as a transport of both directions."""

    def __init__(self, *args: Any, pty: Pty, **options: Any) -> None:
        self._pty = pty
        self._at_line_start = True
        self._ends_by_itself = False
        super().__init__(*args, **options)
        pty.transport = self

    @property
    def pty(self) -> Pty:
        """The pseudo-terminal, for its size."""
        return self._pty

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Type `data`; see asyncio.WriteTransport.write."""
        if data:
            self._at_line_start = bytes(data[-1:]) in _LINE_ENDS
        super().write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Type several pieces; see asyncio.WriteTransport.writelines."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Whether the terminal reads lines now, and so has a key that ends its input: Ctrl-D, as a rule."""
        return not self._closing and self._pty.end_of_input() is not None

    def _write_end(self) -> None:
        # In the middle of a line the key hands over what was typed so far, and only a second one ends the input.
        key = self._pty.end_of_input() or b""
        self._writer.write(key if self._at_line_start else 2 * key)

    def close(self) -> None:
        """Close the transport and the pseudo-terminal, after what is written; that hangs up on whoever uses it."""
        super().close()
        if not self._ends_by_itself:
            self._let_go()

    def _force_close(self, exc: BaseException | None) -> None:
        super()._force_close(exc)
        self._pty.close()

    def _tell_eof(self) -> None:
        # The terminal is gone for both directions. It is not let go of: who has just closed it may be about to end in
        # peace, and would be ended by the hang-up instead.
        self._ends_by_itself = True
        try:
            super()._tell_eof()
            self.close()
        finally:
            self._ends_by_itself = False

    def _let_go(self) -> None:
        self._pty.close()

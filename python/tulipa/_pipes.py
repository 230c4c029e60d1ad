"""Pipes become transports.

Lives here: `connect_read_pipe` and `connect_write_pipe`, as `asyncio.BaseEventLoop` asks for them.
Not here: how each kind of descriptor is read and written without blocking (native; the table is in source.rs).
Rule: no flag of a description that others may share is changed (P6).
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import warnings
from stat import S_ISFIFO, S_ISSOCK
from typing import Any
from weakref import WeakValueDictionary

from ._host import Host
from ._transports import ReadPipeTransport, WritePipeTransport

__all__ = ["PipeMixin"]


# All masters of pseudo-terminals are this one device, each of a terminal of its own.
_PTY_MASTERS = 5, 2


class PipeMixin(Host):
    """Makes the transports of pipes."""

    def __init__(self) -> None:
        super().__init__()
        # A transport that reads from a pipe, terminal or socket, by device and inode.
        self._readers: WeakValueDictionary[tuple[int, int], ReadPipeTransport] | None = None

    def _make_read_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> ReadPipeTransport:
        transport: ReadPipeTransport = self._open_pipe(ReadPipeTransport, "reader", pipe, protocol, waiter, extra)
        try:
            self._note_reader(transport, pipe.fileno())
        except BaseException:  # where warnings are errors
            transport.abort()
            raise
        return transport

    def _note_reader(self, transport: ReadPipeTransport, number: int) -> None:
        """Warn if another transport of this loop reads from the same pipe, terminal or socket (G12)."""
        stat = os.fstat(number)
        if not (S_ISFIFO(stat.st_mode) or S_ISSOCK(stat.st_mode) or os.isatty(number)):
            return  # files have positions of their own, and devices are endless
        if (os.major(stat.st_rdev), os.minor(stat.st_rdev)) == _PTY_MASTERS:
            return
        if self._readers is None:
            self._readers = WeakValueDictionary()
        identity = stat.st_dev, stat.st_ino
        first = self._readers.get(identity)
        if first is not None and not first.is_closing() and not self._is_numbered_anew(first, identity):
            warnings.warn(
                f"{transport!r} reads from what {first!r} reads from already: each chunk goes to one of them, by "
                f"chance. Close the first, or read from one transport and pass the data on",
                RuntimeWarning,
                stacklevel=4,
            )
        else:
            self._readers[identity] = transport

    @staticmethod
    def _is_numbered_anew(transport: ReadPipeTransport, identity: tuple[int, int]) -> bool:
        """Whether the file was closed behind its transport's back, and its number means something else (R6)."""
        try:
            stat = os.fstat(transport.get_extra_info("pipe").fileno())
        except (OSError, ValueError):
            return True
        return (stat.st_dev, stat.st_ino) != identity

    def _make_write_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> WritePipeTransport:
        transport: WritePipeTransport = self._open_pipe(WritePipeTransport, "writer", pipe, protocol, waiter, extra)
        return transport

    def _open_pipe(
        self,
        cls: type[Any],
        kind: str,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None,
        extra: dict[str, Any] | None,
    ) -> Any:
        info = {**(extra or {}), "pipe": pipe}
        try:
            return self._open_transport(cls, kind, pipe, protocol, waiter, info, None, None, None)
        except OSError as exc:
            refused = _refusal(pipe, kind, exc)
            if refused is None:
                raise
            raise ValueError(refused) from exc


def _refusal(pipe: Any, kind: str, error: OSError) -> str | None:
    """Why a descriptor can be no pipe transport, if that is its own fault."""
    number = pipe.fileno()
    if error.errno == errno.EISDIR:
        return (
            f"file descriptor {number} is a directory, which has no bytes to read or write; list it with os.scandir()"
        )
    if error.errno != errno.EBADF:
        return None
    try:
        access = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        return f"file descriptor {number} is closed, or never was open"
    opened = {os.O_RDONLY: "reading", os.O_WRONLY: "writing"}.get(access, "neither reading nor writing")
    wanted, method = ("reading", "write") if kind == "reader" else ("writing", "read")
    return (
        f"file descriptor {number} is open for {opened} only, not for {wanted}; open it for {wanted}, or give it to "
        f"connect_{method}_pipe()"
    )

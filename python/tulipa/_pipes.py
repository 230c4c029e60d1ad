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
from typing import Any

from ._host import Host
from ._transports import ReadPipeTransport, WritePipeTransport

__all__ = ["PipeMixin"]


class PipeMixin(Host):
    """Makes the transports of pipes."""

    def _make_read_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> ReadPipeTransport:
        transport: ReadPipeTransport = self._open_pipe(ReadPipeTransport, "reader", pipe, protocol, waiter, extra)
        return transport

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

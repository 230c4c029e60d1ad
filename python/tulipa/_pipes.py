"""Pipes become transports.

Lives here: `connect_read_pipe` and `connect_write_pipe`, as `asyncio.BaseEventLoop` asks for them.
Not here: how each kind of descriptor is read and written without blocking (native).
Rule: no flag of a description that others may share is changed (P6).
"""

from __future__ import annotations

import asyncio
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
        except PermissionError as exc:
            raise ValueError(
                f"Pipe transport is for pipes, sockets and character devices only, and {pipe!r} is "
                f"none; read or write it in an executor"
            ) from exc

"""What the mixins of the loop may expect of the loop they become part of.

Lives here: the type `Host`, for the type checkers only. Not here: any behaviour.
Rule: at run time `Host` is `object`, so the mixins add methods and nothing else, and
`class Loop(LoopCore, <mixins>, BaseEventLoop)` has one base with a layout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import ssl as ssl_module
    from collections.abc import AsyncGenerator, Callable, Sequence
    from contextvars import Context
    from socket import socket
    from typing import Any, Self, TypeVar

    from tulipa._native import Connection, LoopCore

    _ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)
    _T = TypeVar("_T")

    class Host(LoopCore, asyncio.BaseEventLoop):
        """The native core over asyncio's base class, seen as one type."""

        # Of BaseEventLoop, without leave of its documentation.
        _thread_id: int | None
        _current_handle: asyncio.Handle | None

        # The mixins are told nothing of how a loop is made.
        def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
        def __init__(self) -> None: ...
        def _check_closed(self) -> None: ...
        def _check_running(self) -> None: ...
        def _check_thread(self) -> None: ...
        def _check_callback(self, callback: object, method: str) -> None: ...
        def _set_coroutine_origin_tracking(self, enabled: bool) -> None: ...
        def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None: ...
        def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None: ...
        def _check_sendfile_params(self, sock: socket, file: Any, offset: int, count: int | None) -> None: ...
        async def _ensure_resolved(
            self,
            address: Any,
            *,
            family: int = 0,
            type: int = 0,
            proto: int = 0,
            flags: int = 0,
            loop: asyncio.AbstractEventLoop,
        ) -> Sequence[tuple[int, int, int, str, Any]]: ...
        async def _create_connection_transport(
            self,
            sock: socket | Connection,
            protocol_factory: Callable[[], _ProtocolT],
            ssl: ssl_module.SSLContext | bool | None,
            server_hostname: str | None,
            server_side: bool = False,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            context: Context | None = None,
        ) -> tuple[Any, _ProtocolT]: ...

        # Of SocketMixin.
        async def _operate(
            self,
            sock: Any,
            write: bool,
            attempt: Callable[[], _T],
            discard: Callable[[_T], None] | None = None,
            tried: bool = False,
        ) -> _T: ...

        # Of Loop itself: what counts as work left to do.
        def _hold(self) -> None: ...
        def _release(self) -> None: ...
        def _add_background_reader(self, fd: int, callback: Callable[..., object], *args: Any) -> asyncio.Handle: ...
        def _remove_background_reader(self, fd: int) -> bool: ...

else:
    Host = object

__all__ = ["Host"]

# What lives here: the types of the native module, as the Python layer uses them.
# What does not: documentation of asyncio's own methods (BaseEventLoop has it).
# Rule: every name here exists in the built module with this shape, and the other way round.

import asyncio
import contextvars
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

_Ts = TypeVarTuple("_Ts")
_T = TypeVar("_T")

__version__: str

def driver_names() -> list[str]:
    """Return the names of the drivers that this build knows, the default first."""

def probe() -> dict[str, bool | int | str]:
    """Ask the kernel what it offers (epoll, pidfd, io_uring, ...), for `tulipa info`."""

def sendfile(out_fd: int, in_fd: int, offset: int, count: int) -> int:
    """Send up to `count` bytes of `in_fd` from `offset`; return how many went, 0 at the end.

    Raises BlockingIOError when `out_fd` takes nothing now, OSError otherwise.
    """

def pidfd_open(pid: int) -> int:
    """Return a close-on-exec descriptor >= 3 of the process `pid`; raises OSError."""

def remove_stale_socket(path: str | bytes) -> None:
    """Unlink `path` if it is a socket; a missing file is fine; raises OSError."""

def path_identity(path: str | bytes) -> tuple[int, int] | None:
    """Return (device, inode) of `path`, or None when there is no such file; raises OSError."""

def unlink_if_identity(path: str | bytes, identity: tuple[int, int]) -> bool:
    """Unlink `path` if it is still the file `identity`; say whether it was; raises OSError."""

class LoopCore:
    """The native half of `tulipa.Loop`: scheduling, the turn, watching, transports."""

    def __new__(cls, *args: Any, **kwargs: Any) -> LoopCore: ...

    # Watching without the check that a transport owns the descriptor.
    def _add_reader(self, fd: int, callback: Callable[[*_Ts], object], /, *args: *_Ts) -> asyncio.Handle: ...
    def _add_background_reader(self, fd: int, callback: Callable[[*_Ts], object], /, *args: *_Ts) -> asyncio.Handle:
        """Like `_add_reader`, but does not count as work left in `_alive()`."""

    def _remove_reader(self, fd: int, /) -> bool: ...
    def _add_writer(self, fd: int, callback: Callable[[*_Ts], object], /, *args: *_Ts) -> asyncio.Handle: ...
    def _remove_writer(self, fd: int, /) -> bool: ...
    def _ensure_fd_no_transport(self, fd: int | socket.socket, /) -> None: ...

    # Lifetime.
    def _check_closed(self) -> None: ...
    def _alive(self) -> bool:
        """Say whether anything is left to do that can still happen."""

    def _hold(self) -> None:
        """Count one piece of work that the core cannot see (a waiting thread) as work left."""

    def _release(self) -> None:
        """Take back one `_hold`."""

    def run_until_idle(self) -> None:
        """Run until nothing is left to do; raises RuntimeError if the loop already runs."""

    def _create_connection_transport(
        self,
        sock: socket.socket,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        ssl: Any,
        server_hostname: str | None,
        server_side: bool = ...,
        ssl_handshake_timeout: float | None = ...,
        ssl_shutdown_timeout: float | None = ...,
        context: contextvars.Context | None = ...,
    ) -> Any: ...

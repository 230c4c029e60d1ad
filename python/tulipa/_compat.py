"""Every look at private or version-bound parts of CPython.

Lives here: names that asyncio does not export, found once at import, and differences
between Python 3.11 and 3.15 behind one name each. Not here: anything of tulipa's own.
Rule: the rest of the package imports such names from here, so that a new Python version
is one file to read; a missing name says which Python lacks it and stops the import.
"""

from __future__ import annotations

import codecs
import contextlib
import gc
import io
import socket
import subprocess
import sys
import sysconfig
import weakref
from asyncio import (
    base_events,
    constants,
    coroutines,
    events,
    format_helpers,
    futures,
    transports,
    trsock,
    unix_events,
)
from asyncio.base_subprocess import BaseSubprocessTransport

# What `loop.sendfile` asks of a transport that it writes a file to in pieces.
from asyncio.transports import _FlowControlMixin as FlowControlMixin
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FrameType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "ACCEPT_RETRY_DELAY",
    "SENDFILE_FALLBACK",
    "SENDFILE_TRY_NATIVE",
    "SENDFILE_UNSUPPORTED",
    "SSL_HANDSHAKE_TIMEOUT",
    "SSL_SHUTDOWN_TIMEOUT",
    "TRANSPORT_EXTRA",
    "callback_source",
    "complete_server",
    "count_clients",
    "extract_stack",
    "getaddrinfo_is_pythons_own",
    "getnameinfo_is_pythons_own",
    "format_handle",
    "set_nodelay",
    "BASE_LOOP_ATTRIBUTES",
    "CLEANUP_SOCKET_DEFAULT",
    "LOG_THRESHOLD_FOR_CONNLOST_WRITES",
    "POLICIES_DEPRECATED",
    "POLICIES_EXIST",
    "POPEN",
    "STREAMS_ARE_KNOWN",
    "BaseSubprocessTransport",
    "DefaultPolicy",
    "FlowControlMixin",
    "SendfileNotAvailableError",
    "ThreadSafeHandle",
    "TransportSocket",
    "ipaddr_info",
    "is_coroutine_function",
    "is_debug_mode",
    "make_server",
    "popen_is_as_known",
    "run_until_complete_callback",
    "set_event_loop_policy",
    "set_result_unless_cancelled",
    "stand_in_for_selector_loop",
    "text_decoder",
]

PYTHON = sys.version_info[:2]

# Attributes and steps of `asyncio.StreamReader` are those that the native half takes them for.
STREAMS_ARE_KNOWN = PYTHON <= (3, 15)


def _private(module: ModuleType | type, name: str) -> Any:
    """Return `module.name`; raise ImportError naming the Python version if it is gone."""
    try:
        return getattr(module, name)
    except AttributeError:
        raise ImportError(
            f"this tulipa does not support Python {PYTHON[0]}.{PYTHON[1]}: "
            f"{module.__name__} has no {name!r} here; install a newer tulipa"
        ) from None


# -- constants ------------------------------------------------------------------------

LOG_THRESHOLD_FOR_CONNLOST_WRITES: int = _private(constants, "LOG_THRESHOLD_FOR_CONNLOST_WRITES")

# `create_unix_server(cleanup_socket=...)` came with 3.13, where it is on unless refused.
CLEANUP_SOCKET_DEFAULT = PYTHON >= (3, 13)

# What `asyncio.BaseEventLoop` keeps in a loop, on any version, beside what is native.
BASE_LOOP_ATTRIBUTES = (
    "_asyncgens",
    "_asyncgens_shutdown_called",
    "_closed",
    "_coroutine_origin_tracking_enabled",
    "_coroutine_origin_tracking_saved_depth",
    "_current_handle",
    "_default_executor",
    "_exception_handler",
    "_executor_shutdown_called",
    "_internal_fds",
    "_old_agen_hooks",
    "_stopping",
    "_task_factory",
    "_thread_id",
    "_timer_cancelled_count",
    "slow_callback_duration",
)

# -- futures, handles, coroutines -----------------------------------------------------

set_result_unless_cancelled: Callable[[asyncio.Future[Any], Any], None] = _private(
    futures, "_set_result_unless_cancelled"
)

# anyio finds the root task by the identity of this function (T10).
run_until_complete_callback: Callable[[asyncio.Future[Any]], None] = _private(base_events, "_run_until_complete_cb")

# 3.14: what `call_soon_threadsafe` returns; its `cancel()` waits for a running callback (T5). With a global lock the
# native half makes such handles itself.
ThreadSafeHandle: type[asyncio.Handle] = (
    getattr(events, "_ThreadSafeHandle", events.Handle)
    if sysconfig.get_config_var("Py_GIL_DISABLED")
    else events.Handle
)

# Debug mode as the environment and `-X dev` ask for it.
is_debug_mode: Callable[[], bool] = _private(coroutines, "_is_debug_mode")

# 3.14 deprecated the public name and kept the private one.
is_coroutine_function: Callable[[object], bool] = getattr(coroutines, "_iscoroutinefunction", None) or _private(
    coroutines, "iscoroutinefunction"
)

# The text of a handle in reports of slow callbacks.
format_handle: Callable[[asyncio.Handle], str] = _private(base_events, "_format_handle")

# The stack that a handle or task was made in, for debug mode.
extract_stack: Callable[[FrameType], Any] = _private(format_helpers, "extract_stack")


def callback_source(handle: asyncio.Handle) -> str:
    """Return the text of a handle's callback as `Handle._run` gives it in its reports."""
    looked_at: Any = handle
    helpers: Any = format_helpers
    text: str
    try:
        text = helpers._format_callback_source(looked_at._callback, looked_at._args, debug=looked_at._loop.get_debug())
    except TypeError:  # 3.11 has no `debug` in its early releases
        text = helpers._format_callback_source(looked_at._callback, looked_at._args)
    return text


# -- sockets, servers, files ----------------------------------------------------------

TransportSocket: type[trsock.TransportSocket] = trsock.TransportSocket

# The slot of a transport that `get_extra_info` looks into.
TRANSPORT_EXTRA: Any = _private(transports.BaseTransport, "_extra")

SendfileNotAvailableError: type[RuntimeError] = _private(sys.modules["asyncio.exceptions"], "SendfileNotAvailableError")

# (host, port, family, type, proto, flow, scope) -> one getaddrinfo entry, or None for a name.
ipaddr_info: Callable[..., tuple[Any, ...] | None] = _private(base_events, "_ipaddr_info")


class _ServerBefore313(base_events.Server):
    """A server that can close its clients, which asyncio's can from 3.13 on."""

    def close_clients(self) -> None:
        """Close all connections of the server; see asyncio.Server."""
        for transport in self._client_transports():
            transport.close()

    def abort_clients(self) -> None:
        """End all connections of the server at once; see asyncio.Server."""
        for transport in self._client_transports():
            transport.abort()

    def _client_transports(self) -> list[Any]:
        loop: Any = self.get_loop()
        return [transport for transport in loop._transports.values() if transport._server is self]


class _Clients(weakref.WeakSet[Any]):
    """The transports of a server, as asyncio keeps them from 3.13 on.

    Of those that their loop knows anyway this counts how many there are: a weak reference in a set
    takes 200 bytes, a quarter of what an idle connection takes. Anybody else's are in the set itself.
    """

    def __init__(self, server: asyncio.Server) -> None:
        super().__init__()
        self._server = weakref.ref(server)
        self._known = 0

    def add(self, item: Any) -> None:
        try:
            self._known += item._count_in()
        except AttributeError:
            super().add(item)

    def discard(self, item: Any) -> None:
        try:
            self._known -= item._count_out()
        except AttributeError:
            super().discard(item)

    def copy(self) -> Any:
        return set(self)

    def __iter__(self) -> Iterator[Any]:
        server: Any = self._server()
        if server is not None and self._known:
            transports = [*server.get_loop()._transports.values()]
            yield from (transport for transport in transports if transport._server is server)
        yield from super().__iter__()

    def __len__(self) -> int:
        return self._known + super().__len__()

    def __contains__(self, item: object) -> bool:
        return any(item is transport for transport in self)


def count_clients(server: Any) -> None:
    """Let a server count its transports rather than collect them, before it has any."""
    if type(getattr(server, "_clients", None)) is weakref.WeakSet and not server._clients:
        server._clients = _Clients(server)


_Server: type[asyncio.Server] = _private(base_events, "Server") if PYTHON >= (3, 13) else _ServerBefore313

# The arguments are (loop, sockets, protocol_factory, ssl, backlog, ssl_handshake_timeout,
# ssl_shutdown_timeout) on every version from 3.11 to 3.15.
make_server: Callable[..., asyncio.Server] = _Server


def complete_server(server: asyncio.Server) -> None:
    """Give a server that asyncio has made what later versions of asyncio would have given it (T8)."""
    if type(server) is base_events.Server and PYTHON < (3, 13):
        server.__class__ = _Server


SENDFILE_FALLBACK: Any = _private(constants, "_SendfileMode").FALLBACK
SENDFILE_TRY_NATIVE: Any = _private(constants, "_SendfileMode").TRY_NATIVE
SENDFILE_UNSUPPORTED: Any = _private(constants, "_SendfileMode").UNSUPPORTED

ACCEPT_RETRY_DELAY: float = _private(constants, "ACCEPT_RETRY_DELAY")
SSL_HANDSHAKE_TIMEOUT: float = _private(constants, "SSL_HANDSHAKE_TIMEOUT")
SSL_SHUTDOWN_TIMEOUT: float = _private(constants, "SSL_SHUTDOWN_TIMEOUT")


_socket = _private(socket, "_socket")


def getaddrinfo_is_pythons_own() -> bool:
    """Return whether asyncio would call Python's own `socket.getaddrinfo`, and not a replacement."""
    # asyncio looks it up in its own module, where tests replace `socket` as a whole.
    found = base_events.__dict__["socket"].getaddrinfo
    return getattr(found, "__globals__", None) is socket.__dict__ and isinstance(
        _socket.getaddrinfo, BuiltinFunctionType
    )


def getnameinfo_is_pythons_own() -> bool:
    """Return whether asyncio would call Python's own `socket.getnameinfo`, and not a replacement."""
    return isinstance(base_events.__dict__["socket"].getnameinfo, BuiltinFunctionType)


def set_nodelay(sock: socket.socket) -> None:
    """Send small writes at once, on every TCP socket.

    asyncio looks at the protocol number, which is 0 for most sockets that a program makes, and
    leaves their replies waiting for acknowledgements (T32).
    """
    if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


# -- subprocess -----------------------------------------------------------------------

# The class as it was imported, before anybody replaced it.
POPEN: type[subprocess.Popen[Any]] = subprocess.Popen

_popen: Any = subprocess.Popen
_execute_child: Any = _popen._execute_child
_code = _execute_child.__code__
_EXECUTE_CHILD_IS_KNOWN = _code.co_varnames[: _code.co_argcount] == (
    "self", "args", "executable", "preexec_fn", "close_fds", "pass_fds", "cwd", "env", "startupinfo", "creationflags",
    "shell", "p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite", "restore_signals", "gid", "gids",
    "uid", "umask", "start_new_session", "process_group",
)  # fmt: skip


def popen_is_as_known() -> bool:
    """Whether the last step of `subprocess.Popen` is the one that our own can stand in for.

    It is not on a Python that hands it something else, when the program has turned `vfork` off as the
    documentation allows, and when a tool such as a debugger watches what is executed.
    """
    module: Any = subprocess
    return (
        _EXECUTE_CHILD_IS_KNOWN
        and _popen._execute_child is _execute_child
        and getattr(module, "_USE_VFORK", True)
        and isinstance(module._fork_exec, BuiltinFunctionType)
    )


# -- policies (T29) -------------------------------------------------------------------

POLICIES_EXIST = hasattr(events, "_get_event_loop_policy") or PYTHON < (3, 14)
POLICIES_DEPRECATED = PYTHON >= (3, 14)

if TYPE_CHECKING:
    from asyncio import DefaultEventLoopPolicy as DefaultPolicy
elif POLICIES_DEPRECATED:
    # The public names warn on access from 3.14; the class behind them does not.
    DefaultPolicy = getattr(unix_events, "_DefaultEventLoopPolicy", object)
else:
    DefaultPolicy = unix_events.DefaultEventLoopPolicy


def set_event_loop_policy(policy: Any) -> None:
    """Set the policy of the process without the DeprecationWarning of 3.14 and 3.15."""
    setter: Callable[[Any], None]
    if POLICIES_DEPRECATED:
        setter = _private(events, "_set_event_loop_policy")
    else:
        setter = _private(events, "set_event_loop_policy")
    setter(policy)


def stand_in_for_selector_loop(make_stand_in: Callable[[type[Any]], type[Any]]) -> None:
    """Put `make_stand_in(SelectorEventLoop)` where asyncio's own loop class is looked up.

    That is `asyncio.SelectorEventLoop`, `asyncio.EventLoop` (3.13), the same names in
    `asyncio.unix_events`, and the class that the default policy instantiates.
    """
    original: type[Any] = unix_events.SelectorEventLoop
    stand_in = make_stand_in(original)
    for module in (sys.modules["asyncio"], unix_events):
        for name in ("SelectorEventLoop", "EventLoop"):
            if module.__dict__.get(name) is original:
                setattr(module, name, stand_in)
    if getattr(DefaultPolicy, "_loop_factory", None) is original:
        setattr(DefaultPolicy, "_loop_factory", stand_in)  # noqa: B010


def text_decoder(stream: io.TextIOWrapper[Any]) -> codecs.IncrementalDecoder | io.IncrementalNewlineDecoder | None:
    """The decoder of a text stream, which only the garbage collector shows; None if nothing was read yet."""
    for part in gc.get_referents(stream):
        if isinstance(part, (codecs.IncrementalDecoder, io.IncrementalNewlineDecoder)):
            return part
    return None

# What lives here: the types of the native module, as the Python layer uses them.
# What does not: documentation of asyncio's own methods (BaseEventLoop has it).
# Rule: every name here exists in the built module with this shape, and the other way round
# (`make stubs`); what is marked `type_check_only` is for the type checkers alone.

import asyncio
import socket
import ssl
from asyncio.transports import _FlowControlMixin
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextvars import Context
from typing import Any, Literal, Protocol, Self, TypeVar, TypeVarTuple, final, type_check_only

from typing_extensions import disjoint_base

__all__ = [
    "ChildStart",
    "Connection",
    "DatagramCore",
    "FileCall",
    "FileCore",
    "Handle",
    "Listener",
    "Lookup",
    "LoopCore",
    "Question",
    "StreamCore",
    "TLS_ENGINES",
    "TimerHandle",
    "TlsCore",
    "TlsTransportCore",
    "TransportCore",
    "Waiter",
    "__version__",
    "driver_names",
    "numeric_address",
    "numeric_family",
    "open_file",
    "path_identity",
    "pidfd_open",
    "probe",
    "read_exactly",
    "read_some",
    "read_until",
    "remove_stale_socket",
    "sendfile",
    "serve_readers",
    "sockets_are_pythons_own",
    "start_child",
    "tls_engine",
    "unlink_if_identity",
]

_Ts = TypeVarTuple("_Ts")
_T = TypeVar("_T")
_Bytes = bytes | bytearray | memoryview[Any]

__all__ = [
    "Handle",
    "TimerHandle",
    "TransportCore",
    "StreamCore",
    "DatagramCore",
    "TlsCore",
    "TlsTransportCore",
    "TLS_ENGINES",
    "tls_engine",
    "LoopCore",
    "Listener",
    "Connection",
    "Waiter",
    "Question",
    "Lookup",
    "FileCore",
    "FileCall",
    "open_file",
    "numeric_address",
    "numeric_family",
    "sockets_are_pythons_own",
    "sendfile",
    "remove_stale_socket",
    "path_identity",
    "unlink_if_identity",
    "pidfd_open",
    "ChildStart",
    "start_child",
    "driver_names",
    "probe",
    "__version__",
]

__version__: str

TLS_ENGINES: tuple[str, ...]

def tls_engine() -> str:
    """Return the name of the engine that TLS sessions get when none is named."""

def driver_names() -> list[str]:
    """Return the names of the drivers that this build knows, the default first."""

def probe() -> dict[str, bool | int | str]:
    """Ask the kernel what it offers (epoll, pidfd, io_uring, ...), for `tulipa info`."""

def numeric_address(host: str, port: int) -> tuple[int, Any] | None:
    """Return family and address, as getaddrinfo would, of a host that is an address already and has no zone."""

def numeric_family(host: str) -> int:
    """Return the family of a host that is an address already and has no zone; 0 for any other."""

def sockets_are_pythons_own() -> bool:
    """Return whether a socket that asyncio made would be one of Python's own, and would connect as that does.

    Tests and tools replace the class, or its method, to keep a program from the network or to see where it goes.
    """

def sendfile(out_fd: int, in_fd: int, offset: int, count: int) -> int:
    """Send up to `count` bytes of `in_fd` from `offset`; return how many went, 0 at the end.

    Raises BlockingIOError when `out_fd` takes nothing now, OSError otherwise.
    """

def pidfd_open(pid: int) -> int:
    """Return a close-on-exec descriptor >= 3 of the process `pid`; raises OSError."""

@final
class ChildStart:
    """A child between its making and the moment when it is the program, or has failed to become it."""

    @property
    def pid(self) -> int: ...
    def fileno(self) -> int:
        """Return the descriptor that becomes readable when `outcome` has an answer."""

    def outcome(self) -> tuple[str, int] | None:
        """Return None for a program, or else "prepare", "chdir" or "exec" and the error number.

        Raises BlockingIOError while the child is on its way.
        """

    def close(self) -> None:
        """Close the descriptor, and free what the child reads on its way unless it is still there."""

def start_child(
    arguments: list[bytes],
    paths: list[bytes],
    environment: list[bytes] | None,
    folder: bytes | None,
    streams: tuple[int, int, int],
    kept: list[int] | None,
    *,
    restore_signals: bool,
    new_session: bool,
    controlling_terminal: bool,
    process_group: int,
    umask: int,
) -> ChildStart:
    """Make a child that becomes a program, and do not wait for that; raises OSError.

    An environment of None is the present one; without a list of descriptors none is closed. The controlling
    terminal is the child's standard input.
    """

def remove_stale_socket(path: str | bytes) -> None:
    """Unlink `path` if it is a socket; a missing file is fine; raises OSError."""

def path_identity(path: str | bytes) -> tuple[int, int] | None:
    """Return (device, inode) of `path`, or None when there is no file to be seen."""

def unlink_if_identity(path: str | bytes, identity: tuple[int, int]) -> bool:
    """Unlink `path` if it is still the file `identity`; say whether it was; raises OSError."""

@type_check_only
class _FileLike(Protocol):
    def fileno(self) -> int: ...

@disjoint_base
class LoopCore:
    """The native half of `tulipa.Loop`: scheduling, the turn, watching, transports."""

    def __new__(cls, *_args: Any, driver: str = "epoll", **_kwargs: Any) -> Self: ...

    # Scheduling.
    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle: ...
    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle: ...
    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle: ...
    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle: ...
    def time(self) -> float: ...
    def _add_callback(self, handle: asyncio.Handle, /) -> None: ...
    def _add_callback_threadsafe(self, handle: asyncio.Handle, /) -> None: ...
    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle, /) -> None: ...
    def _write_to_self(self) -> None: ...

    # The turn, and the life of the loop.
    @property
    def driver(self) -> str: ...
    @property
    def _scheduled(self) -> list[asyncio.TimerHandle]: ...
    @_scheduled.setter
    def _scheduled(self, _scheduled: object) -> None: ...
    @property
    def _transports(self) -> dict[int, asyncio.BaseTransport]: ...
    @property
    def _clock_resolution(self) -> float: ...
    @_clock_resolution.setter
    def _clock_resolution(self, _resolution: float) -> None: ...
    def _ready_handles(self) -> list[asyncio.Handle]: ...
    def stop(self) -> None: ...
    def _run_turns(self) -> None: ...
    def _run_once(self) -> None: ...
    def _take_stopping(self) -> bool: ...
    def _load(self) -> tuple[int, int, int]:
        """Return how many callbacks are ready, timers are set, and descriptors are in use."""

    def _check_closed(self) -> None:
        """Raise RuntimeError if the loop is closed, or its parent's in the child of a fork."""

    def _close_core(self) -> None: ...
    def _forked(self) -> None: ...
    @property
    def _foreign_wakeup_fd(self) -> int: ...
    _debug: bool
    def create_future(self) -> asyncio.Future[Any]: ...
    def create_task(
        self, coro: Generator[Any, Any, _T] | Coroutine[Any, Any, _T], **kwargs: Any
    ) -> asyncio.Task[_T]: ...
    def _receive_now(self, socket: socket.socket, size: int) -> bytes | Literal[False] | None: ...
    def _receive(self, socket: socket.socket, size: int) -> bytes: ...
    def _is_connected_by_now(self, sock: socket.socket, address: Any, /) -> bool:
        """Return whether the socket, which is being connected, is there already; raises OSError."""

    def _prepare_stream(self, sock: socket.socket, extra: dict[str, Any], /) -> bool:
        """Set TCP_NODELAY and add the names to `extra`; return False if only the socket itself can."""

    def _send_now(self, socket: socket.socket, data: Any) -> int | None: ...
    def get_debug(self) -> bool: ...
    def is_running(self) -> bool: ...

    # Watching; the underscored ones without the check that a transport owns the descriptor.
    def add_reader(self, fd: int | _FileLike, callback: Callable[[*_Ts], Any], *args: *_Ts) -> Any: ...
    def add_writer(self, fd: int | _FileLike, callback: Callable[[*_Ts], Any], *args: *_Ts) -> Any: ...
    def remove_reader(self, fd: int | _FileLike) -> bool: ...
    def remove_writer(self, fd: int | _FileLike) -> bool: ...
    def _add_reader(self, fd: int, callback: Callable[[*_Ts], object], /, *args: *_Ts) -> asyncio.Handle: ...
    def _add_writer(self, fd: int, callback: Callable[[*_Ts], object], /, *args: *_Ts) -> asyncio.Handle: ...
    def _remove_reader(self, fd: int, /) -> bool: ...
    def _remove_writer(self, fd: int, /) -> bool: ...
    def _ensure_fd_no_transport(self, fd: int | socket.socket, /) -> None: ...
    def _ensure_unread(self, fd: int | socket.socket, /) -> None: ...

    # The queue of operations on a socket of the program's own.
    def _may_try(self, sock: socket.socket, write: bool, /) -> bool: ...
    def _has_waiters(self, sock: socket.socket | int | _FileLike, fd: int, write: bool, /) -> bool: ...
    def _enqueue(
        self,
        sock: socket.socket | int | _FileLike,
        fd: int,
        write: bool,
        attempt: Callable[[], _T],
        future: asyncio.Future[_T],
        /,
    ) -> Waiter: ...
    def _dequeue(self, waiter: Waiter, /) -> None: ...

    # Names.
    def _look_up(self, question: Question, landed: Callable[[], object], /) -> Lookup:
        """Have a question answered on a thread; `landed` is called on the loop when it is."""

    def _drop_lookup(self, lookup: Lookup, /) -> None:
        """Forget a look-up: its `landed` is not called any more."""

    # Transports and listeners.
    def _ensure_fd_unused(self, file: Any, /) -> None: ...
    def _open_transport(
        self,
        cls: type[Any],
        kind: str,
        file: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None,
        extra: dict[str, Any],
        server: Any,
        context: Context | None,
        address: Any,
        /,
    ) -> Any: ...
    def _connect_plainly(self, host: object, port: object, /) -> Connection | None:
        """Begin to connect to an address with nothing to look up and nothing in the way, else None; raises OSError."""

    def _begin_connection(self, family: int, protocol: int, address: Any, /) -> Connection | None:
        """Begin to connect to a numeric address; None if only `socket` can; raises OSError."""

    def _connect_to_path(self, path: str | bytes, /) -> Connection | None:
        """Connect to the Unix socket at a path; None if only `socket` can; raises OSError."""

    def _open_connection(
        self,
        cls: type[Any],
        connection: Connection,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None,
        extra: dict[str, Any] | None,
        server: Any,
        context: Context | None,
        /,
    ) -> Any: ...
    def _listen(
        self,
        sock: socket.socket,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        server: Any,
        cls: type[Any],
        backlog: int,
        /,
    ) -> Listener: ...
    def _stop_listening(self, sock: socket.socket, /) -> None: ...
    def _pause_accepting(self, listener: Listener, paused: bool, /) -> None: ...

@disjoint_base
class TransportCore(_FlowControlMixin):
    """The native half of every transport."""

    _loop: Any
    _protocol: Any
    _server: Any
    _file: Any
    _context: Context | None
    _exception: BaseException | None
    _waiter: asyncio.Future[None] | None
    _empty_waiter: asyncio.Future[None] | None
    _address: Any
    _packed_names: bytes | None

    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def is_reading(self) -> bool: ...
    # Native methods of one argument take it by position alone, unlike asyncio's.
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...
    def get_protocol(self) -> asyncio.BaseProtocol: ...
    def get_write_buffer_size(self) -> int: ...
    def get_write_buffer_limits(self) -> tuple[int, int]: ...
    def _writing_paused(self) -> bool: ...
    def _set_marks(self, high: int, low: int, /) -> None: ...
    def _force_close(self, exc: BaseException | None, /) -> None: ...
    def _make_empty_waiter(self) -> asyncio.Future[None]: ...
    def _reset_empty_waiter(self) -> None: ...
    def _unpack_names(self) -> dict[str, Any]: ...
    def _count_in(self) -> bool: ...
    def _count_out(self) -> bool: ...
    def _fileno(self) -> int: ...
    def _lend(self, file: Any, /) -> None: ...

class StreamCore(TransportCore):
    """The native half of transports that carry a stream of bytes."""

    # By position alone: see TransportCore.
    def write(self, data: _Bytes) -> None: ...
    def writelines(self, list_of_data: Iterable[_Bytes]) -> None: ...
    def write_eof(self) -> None: ...

class DatagramCore(TransportCore):
    """The native half of transports that carry datagrams."""

    def sendto(self, data: _Bytes, addr: Any = None) -> None: ...

@disjoint_base
class TlsCore:
    """The native half of TLS: the protocol of the transport that carries the ciphertext."""

    _phase: int
    _app_protocol: Any
    _app_reading_paused: bool
    _app_writing_paused: bool
    _write_marks: tuple[int, int]
    _read_marks: tuple[int, int]

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    @property
    def _engine(self) -> str: ...
    @property
    def _sslobj(self) -> ssl.SSLObject: ...
    def _open(
        self, engine: str, context: ssl.SSLContext, server_side: bool, server_hostname: str | None
    ) -> ssl.SSLObject:
        """Make the session; raises what `context.wrap_bio` raises."""

    def _set_lower(self, transport: Any) -> None: ...
    def _discard(self) -> None: ...
    def _arrive(self, data: _Bytes) -> None: ...
    def _drive(self) -> None: ...
    def _read(self) -> None: ...
    def _read_nothing(self) -> None: ...
    def _encrypt_all(self) -> bool: ...
    def _send(self) -> None: ...
    def _control_writing(self) -> None: ...
    def _control_reading(self) -> None: ...
    def _write_size(self) -> int: ...
    def _read_size(self) -> int: ...
    def data_received(self, data: bytes) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...

@disjoint_base
class TlsTransportCore(_FlowControlMixin):
    """The native half of TLS transports."""

    _ssl_protocol: Any

    # By position alone: see TransportCore.
    def write(self, data: _Bytes) -> None: ...
    def writelines(self, list_of_data: Iterable[_Bytes]) -> None: ...

class Handle(asyncio.Handle):
    """What `call_soon` returns."""

    def cancel(self) -> None: ...

@disjoint_base
class TimerHandle(asyncio.TimerHandle):
    """What `call_later` and `call_at` return."""

    def cancel(self) -> None: ...

@final
class Listener:
    """A socket that accepts connections."""

    socket: socket.socket

@final
class Connection:
    """A stream socket that the loop makes and connects, until a transport takes it over."""

    @property
    def family(self) -> int: ...
    @property
    def type(self) -> int: ...
    @property
    def proto(self) -> int: ...
    @property
    def pending(self) -> bool:
        """Whether it is still on its way."""

    def fileno(self) -> int: ...
    def finish(self) -> None:
        """Raise BlockingIOError as long as it is on its way, and OSError if it has failed."""

    def close(self) -> None: ...

@final
class Waiter:
    """An operation that waits in the queue of a socket."""

@final
class Question:
    """A call of `getaddrinfo` or `getnameinfo`. Two equal ones have the same answer."""

    @staticmethod
    def addresses(
        host: bytes | None, service: bytes | None, family: int, kind: int, protocol: int, flags: int
    ) -> Question: ...
    @staticmethod
    def name(host: bytes, port: int, flow: int, scope: int, flags: int) -> Question: ...
    def answer_at_once(self) -> Any:
        """Return the answer if nothing has to be looked up for it, else None; raises OSError."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Lookup:
    """A question that is being answered, or has been."""

    def result(self) -> Any:
        """Return what came out, made anew; raises OSError."""

def open_file(
    event_loop: LoopCore, path: bytes, flags: int, permissions: int, landed: Callable[[], object]
) -> FileCall:
    """Open a file on a thread; `landed` is called on the loop when that is done, as for all that follows.

    Every call raises RuntimeError if the loop was closed or there is no thread to be had.
    """

@final
class FileCore:
    """An open file. Calls on it are made in no order: see `_files.py`."""

    @staticmethod
    def adopt(fd: int, owned: bool) -> FileCore:
        """Return the file behind a descriptor, which is taken over if `owned`; raises OSError."""

    def fileno(self) -> int: ...
    def read(self, event_loop: LoopCore, offset: int, size: int | None, landed: Callable[[], object]) -> FileCall:
        """Read up to `size` bytes from an offset on, or all that there are."""

    def write(self, event_loop: LoopCore, offset: int, data: bytes, landed: Callable[[], object]) -> FileCall:
        """Write `data`, all of it, from an offset on."""

    def sync(self, event_loop: LoopCore, metadata: bool, landed: Callable[[], object]) -> FileCall: ...
    def truncate(self, event_loop: LoopCore, size: int, landed: Callable[[], object]) -> FileCall: ...
    def size(self, event_loop: LoopCore, landed: Callable[[], object]) -> FileCall: ...
    def close(self, event_loop: LoopCore, landed: Callable[[], object]) -> FileCall: ...

@final
class FileCall:
    """Something that is being done to a file, or has been."""

    def result(self) -> Any:
        """Return what came out, made anew; raises OSError."""

    def withdraw(self, event_loop: LoopCore) -> bool:
        """Say whether the call has not been begun, and then never will be."""

@final
@type_check_only
class ReadWait:
    """A read that waits for bytes: to be awaited once."""

    @property
    def taken(self) -> bytes | None: ...
    def __await__(self) -> Generator[asyncio.Future[None]]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> asyncio.Future[None]: ...

def read_some(reader: asyncio.StreamReader, n: int, /) -> bytes | ReadWait | None: ...
def read_exactly(reader: asyncio.StreamReader, n: int, /) -> bytes | ReadWait | None: ...
def read_until(reader: asyncio.StreamReader, separator: object, /) -> bytes | ReadWait | None: ...
def serve_readers(
    plain: type[asyncio.StreamReader],
    served: type[asyncio.StreamReader],
    protocol: type[asyncio.StreamReaderProtocol],
    is_unchanged: Callable[[type], bool],
) -> None: ...

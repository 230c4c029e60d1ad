"""A child process whose standard input and output are one transport, over pipes or over a pseudo-terminal.

Lives here: `connect_child`, `open_child`, and the transports behind them. Not here: starting and watching children
(`_process`), pseudo-terminals (`_pty`). Rules:

1. Whatever fails or is cancelled before the transport is there, the child is killed and reaped, and everything is
   closed (R5).
2. The child's life is its own: closing the transport closes its input and output, and kills nobody. A terminal that has
   ended is not hung up before its child has ended by itself.
3. A child need not read its input to the end. What it does not take is dropped, as `communicate()` does, and its
   output is read all the same.
"""

from __future__ import annotations

import asyncio
import functools
import os
from asyncio.subprocess import Process
from collections.abc import Callable
from typing import Any, TypeVar

from ._duplex import LIMIT, connect_duplex, open_duplex
from ._joining import JoinedTransport
from ._pty import Pty, PtyTransport
from ._run import current_loop

__all__ = ["ChildTransport", "connect_child", "open_child"]

_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)


async def connect_child(
    protocol_factory: Callable[[], _ProtocolT],
    program: Any,
    *args: Any,
    pty: Pty | None = None,
    stderr: Any = None,
    **options: Any,
) -> tuple[ChildTransport, _ProtocolT]:
    """Start a child and return a transport of its input and output, and its protocol.

    What is written is the child's standard input, and `write_eof` its end; what arrives is its standard output.
    Standard error is inherited unless `stderr` says something else: `asyncio.subprocess.PIPE` makes it
    `transport.stderr`, a stream reader; `STDOUT` joins it with the output.

    With `pty` the child runs on that pseudo-terminal, in a session that it controls, with standard error there as well.
    The transport owns it.

    The other options are those of `asyncio.create_subprocess_exec`. Raises as that does.
    """
    connect = functools.partial(connect_duplex, protocol_factory=protocol_factory)
    return await _start(connect, program, args, pty, stderr, options)


async def open_child(
    program: Any,
    *args: Any,
    pty: Pty | None = None,
    stderr: Any = None,
    limit: int = LIMIT,
    **options: Any,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Start a child and return a stream reader of its output and a stream writer of its input.

    `writer.transport` is the transport of `connect_child`, and so are all other arguments.
    """
    options["limit"] = limit
    return await _start(functools.partial(open_duplex, limit=limit), program, args, pty, stderr, options)


async def _start(
    connect: Callable[..., Any],
    program: Any,
    args: tuple[Any, ...],
    pty: Pty | None,
    stderr: Any,
    options: dict[str, Any],
) -> tuple[Any, Any]:
    loop = current_loop()
    sides = _Pipes() if pty is None else _Terminal(pty)
    options |= sides.options
    options |= {"stdin": sides.stdin, "stdout": sides.stdout, "stderr": sides.stderr if stderr is None else stderr}
    try:
        process = await asyncio.create_subprocess_exec(program, *args, **options)
    except BaseException:
        sides.close_all()
        raise
    kind = functools.partial(sides.kind, process=process)
    try:
        sides.close_childs()
        reading, writing = sides.take()
        made: tuple[Any, Any] = await connect(loop, reading=reading, writing=writing, kind=kind)
    except BaseException:
        sides.close_all()
        await _end(process)
        raise
    return made


async def _end(process: Process) -> None:
    """Kill a child that nobody is given, and wait until it is reaped, however often that is cancelled."""
    try:
        process.kill()
    except ProcessLookupError:
        pass
    _transport_of(process).close()
    await asyncio.shield(asyncio.ensure_future(process.wait()))


def _transport_of(process: Process) -> Any:
    of_asyncio: Any = process
    return of_asyncio._transport


class _Pipes:
    """The pipes of a child."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.stderr = None
        self.kind: Callable[..., Any] = ChildTransport
        self._files: list[Any] = []
        try:
            for _ in range(2):
                read_end, write_end = os.pipe()
                self._files += [os.fdopen(read_end, "rb", 0), os.fdopen(write_end, "wb", 0)]
        except BaseException:
            self.close_all()
            raise
        self.stdin, self._input, self._output, self.stdout = self._files

    def close_childs(self) -> None:
        self.stdin.close()
        self.stdout.close()

    def take(self) -> tuple[Any, Any]:
        """Our ends, which somebody else closes from now on."""
        self._files.clear()
        return self._output, self._input

    def close_all(self) -> None:
        for file in self._files:
            file.close()


class _Terminal:
    """The terminal of a child."""

    def __init__(self, pty: Pty) -> None:
        self.options: dict[str, Any] = {"controlling_terminal": True}
        self.stdin = self.stdout = self.stderr = pty.slave
        self.kind = pty.transport_kind(_ChildOnPty)
        self._pty = pty

    def close_childs(self) -> None:
        self._pty.close_slave()

    def take(self) -> tuple[Any, Any]:
        """The sides of the transport, which somebody else closes from now on."""
        return self._pty.sides()

    def close_all(self) -> None:
        self._pty.close()


class ChildTransport(JoinedTransport):
    """The standard input and output of a child as a transport of both directions; see `connect_child`."""

    def __init__(self, *args: Any, process: Process, **options: Any) -> None:
        self._process = process
        super().__init__(*args, **options)

    @property
    def pty(self) -> Pty | None:
        """The pseudo-terminal that the child runs on, or None over pipes."""
        return None

    @property
    def stderr(self) -> asyncio.StreamReader | None:
        """The child's standard error, if it is a pipe."""
        return self._process.stderr

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Look at `subprocess`, the `subprocess.Popen` of the child; see asyncio.BaseTransport."""
        if name == "subprocess":
            return _transport_of(self._process).get_extra_info(name, default)
        return super().get_extra_info(name, default)

    def get_pid(self) -> int:
        """Return the process number of the child."""
        return self._process.pid

    def get_returncode(self) -> int | None:
        """Return the exit status, minus the signal if one has ended the child, or None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until the child has ended; return its status, as `get_returncode`."""
        return await self._process.wait()

    def send_signal(self, signal: int) -> None:
        """Send a signal to the child. Raises ProcessLookupError when it has ended."""
        self._process.send_signal(signal)

    def terminate(self) -> None:
        """Send SIGTERM to the child; see `send_signal`."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL to the child; see `send_signal`."""
        self._process.kill()

    def _output_failed(self, exc: BaseException) -> None:
        if isinstance(exc, BrokenPipeError):
            if self._protocol_paused and not self._closing:
                self._resume_writing()
        else:
            super()._output_failed(exc)


class _ChildOnPty(PtyTransport, ChildTransport):
    _letting_go: asyncio.Task[None] | None = None

    @property
    def pty(self) -> Pty:
        """The pseudo-terminal that the child runs on."""
        return self._pty

    def _tell_eof(self) -> None:
        super()._tell_eof()
        self._let_go()

    def _let_go(self) -> None:
        """Close the pseudo-terminal; after its end not before the child has ended, too."""
        if not self._eof_told or self._process.returncode is not None:
            super()._let_go()
        elif self._letting_go is None:
            self._letting_go = self._loop.create_task(self._let_go_after_child())

    async def _let_go_after_child(self) -> None:
        try:
            await self._process.wait()
        finally:
            self._pty.close()

"""Subprocesses: asyncio's transport over our pipes and our children.

Lives here: `subprocess_exec` and `subprocess_shell`, through BaseEventLoop, and their transport. Not
here: starting a child (`_spawning`), watching it (`_child`), the pipes (`connect_read_pipe`,
`connect_write_pipe`), `Process` and its streams (asyncio's own).

1. No child watcher of any policy is asked, on any version.
2. The standard streams of the child are real pipes, in both directions.
3. A turn of the loop starts one child, and no turn waits until it has begun.
4. Whatever fails or is cancelled between spawning and the finished transport, the child is killed and
   reaped, and its pipes and its pidfd are closed (R5).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from typing import Any

from ._child import Child
from ._compat import BaseSubprocessTransport
from ._host import Host
from ._spawning import Popen, close_pipe, close_pipes, spawn

__all__ = ["ProcessMixin"]


class ProcessMixin(Host):
    """Gives the loop `subprocess_exec` and `subprocess_shell`, through BaseEventLoop."""

    def __init__(self) -> None:
        super().__init__()
        self._children: dict[int, Child] = {}
        self._start_in_turn = asyncio.Lock()

    async def _make_subprocess_transport(
        self,
        protocol: asyncio.SubprocessProtocol,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: Any = None,
        **kwargs: Any,
    ) -> asyncio.SubprocessTransport:
        """Start a child and connect its pipes; return its transport.

        Raises what `subprocess.Popen` raises. When cancelled, the child is killed and
        reaped before the cancellation goes on.

        Follows asyncio.unix_events._UnixSelectorEventLoop._make_subprocess_transport.
        """
        await self._start_in_turn.acquire()
        try:
            popen = spawn(args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=bufsize, **kwargs)
        finally:
            # Fifty starts at once do not make one long turn: the next may begin when this turn is over.
            self.call_soon(self._start_in_turn.release)
        child = Child(self, popen)
        transport = None
        try:
            child.watch()
            await child.begin()
            waiter: asyncio.Future[None] = self.create_future()
            transport = _SubprocessTransport(
                self, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter, extra, popen=popen
            )
            child.on_end(transport.note_exit)
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            if transport is not None:
                transport.close()
            else:
                close_pipes(popen)
                popen.kill()
            if child.is_watched and not isinstance(exc, GeneratorExit):
                # A second cancellation must not leave a child that nobody reaps: the child
                # stays watched whether or not this wait is cut short.
                await asyncio.shield(child.ended)
            else:
                child.forget()
                popen.wait()
            if isinstance(popen, Popen):
                popen.close_start()
            raise
        return transport

    def close(self) -> None:
        """Stop watching children, then close what comes after in the line of classes.

        The children themselves live on; their transports warn when they are collected.
        """
        if not self.is_closed() and not self.is_running():
            for child in list(self._children.values()):
                child.forget()
        super().close()


class _SubprocessTransport(BaseSubprocessTransport):
    """asyncio's subprocess transport of the running version, with our ways to start and end."""

    popen: subprocess.Popen[bytes]

    def __init__(self, loop: ProcessMixin, *args: Any, popen: subprocess.Popen[bytes]) -> None:
        try:
            super().__init__(loop, *args, popen=popen)
        except BaseException:
            # What comes after `_start` may fail (a task factory that raises); whoever made this cleans up.
            self._closed = True
            raise

    def _start(
        self,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        **kwargs: Any,
    ) -> None:
        # Started before, with all of these: asyncio's transport cannot wait for it.
        self.popen = self._proc = kwargs["popen"]

    async def _connect_pipes(self, waiter: asyncio.Future[Any] | None) -> None:
        await super()._connect_pipes(waiter)
        pending: Any = self._pending_calls
        connected = pending is None
        if self._closed or not connected:
            # Closed while the pipes were being connected, or one of them failed.
            raw = {0: self.popen.stdin, 1: self.popen.stdout, 2: self.popen.stderr}
            pipes: dict[int, Any] = self._pipes
            for number, protocol in pipes.items():
                if protocol is not None and protocol.pipe is not None:
                    protocol.pipe.close()
                else:
                    close_pipe(raw[number])

    def note_exit(self, returncode: int) -> None:
        """Tell the protocol and whoever waits that the child ended with `returncode`."""
        if self._returncode is None:
            self._process_exited(returncode)

    def close(self) -> None:
        """Close the pipes and kill the child if it still runs; safe on a closed loop."""
        if self._closed:
            return
        loop: Any = self._loop
        if loop is not None and loop.is_closed():
            # The pipe transports went with the loop (gh-114177); only the child is left.
            self._pipes = {}
        super().close()

    def send_signal(self, signal: int) -> None:
        """Send `signal` to the child; nothing is sent once its end is known.

        Raises ProcessLookupError when the transport is finished.

        Follows asyncio.base_subprocess.BaseSubprocessTransport.send_signal of 3.14.
        """
        self._check_proc()
        if self._returncode is None and self.popen.returncode is None:
            try:
                os.kill(self.popen.pid, signal)
            except ProcessLookupError:
                pass

    def terminate(self) -> None:
        """Send SIGTERM to the child."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the child."""
        self.send_signal(signal.SIGKILL)

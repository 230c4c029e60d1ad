"""Subprocesses: asyncio's transport over our pipes, children watched by pidfd.

Lives here: spawning, and learning that a child ended. Not here: the pipes of the child
(`connect_read_pipe`, `connect_write_pipe`), `Process` and its streams (asyncio's own).

1. SIGCHLD and the wake-up descriptor belong to the program (R10): no child watcher of any
   policy is asked on any version, and no signal handler is set.
2. The standard streams of the child are real pipes, in both directions.
3. Whatever fails or is cancelled between spawning and the finished transport, the child
   is killed and reaped, and its pipes and its pidfd are closed (R5).
4. A status that somebody else has read is reported as 255 with a warning, as asyncio does,
   unless it was read through the very `Popen` of the transport, which then knows it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import threading
from asyncio.log import logger
from typing import IO, Any

from . import _native
from ._compat import BaseSubprocessTransport
from ._host import Host

__all__ = ["ProcessMixin"]

_UNKNOWN_STATUS = 255
_thread_numbers = itertools.count()


class ProcessMixin(Host):
    """Gives the loop `subprocess_exec` and `subprocess_shell`, through BaseEventLoop."""

    def __init__(self) -> None:
        super().__init__()
        self._children: dict[int, _Child] = {}

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
        waiter: asyncio.Future[None] = self.create_future()
        transport = _SubprocessTransport(
            self, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter, extra, **kwargs
        )
        child = _Child(self, transport)
        try:
            child.watch()
        except BaseException:
            child.forget()
            transport.close()
            transport.popen.wait()
            raise
        try:
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            # A second cancellation must not leave a child that nobody reaps: the child
            # stays watched whether or not this wait is cut short.
            await asyncio.shield(child.ended)
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


class _Child:
    """One child process between its start and the moment its status is known."""

    def __init__(self, loop: ProcessMixin, transport: _SubprocessTransport) -> None:
        self._loop = loop
        self._transport = transport
        self._popen = transport.popen
        self._pidfd = -1
        self.ended: asyncio.Future[None] = loop.create_future()

    def watch(self) -> None:
        """Have `_on_end` called once the child has ended, by pidfd or else by a thread.

        Raises RuntimeError when neither a descriptor nor a thread is to be had.
        """
        self._loop._children[self._popen.pid] = self
        try:
            self._pidfd = _native.pidfd_open(self._popen.pid)
            self._loop._add_reader(self._pidfd, self._on_readable)
        except OSError as exc:
            # ENOSYS or EPERM: old kernel or sandbox; EMFILE or ENFILE: none left;
            # ESRCH: already reaped by somebody, which the thread finds out.
            if self._loop.get_debug():
                logger.debug("pid %d is watched by a thread: %s", self._popen.pid, exc)
            self._close_pidfd()
            self._watch_by_thread()

    def forget(self) -> None:
        """Stop watching, with nothing reported."""
        self._loop._children.pop(self._popen.pid, None)
        self._close_pidfd()
        self.ended.cancel()

    def _close_pidfd(self) -> None:
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd != -1:
            if not self._loop.is_closed():
                self._loop._remove_reader(pidfd)
            os.close(pidfd)

    def _on_readable(self) -> None:
        try:
            returncode = self._reap()
        finally:
            self._close_pidfd()
        self._on_end(returncode)

    def _reap(self) -> int:
        try:
            _, status = os.waitpid(self._popen.pid, 0)
        except ChildProcessError:
            return self._status_read_elsewhere()
        return os.waitstatus_to_exitcode(status)

    def _status_read_elsewhere(self) -> int:
        if self._popen.returncode is not None:
            return self._popen.returncode
        logger.warning(
            "child process pid %d exit status already read: will report returncode %d",
            self._popen.pid,
            _UNKNOWN_STATUS,
        )
        return _UNKNOWN_STATUS

    def _on_end(self, returncode: int) -> None:
        self._loop._children.pop(self._popen.pid, None)
        if self._loop.get_debug():
            logger.debug("process %s exited with returncode %s", self._popen.pid, returncode)
        if not self.ended.done():
            self.ended.set_result(None)
        # From here on the number may belong to another process: `send_signal` looks here.
        if self._popen.returncode is None:
            self._popen.returncode = returncode
        # One turn later, so that output that is already in the pipes is delivered first.
        self._loop.call_soon(self._transport.note_exit, returncode)

    # -- without pidfd: a thread waits, the loop reaps ---------------------------------

    def _watch_by_thread(self) -> None:
        threading.Thread(
            target=self._wait_in_thread,
            name=f"tulipa-waitpid-{next(_thread_numbers)}",
            daemon=True,
        ).start()
        self._loop._hold()

    def _wait_in_thread(self) -> None:
        try:
            # WNOWAIT: the loop reads the status, so that no signal is sent to a number
            # that was freed meanwhile.
            os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            pass
        try:
            self._loop.call_soon_threadsafe(self._on_thread_done)
        except RuntimeError:  # The loop was closed meanwhile: leave no zombie.
            self._popen.returncode = self._reap()
            logger.warning("Loop %r that handles pid %r is closed", self._loop, self._popen.pid)

    def _on_thread_done(self) -> None:
        self._loop._release()
        self._on_end(self._reap())


class _SubprocessTransport(BaseSubprocessTransport):
    """asyncio's subprocess transport of the running version, with our ways to start and end."""

    popen: subprocess.Popen[bytes]

    def __init__(self, loop: ProcessMixin, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(loop, *args, **kwargs)
        except BaseException:
            # Popen may have succeeded and what follows failed (a task factory that raises).
            if (popen := getattr(self, "popen", None)) is not None:
                popen.kill()
                popen.wait()
                for pipe in (popen.stdin, popen.stdout, popen.stderr):
                    _close_pipe(pipe)
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
        # 3.11 and older AIX use a socket pair for stdin; ours is a pipe (rule 2).
        popen: Any = subprocess.Popen(
            args,
            shell=shell,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            universal_newlines=False,
            bufsize=bufsize,
            **kwargs,
        )
        self.popen = self._proc = popen

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
                    _close_pipe(raw[number])

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


def _close_pipe(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        try:
            pipe.close()
        except OSError:
            pass  # Nobody reads what was buffered; the descriptor is closed all the same.

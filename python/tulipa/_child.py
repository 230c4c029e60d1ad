"""One child process, from its making until its status is known.

Lives here: waiting until a child has begun, and learning that it ended, by pidfd. Not here: how it is
started (`_spawning`), its pipes, and what the program sees of it (`_process`).

1. No handler of SIGCHLD is set and no other child is waited for: both are the program's (R10).
2. A child that is watched is reaped by the loop, whoever waits for its end and however that is cut
   short (R5).
3. A status that somebody else has read is reported as 255 with a warning, as asyncio does, unless it
   was read through the very `Popen` of the transport, which then knows it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import threading
from asyncio.log import logger
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import _native
from ._spawning import Popen

if TYPE_CHECKING:
    from ._process import ProcessMixin

__all__ = ["Child"]

_UNKNOWN_STATUS = 255
_thread_numbers = itertools.count()


class Child:
    """A child process that the loop watches."""

    def __init__(self, loop: ProcessMixin, popen: subprocess.Popen[bytes]) -> None:
        self._loop = loop
        self._popen = popen
        self._pidfd = -1
        self._status_lost = False
        self._tell: Callable[[int], object] | None = None
        self.is_watched = False
        self.ended: asyncio.Future[None] = loop.create_future()

    async def begin(self) -> None:
        """Wait until the child is the program.

        Raises the `OSError` of `subprocess.Popen` if it cannot become it; the child ends then.
        """
        popen = self._popen
        if not isinstance(popen, Popen) or popen.start is None:
            return  # Started by Popen's own means, which wait.
        start = popen.start
        begun: asyncio.Future[None] = self._loop.create_future()
        self._loop._add_reader(start.fileno(), self._on_report, start, begun)
        try:
            await begun
        finally:
            if not self._loop.is_closed():
                self._loop._remove_reader(start.fileno())
        failure = start.outcome()
        popen.close_start()
        popen.check_start(failure)

    def _on_report(self, start: _native.ChildStart, begun: asyncio.Future[None]) -> None:
        try:
            start.outcome()
        except BlockingIOError:
            return  # It has failed and said so, and is still there.
        if not begun.done():
            begun.set_result(None)

    def watch(self) -> None:
        """Have the child reaped once it has ended, by pidfd or else by a thread.

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
        self.is_watched = True

    def on_end(self, tell: Callable[[int], object]) -> None:
        """Have `tell` called with the child's status when it has ended, or soon if it has."""
        self._tell = tell
        if self.ended.done() and not self.ended.cancelled():
            self._pass_on()

    def forget(self) -> None:
        """Stop watching, with nothing reported."""
        self.is_watched = False
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
            self._reap()
        finally:
            self._close_pidfd()
        self._on_reaped()

    def _reap(self) -> None:
        try:
            _, status = os.waitpid(self._popen.pid, 0)
        except ChildProcessError:
            if self._popen.returncode is None:
                self._status_lost = True
                self._popen.returncode = _UNKNOWN_STATUS
        else:
            # From here on the number may belong to another process: `send_signal` looks here.
            self._popen.returncode = os.waitstatus_to_exitcode(status)

    def _on_reaped(self) -> None:
        popen = self._popen
        self._loop._children.pop(popen.pid, None)
        if self._loop.get_debug():
            logger.debug("process %s exited with returncode %s", popen.pid, popen.returncode)
        if not self.ended.done():
            self.ended.set_result(None)
        if self._tell is not None:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._status_lost:
            logger.warning(
                "child process pid %d exit status already read: will report returncode %d",
                self._popen.pid,
                _UNKNOWN_STATUS,
            )
        # One turn later, so that output that is already in the pipes is delivered first.
        assert self._tell is not None
        self._loop.call_soon(self._tell, self._popen.returncode)

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
            self._reap()
            logger.warning("Loop %r that handles pid %r is closed", self._loop, self._popen.pid)

    def _on_thread_done(self) -> None:
        self._loop._release()
        self._reap()
        self._on_reaped()

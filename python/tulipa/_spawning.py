"""A `subprocess.Popen` that does not wait until its child has begun.

Lives here: `spawn`, and the `Popen` behind it. Not here: how a child is made (native), and waiting until
it has begun (`_child`).

`subprocess.Popen` waits, with the interpreter's lock held, while the child changes its folder, closes
descriptors, searches the path and reads the program from its disk. Here all arguments are checked and all
pipes made by Popen itself; only its last step, `_execute_child`, is replaced.

Popen's own step is left in place where it can do what the native one cannot, which is what needs a real
fork (`preexec_fn`) or other privileges in memory of its own (`user`, `group`, `extra_groups`), and where a
program, a debugger or a test has put something else in its place.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import subprocess
import sys
import termios
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from . import _native
from ._compat import POPEN, popen_is_as_known

__all__ = ["Popen", "close_pipe", "close_pipes", "spawn"]

# What a machine may run out of. Any other error of making a child says that this system, an emulator or a
# sandbox perhaps, does not know or allow the native way; Popen's own has others to fall back to.
_EXHAUSTED = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


def spawn(args: Any, **options: Any) -> subprocess.Popen[bytes]:
    """Return the Popen of a new child, which may still be on its way. Raises as `subprocess.Popen`."""
    # Looked at now: tests put fakes there, and tools their own class.
    cls: Any = Popen if subprocess.Popen is POPEN else subprocess.Popen
    if options.get("controlling_terminal") and cls is not Popen:
        raise NotImplementedError(
            f"{cls!r}, which stands in for subprocess.Popen, gives no child a controlling terminal"
        )
    popen: subprocess.Popen[bytes] = cls(args, universal_newlines=False, **options)
    return popen


class Popen(subprocess.Popen[bytes]):
    """A child that may still be on its way to its program, in all else a `subprocess.Popen`."""

    start: _native.ChildStart | None = None
    _program: Any
    _folder: Any

    def __init__(self, args: Any, *, controlling_terminal: bool = False, **options: Any) -> None:
        # The terminal is standard input, and controls a session that the child leads.
        self._controlling_terminal = controlling_terminal
        if controlling_terminal:
            options["start_new_session"] = True
        super().__init__(args, **options)

    def _execute_child(  # The names and the order are those of Popen on 3.11 to 3.15; see `popen_is_as_known`.
        self,
        args: Any,
        executable: Any,
        preexec_fn: Any,
        close_fds: bool,
        pass_fds: Iterable[int],
        cwd: Any,
        env: Mapping[Any, Any] | None,
        startupinfo: Any,
        creationflags: int,
        shell: bool,
        p2cread: int,
        p2cwrite: int,
        c2pread: int,
        c2pwrite: int,
        errread: int,
        errwrite: int,
        restore_signals: bool,
        gid: int | None,
        gids: list[int] | None,
        uid: int | None,
        umask: int,
        start_new_session: bool,
        process_group: int,
    ) -> None:
        pipes = (p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)
        inherited: Any = super()

        def execute_by_popen() -> None:
            inherited._execute_child(
                args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell,
                *pipes, restore_signals, gid, gids, uid, umask, start_new_session, process_group,
            )  # fmt: skip

        needs_more = any(given is not None for given in (preexec_fn, gid, gids, uid))
        if self._controlling_terminal:
            preexec_fn = _then_take_terminal(preexec_fn)
        if needs_more or not popen_is_as_known():
            return execute_by_popen()

        arguments = _arguments(args, shell, executable)
        self._program = arguments[0] if executable is None else executable
        self._folder = cwd
        sys.audit("subprocess.Popen", self._program, arguments, cwd, env)
        try:
            self.start = _native.start_child(
                [os.fsencode(argument) for argument in arguments],
                _paths(os.fsencode(self._program), env),
                None if env is None else _environment(env),
                None if cwd is None else os.fsencode(cwd),
                (p2cread, c2pwrite, errwrite),
                _kept(pass_fds) if close_fds else None,
                restore_signals=bool(restore_signals),
                new_session=bool(start_new_session),
                controlling_terminal=self._controlling_terminal,
                process_group=process_group,
                umask=umask,
            )
        except OSError as exc:
            if exc.errno in _EXHAUSTED:
                raise
            return execute_by_popen()
        self.pid = self.start.pid
        of_popen: Any = self
        of_popen._child_created = True
        of_popen._close_pipe_fds(*pipes)

    def close_start(self) -> None:
        """Free what the child had on its way; it has to be its program by now, or to have ended."""
        if self.start is not None:
            self.start.close()
            self.start = None

    def check_start(self, failure: tuple[str, int] | None) -> None:
        """Raise the `OSError` of a child that has failed to become the program, as `subprocess.Popen` words it."""
        if failure is None:
            return
        step, number = failure
        message = os.strerror(number)
        if step == "chdir":
            raise OSError(number, message, self._folder)
        if step == "exec":
            raise OSError(number, message, self._program)
        raise OSError(number, message)


def _then_take_terminal(preexec_fn: Callable[[], object] | None) -> Callable[[], None]:
    """What a child made by Popen's own means calls after a fork."""

    def take_terminal() -> None:
        if preexec_fn is not None:
            preexec_fn()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    return take_terminal


def _arguments(args: Any, shell: bool, executable: Any) -> list[Any]:
    arguments: list[Any]
    if isinstance(args, (str, bytes)):
        arguments = [args]
    elif isinstance(args, os.PathLike):
        if shell:
            raise TypeError("path-like args is not allowed when shell is true")
        arguments = [args]
    else:
        arguments = list(args)
    if shell:
        arguments = [executable or "/bin/sh", "-c", *arguments]
    return arguments


def _paths(program: bytes, env: Mapping[Any, Any] | None) -> list[bytes]:
    """Where the program may be: a name without a folder is looked for in the child's PATH."""
    if os.path.dirname(program):
        return [program]
    if env is None:
        # What `os.get_exec_path` gives, without its guard against warnings, which costs more than the rest.
        folders = _folders(os.environ.get("PATH", os.defpath))
    else:
        folders = tuple(map(os.fsencode, os.get_exec_path(env)))
    return [folder + b"/" + program if folder else program for folder in folders]


@functools.lru_cache(maxsize=8)
def _folders(path: str) -> tuple[bytes, ...]:
    return tuple(map(os.fsencode, path.split(os.pathsep)))


def _environment(env: Mapping[Any, Any]) -> list[bytes]:
    entries: list[bytes] = []
    for name, value in env.items():
        name = os.fsencode(name)
        if b"=" in name:
            raise ValueError("illegal environment variable name")
        entries.append(name + b"=" + os.fsencode(value))
    return entries


def _kept(pass_fds: Iterable[int]) -> list[int]:
    numbers = [int(number) for number in pass_fds]
    if any(not 0 <= number < 1 << 31 for number in numbers):
        raise ValueError("bad value(s) in fds_to_keep")
    return numbers


def close_pipes(popen: subprocess.Popen[bytes]) -> None:
    """Close our ends of a child's pipes."""
    for pipe in (popen.stdin, popen.stdout, popen.stderr):
        close_pipe(pipe)


def close_pipe(pipe: IO[bytes] | None) -> None:
    """Close our end of one pipe, or nothing."""
    if pipe is not None:
        try:
            pipe.close()
        except OSError:
            pass  # Nobody reads what was buffered; the descriptor is closed all the same.

"""A shell with job control on a terminal of its own, for programs that must behave on one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import textwrap
import time

import pytest

SECONDS = 20


class Shell:
    """An interactive shell. What it shows is kept in `seen`; `until` waits for words that were not asked for yet."""

    def __init__(self, folder):
        shell = shutil.which("bash")
        if shell is None:
            pytest.skip("no bash, whose job control these tests use")
        self.folder = folder
        self.master, slave = pty.openpty()
        self.seen = ""
        self._asked = 0
        self._programs = 0
        environment = {**os.environ, "PS1": "$ ", "TERM": "dumb", "PYTHON": sys.executable}
        environment.pop("PROMPT_COMMAND", None)
        self.process = subprocess.Popen(
            [shell, "--norc", "--noprofile", "--noediting", "-i"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.until("$ ")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def run(self, command: str) -> None:
        """Type a command whose echo is not taken for its output: `until` looks behind it."""
        self.type(command + "\n")
        self.until(command.rpartition("\n")[2][-20:])

    def until(self, words: str) -> str:
        """Wait for words in what is shown; what was shown up to them since the last call."""
        assert self.shows(words, SECONDS), f"{words!r} is not shown; what is: {self.seen[self._asked :]!r}"
        found = self.seen.find(words, self._asked)
        shown = self.seen[self._asked : found]
        self._asked = found + len(words)
        return shown

    def shows(self, words: str, seconds: float) -> bool:
        """Whether words come within some time."""
        deadline = time.monotonic() + seconds
        while self.seen.find(words, self._asked) < 0:
            if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
                return False
            self.seen += os.read(self.master, 65536).decode(errors="replace").replace("\r\n", "\n")
        return True

    def program(self, backend, source: str) -> str:
        """A command that runs `source`, in which `new_loop()` and `run(main)` stand for the backend."""
        self._programs += 1
        path = self.folder / f"program{self._programs}.py"
        path.write_text(backend.preamble + textwrap.dedent(source))
        return f"$PYTHON {path.name}"

    def modes(self) -> list:
        """How the terminal is set, its colours and control characters included."""
        return termios.tcgetattr(self.master)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        # The end of the terminal ends everything on it.
        os.close(self.master)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def shell_on_a_terminal(folder):
    shell = Shell(folder)
    try:
        yield shell
    finally:
        shell.close()

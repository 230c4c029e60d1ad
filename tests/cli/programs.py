"""Starting programs with plain python and with `tulipa run`, and waiting for what they do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap

PYTHON = (sys.executable,)
TULIPA = (sys.executable, "-m", "tulipa", "run")
SECONDS = 20


def write(folder, name, text):
    """Write a program; return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip())
    return path


def environment(**changes):
    """The environment of this process, without what would change how a program runs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TULIPA_", "PYTHON", "COV"))}
    return {**kept, "NO_COLOR": "1", **changes}


def run(starter, *arguments, cwd, stdin="", **changes):
    """Run to the end; return the finished process with its text output."""
    return subprocess.run(
        [*starter, *arguments],
        cwd=cwd,
        env=environment(**changes),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


@contextlib.contextmanager
def running(starter, *arguments, cwd):
    """Start a program and wait for its first line, which must be `ready`."""
    process = subprocess.Popen(
        [*starter, *arguments],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            line = first_line_of(process)
            if line.split()[:1] != ["ready"]:
                process.kill()
                raise AssertionError(f"not ready: {line!r} {process.stderr.read()}")
            process.first_line = line.split()
            yield process
        finally:
            process.kill()


def first_line_of(process):
    """Read one line and not a byte more: `communicate` would not see what a buffer holds."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(process.stdout.fileno(), 1)):
        line += byte
    return line.decode()


def interrupt(process):
    """Send Ctrl-C; return the exit status and what was printed after the first line."""
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, output, errors

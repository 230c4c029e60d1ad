"""Running a child program on one of the loops, with a time limit: what aborts or hangs there is seen here."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time

SECONDS = 25


def run_program(backend, source, *args, flags=(), seconds=SECONDS, env=None, prefix=(), **options):
    """Run `source`, in which `new_loop()` and `run(main)` stand for the backend; the finished process, as text."""
    command = [*prefix, sys.executable, *flags, "-c", backend.preamble + textwrap.dedent(source), *args]
    options.setdefault("stdin", subprocess.DEVNULL)
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **(env or {})}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, env=environment, check=False, **options
    )


@contextlib.contextmanager
def start_program(backend, source, *args, flags=(), env=None, **options):
    """The same, started but not awaited. It is killed at the end, if it still runs, so as to disturb no other test."""
    command = [sys.executable, *flags, "-c", backend.preamble + textwrap.dedent(source), *args]
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **(env or {})}
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    with subprocess.Popen(command, text=True, env=environment, **options) as program:
        try:
            yield program
        finally:
            program.kill()


def until_asleep(program) -> None:
    """Return once a started program has nothing to do and waits for something."""
    while program.poll() is None:
        with open(f"/proc/{program.pid}/stat") as file:
            state = file.read().rpartition(")")[2].split()[0]
        if state == "S":
            return
        time.sleep(0.001)


def check_program(backend, source, *args, **options) -> str:
    """Run it, demand success and a silent standard error, give what it printed."""
    done = run_program(backend, source, *args, **options)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stderr == "", done.stderr
    return done.stdout

"""Starts the examples as a user would: in a process of their own, with nothing but their arguments."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SECONDS = 20


def code_lines(name):
    """Lines of an example that are neither blank nor a comment."""
    lines = (line.strip() for line in (EXAMPLES / name).read_text().splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def command(name, *arguments, runner=()):
    return [sys.executable, *runner, EXAMPLES / name, *map(str, arguments)]


def run(name, *arguments, **kwargs):
    """Run an example to its end."""
    return subprocess.run(command(name, *arguments), capture_output=True, text=True, timeout=SECONDS, **kwargs)


@contextlib.contextmanager
def started(name, *arguments, runner=(), **kwargs):
    """Run an example beside the test; it is killed at the end if it still runs."""
    with subprocess.Popen(command(name, *arguments, runner=runner), stdout=subprocess.PIPE, **kwargs) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port():
    with socket.create_server(("localhost", 0)) as sock:
        return sock.getsockname()[1]


def connect(port, process):
    """Connect to a server that is about to listen; fail if it has ended instead."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            sock = socket.create_connection(("localhost", port), timeout=SECONDS)
        except ConnectionRefusedError:
            assert process.poll() is None, f"the server has ended with status {process.returncode}"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.01)
        else:
            # A connection to a free port of one's own can meet itself.
            if sock.getsockname() != sock.getpeername():
                return sock
            sock.close()

"""Counting the system calls of a child program with strace."""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

SECONDS = 25


def require_strace() -> str:
    """The path of strace; skips the test where there is none, or where tracing is forbidden."""
    path = shutil.which("strace")
    if path is None:
        pytest.skip("strace is not installed")
    done = subprocess.run([path, "-c", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"strace cannot trace here: {done.stderr.strip()}")
    return path


def read_counts(path) -> collections.Counter:
    """The table that `strace -c` writes, as calls by name."""
    counts = collections.Counter()
    for line in Path(path).read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit() and words[-1] not in ("total", "syscall"):
            counts[words[-1]] += int(words[3])
    return counts


@contextlib.contextmanager
def traced_program(backend, source, *args):
    """A running child program under strace, and a function that waits for its end and gives the counts."""
    strace = require_strace()
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "table")
        command = [
            strace,
            "-f",
            "-c",
            "-o",
            table,
            sys.executable,
            "-c",
            backend.preamble + textwrap.dedent(source),
            *args,
        ]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
        with subprocess.Popen(command, start_new_session=True, **pipes) as program:

            def finish() -> collections.Counter:
                _, err = program.communicate(timeout=SECONDS)
                assert program.returncode == 0, err.decode()
                return read_counts(table)

            try:
                yield program, finish
            finally:
                # The traced program, too: one that strace has let go of would live on.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)


def counts_of_program(backend, source, *args) -> collections.Counter:
    """Run to the end and count."""
    with traced_program(backend, source, *args) as (_, finish):
        return finish()


def counts_of_echo(backend, server, *, connections: int, rounds: int, size: int, datagrams: bool = False):
    """Let a traced echo server answer `rounds` times to one message on each connection; count its calls.

    In each round the messages are all there before the server looks, so that the counts do not depend on luck: after
    the last answer of a round the server says so in a turn of its own, past its look for input, and blocks until the
    tester has sent the messages of the next one.
    """
    with traced_program(backend, server, str(connections)) as (program, finish):
        address = ("127.0.0.1", int(program.stdout.readline()))
        assert program.stdout.read(1) == b"w"
        kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
        clients = [socket.socket(type=kind) for _ in range(connections)]
        try:
            for client in clients:
                client.settimeout(SECONDS)
                client.connect(address)
            for _ in range(rounds):
                for client in clients:
                    client.sendall(b"m" * size)
                program.stdin.write(b"g")
                for client in clients:
                    got = 0
                    while got < size:
                        got += len(client.recv(size))
                assert program.stdout.read(1) == b"w"
            program.stdin.write(b"q")
            return finish()
        finally:
            for client in clients:
                client.close()


def steady_counts(backend, server, *, connections: int, size: int = 1024, datagrams: bool = False):
    """The calls per round in the steady state: what 70 rounds cost beyond 20, beginning and end taken off."""
    few, many = (
        counts_of_echo(backend, server, connections=connections, rounds=rounds, size=size, datagrams=datagrams)
        for rounds in (20, 70)
    )
    names = few.keys() | many.keys()
    return {name: (many[name] - few[name]) / 50 for name in names if many[name] != few[name]}

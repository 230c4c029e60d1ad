"""Counting the system calls of a child program with strace, between two marks that the program sets itself.

What comes before the first mark and after the last (starting, warming up, ending) varies from run to run, and does not
count.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
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


# What a program runs to set a mark, and how strace shows that.
MARKING = """
import os
def mark():
    os.access("a mark", os.F_OK)
"""
MARK = 'access("a mark"'
CALL = re.compile(r"^\d+ +(\w+)\(")


@contextlib.contextmanager
def traced_program(backend, source, *args):
    """A running child program under strace, and a function that waits for its end and gives the lines of the trace."""
    strace = require_strace()
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "trace")
        program = backend.preamble + MARKING + textwrap.dedent(source)
        command = [strace, "-f", "-o", trace, sys.executable, "-c", program, *args]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
        with subprocess.Popen(command, start_new_session=True, **pipes) as program:

            def finish() -> list[str]:
                _, err = program.communicate(timeout=SECONDS)
                assert program.returncode == 0, err.decode()
                return Path(trace).read_text().splitlines()

            try:
                yield program, finish
            finally:
                # The traced program, too: one that strace has let go of would live on.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)


def counts_between(trace: list[str], begin: int, end: int) -> collections.Counter:
    """The calls by name between two lines of a trace, both left out."""
    calls = map(CALL.match, trace[begin + 1 : end])
    return collections.Counter(call[1] for call in calls if call)


def counts_of_program(backend, source, *args) -> collections.Counter:
    """Run a program to its end; the calls by name between the two marks that it sets with `mark()`."""
    with traced_program(backend, source, *args) as (_, finish):
        trace = finish()
    begin, end = (number for number, line in enumerate(trace) if MARK in line)
    return counts_between(trace, begin, end)


WARMING_UP, ROUNDS = 20, 50


def steady_counts(backend, server, *, connections: int, size: int = 1024, datagrams: bool = False):
    """Let a traced echo server answer to one message on each connection, many times; its calls per round, by name.

    In each round the messages are all there before the server looks, so that the counts do not depend on luck: after
    the last answer of a round the server says so in a turn of its own, past its look for input, and blocks until the
    tester has sent the messages of the next one. What it says so with is the mark.
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
            for _ in range(WARMING_UP + ROUNDS):
                for client in clients:
                    client.sendall(b"m" * size)
                program.stdin.write(b"g")
                for client in clients:
                    got = 0
                    while got < size:
                        got += len(client.recv(size))
                assert program.stdout.read(1) == b"w"
            program.stdin.write(b"q")
            trace = finish()
        finally:
            for client in clients:
                client.close()
    said = [number for number, line in enumerate(trace) if 'write(1, "w"' in line]
    counts = counts_between(trace, said[-ROUNDS - 1], said[-1])
    # The mark at one of the two ends belongs to the rounds.
    counts["write"] += 1
    return {name: count / ROUNDS for name, count in counts.items()}

"""Starting `tulipa pipe`, and peers that know nothing of it."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading

from tests.cli.programs import SECONDS, TULIPA, environment

PIPE = (*TULIPA[:-1], "pipe")


def join(*arguments, cwd, stdin=b"", timeout=SECONDS):
    """Run to the end; return the finished process with its output as bytes."""
    return subprocess.run(
        [*PIPE, *arguments], cwd=cwd, env=environment(), input=stdin, capture_output=True, timeout=timeout, check=False
    )


@contextlib.contextmanager
def joining(*arguments, cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options):
    """A pipe that runs; killed at the end if it still does."""
    with subprocess.Popen(
        [*PIPE, "-v", *arguments],
        cwd=cwd,
        env=environment(),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        bufsize=0,
        **options,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def port_of(process):
    """Wait until it listens; the port."""
    line = process.stderr.readline().decode()
    found = re.search(r"listening on .*:(\d+)$", line.strip())
    assert found, line + process.stderr.read().decode()
    return int(found.group(1))


def path_of(process):
    """Wait until it listens on a Unix socket; the path."""
    line = process.stderr.readline().decode().strip()
    assert "listening on " in line, line + process.stderr.read().decode()
    return line.partition("listening on ")[2]


CONNECTION = "tulipa pipe: connection from "


def complaint(process):
    """The next line that is said, but for those on connections."""
    return next(
        line for line in iter(lambda: process.stderr.readline().decode(), "") if not line.startswith(CONNECTION)
    )


def ended(process):
    """Wait for the end; the status, and what was said, but for connections."""
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    lines = process.stderr.read().decode().splitlines(keepends=True)
    return process.returncode, "".join(line for line in lines if not line.startswith(CONNECTION))


def everything(sock):
    """What arrives until the end."""
    sock.settimeout(SECONDS)
    return b"".join(iter(lambda: sock.recv(65536), b""))


@contextlib.contextmanager
def server(serve, family=socket.AF_INET, address=("127.0.0.1", 0)):
    """A listener that gives one connection to `serve` on a thread of its own; its address."""
    failures = []

    def run():
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(SECONDS)
                serve(connection)
        except BaseException as exc:
            failures.append(exc)

    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen()
        listener.settimeout(SECONDS)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            thread.join()
    if failures:
        raise failures[0]


def upper(sock):
    """Answer with capital letters once the question has ended."""
    sock.sendall(everything(sock).upper())

"""Counting descriptors and threads, and pairs of them to talk through."""

from __future__ import annotations

import contextlib
import os
import socket


def open_descriptors() -> dict[int, str]:
    """The descriptors of this process and what each refers to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def threads_named(name: str) -> int:
    """How many threads of this process the kernel knows under that name."""
    count = 0
    for task in os.listdir("/proc/self/task"):
        # One may end before its file is open, or before it is read.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/self/task/{task}/comm") as file:
                count += file.read().strip() == name
    return count


@contextlib.contextmanager
def socket_pair(kind: int = socket.SOCK_STREAM, *, blocking: bool = False):
    """Two connected Unix sockets, closed at the end if still open."""
    left, right = socket.socketpair(socket.AF_UNIX, kind)
    left.setblocking(blocking)
    right.setblocking(blocking)
    with left, right:
        yield left, right


@contextlib.contextmanager
def pipe_files(*, buffered: bool = False):
    """The two ends of an anonymous pipe as file objects (reader, writer), closed at the end if still open."""
    read_end, write_end = os.pipe()
    size = -1 if buffered else 0
    with os.fdopen(read_end, "rb", size) as reader, os.fdopen(write_end, "wb", size) as writer:
        yield reader, writer


def fill(sock: socket.socket) -> int:
    """Send until the kernel takes no more; how many bytes it took."""
    total = 0
    chunk = b"." * 65536
    with contextlib.suppress(BlockingIOError):
        while True:
            total += sock.send(chunk)
    with contextlib.suppress(BlockingIOError):
        while True:
            total += sock.send(b".")
    return total


def small_buffers(*socks: socket.socket, size: int = 65536) -> None:
    """Let the kernel hold as little as it agrees to, so that flow control sets in early."""
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

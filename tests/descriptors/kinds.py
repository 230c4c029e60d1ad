"""The kinds of descriptor: how one is made, what the other side of it does, and what has arrived there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import select
import socket
import subprocess
import tempfile
import tty
from collections.abc import Callable, Iterator

TEXT = b"from the other side\n"


class Given:
    """A descriptor to give to a program, and the other side of it.

    `feed` makes something to read, `finish` ends it; either may be nothing, where that needs no doing.
    `arrived` gives what was written. It is to be a standard stream of the program's, unless `is_standard` is false.
    """

    def __init__(self, number: int, stack: contextlib.ExitStack):
        self.number = number
        self.stack = stack
        self.feed: Callable[[], object] | None = None
        self.finish: Callable[[], object] | None = None
        self.arrived: Callable[[], bytes] | None = None
        self.is_standard = True
        self.held: set[int] = set()
        self.hold(number)

    def hold(self, number: int) -> None:
        """Have a number closed at the end, if nobody closes it before."""
        self.held.add(number)
        self.stack.callback(self.close, number)

    def close(self, number: int) -> None:
        if number in self.held:
            self.held.remove(number)
            os.close(number)


def taken(number: int) -> Callable[[], bytes]:
    """What can be read of a descriptor within some seconds."""

    def arrived():
        if not select.select([number], [], [], 3)[0]:
            return b""
        return os.read(number, 1000)

    return arrived


def pipe(stack, writes):
    reader, writer = os.pipe()
    given, other = (writer, reader) if writes else (reader, writer)
    made = Given(given, stack)
    made.hold(other)
    made.feed, made.finish, made.arrived = lambda: os.write(writer, TEXT), lambda: made.close(writer), taken(reader)
    return made


def fifo(stack, writes):
    path = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "fifo")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    os.set_blocking(reader, True)
    given, other = (writer, reader) if writes else (reader, writer)
    made = Given(given, stack)
    made.hold(other)
    made.feed, made.finish, made.arrived = lambda: os.write(writer, TEXT), lambda: made.close(writer), taken(reader)
    return made


def unix_socket(stack, writes):
    left, right = (sock.detach() for sock in socket.socketpair())
    made = Given(left, stack)
    made.hold(right)
    made.feed, made.finish, made.arrived = lambda: os.write(right, TEXT), lambda: made.close(right), taken(right)
    return made


def regular(stack, writes, flags=0):
    file = stack.enter_context(tempfile.NamedTemporaryFile(buffering=0))
    file.write(TEXT)
    made = Given(os.open(file.name, (os.O_WRONLY if writes else os.O_RDONLY) | flags), stack)

    def arrived():
        with open(file.name, "rb") as written:
            return written.read()

    made.arrived = arrived
    return made


def appended(stack, writes):
    return regular(stack, writes, os.O_APPEND)


def terminal(stack, writes):
    master, slave = pty.openpty()
    made = Given(slave, stack)
    made.hold(master)
    made.feed, made.finish, made.arrived = (
        lambda: os.write(master, TEXT),
        lambda: os.write(master, b"\x04"),
        taken(master),
    )
    return made


def master(stack, writes):
    number, slave = pty.openpty()
    tty.setraw(slave)
    made = Given(number, stack)
    made.hold(slave)
    made.feed, made.finish, made.arrived = lambda: os.write(slave, TEXT), lambda: made.close(slave), taken(slave)
    return made


def device(path):
    def make(stack, writes):
        made = Given(os.open(path, os.O_WRONLY if writes else os.O_RDONLY), stack)
        made.arrived = lambda: b""
        return made

    return make


def block_device(stack, writes):
    """A loop device over a file; that takes privileges."""
    backing = stack.enter_context(tempfile.NamedTemporaryFile())
    backing.truncate(1 << 20)
    done = subprocess.run(["losetup", "--find", "--show", backing.name], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(done.stderr.strip())
    path = done.stdout.strip()
    stack.callback(subprocess.run, ["losetup", "--detach", path])
    made = Given(os.open(path, os.O_WRONLY if writes else os.O_RDONLY), stack)

    def arrived():
        os.fsync(made.number)
        with open(path, "rb") as written:
            return written.read(100)

    made.arrived = arrived
    return made


def eventfd(stack, writes):
    number = os.eventfd(0)
    made = Given(number, stack)
    made.feed = lambda: os.write(number, (1).to_bytes(8, "little"))
    return made


def inotify(stack, writes):
    number = ctypes.CDLL(None, use_errno=True).inotify_init()
    if number < 0:
        raise Unavailable("no inotify")
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    made = Given(number, stack)
    ctypes.CDLL(None).inotify_add_watch(number, folder.encode(), 0x100)  # IN_CREATE
    made.feed = lambda: open(os.path.join(folder, "new"), "w").close()
    return made


def directory(stack, writes):
    made = Given(os.open(stack.enter_context(tempfile.TemporaryDirectory()), os.O_RDONLY), stack)
    # Python does not start with a directory for standard input.
    made.is_standard = False
    return made


def wrong_direction(stack, writes):
    return pipe(stack, not writes)


class Unavailable(Exception):
    """This machine cannot make one."""


READ = ("read", "end of file", "close", "kill -9", "flags afterwards", "neighbour")
WRITE = ("write", "flags after writing", "neighbour writing")

#: Each kind, what makes one, and the operations that make sense there.
KINDS: dict[str, tuple[Callable, tuple[str, ...]]] = {
    "pipe": (pipe, READ + WRITE),
    "FIFO": (fifo, READ + WRITE),
    "socket": (unix_socket, READ + WRITE),
    "regular file": (regular, READ + WRITE),
    "regular file, appended to": (appended, WRITE),
    "block device": (block_device, READ + WRITE),
    "terminal, slave of a pty": (terminal, READ + WRITE),
    "master of a pty": (master, READ + WRITE),
    "`/dev/null`": (device("/dev/null"), (*READ[1:], *WRITE)),
    "`/dev/zero`": (device("/dev/zero"), ("read", *READ[2:], *WRITE)),
    "`/dev/full`": (device("/dev/full"), WRITE),
    "`/dev/urandom`": (device("/dev/urandom"), ("read", *READ[2:])),
    "eventfd": (eventfd, ("read", *READ[2:])),
    "inotify": (inotify, ("read", *READ[2:])),
    "directory": (directory, ("read",)),
    "closed descriptor": (pipe, ("closed",)),
    "wrong direction": (wrong_direction, ("read", "write")),
}


@contextlib.contextmanager
def made(kind: str, writes: bool) -> Iterator[Given]:
    with contextlib.ExitStack() as stack:
        yield KINDS[kind][0](stack, writes)

"""`tulipa pipe`: bytes arrive whole and in order, in bounded memory, at the pace of the slower end."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from tests.cli.pipes import ended, joining, port_of, server
from tests.cli.programs import SECONDS

MIB = 1024 * 1024
# How much passes through, in bytes; TULIPA_PIPE_MIB for more.
AMOUNT = int(os.environ.get("TULIPA_PIPE_MIB", "256")) * MIB
# No chunk repeats within what any buffer holds.
PATTERN = b"".join(number.to_bytes(4, "little") for number in range(MIB // 4 + 1))
# What Python, the loop and the buffers take, and much less than what passes through.
MEMORY_MAX = 64 * MIB


def memory_of(process):
    """The most memory that a process has had, in bytes."""
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def send(file_write):
    sent = 0
    while sent < AMOUNT:
        sent += file_write(PATTERN[sent // MIB % 4 * 1024 :][: min(MIB, AMOUNT - sent)])


def check(read):
    """Compare what arrives with what was sent, piece by piece."""
    got, sent, expected = 0, 0, b""
    while data := read():
        while len(expected) < len(data):
            piece = PATTERN[sent // MIB % 4 * 1024 :][: min(MIB, AMOUNT - sent)]
            if not piece:
                break
            expected += piece
            sent += len(piece)
        assert data == expected[: len(data)], f"after {got} bytes"
        expected = expected[len(data) :]
        got += len(data)
    assert got == AMOUNT


@pytest.mark.timeout(600)
def test_any_amount_passes_in_constant_memory(tmp_path):  # V1
    with joining("stdio:", "exec:cat", cwd=tmp_path) as process:

        def write():
            send(process.stdin.write)
            process.stdin.close()

        writer = threading.Thread(target=write)
        writer.start()
        highest = []

        def read():
            data = os.read(process.stdout.fileno(), MIB)
            if data:
                highest[:] = [memory_of(process)]
            return data

        check(read)
        writer.join(SECONDS)
        assert ended(process) == (0, "")
    assert highest[0] < MEMORY_MAX


@pytest.mark.timeout(600)
def test_any_amount_passes_over_connections(tmp_path):
    def serve(sock):
        check(lambda: sock.recv(MIB))

    with server(serve) as (host, port):
        with joining("-u", "tcp-listen:127.0.0.1:0", f"tcp:{host}:{port}", cwd=tmp_path) as process:
            with socket.create_connection(("127.0.0.1", port_of(process)), SECONDS) as sock:
                send(lambda data: sock.send(data))
            assert ended(process) == (0, "")


def test_a_reader_that_stops_stops_the_writer(tmp_path):  # G17
    """What is under way is bounded by the buffers of the kernel and `--buffer`."""
    with joining("--buffer", "64K", "stdio:", "exec:cat", cwd=tmp_path) as process:
        os.set_blocking(process.stdin.fileno(), False)
        written = idle = 0
        # Nobody reads standard output: the writer is stopped once all is full, and stays so.
        while idle < 20:
            try:
                written += os.write(process.stdin.fileno(), bytes(65536))
                idle = 0
            except BlockingIOError:
                idle += 1
                select_for(process.stdin)
            assert written < 8 * MIB
        os.set_blocking(process.stdin.fileno(), True)
        process.stdin.close()
        assert sum(map(len, iter(lambda: process.stdout.read(MIB), b""))) == written
        assert ended(process) == (0, "")


def select_for(file):
    """Wait until the file takes more, or for a twentieth of a second."""
    import select

    select.select([], [file], [], 0.05)

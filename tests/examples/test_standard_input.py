"""The programs that await standard input get each chunk when it arrives. # P1 P3 P4"""

from __future__ import annotations

import os
import pty
import subprocess

import pytest

from tests.examples.programs import run, started

BOTH = pytest.mark.parametrize("name", ["stdin_protocol.py", "stdin_reader.py"])


@BOTH
def test_a_chunk_is_reported_before_the_next_is_sent(name):
    with started(name, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        if name == "stdin_protocol.py":
            assert process.stdout.readline() == b"connected\n"
        for chunk in (b"no newline", b"\x00\xff binary", b"x" * 4096):
            os.write(process.stdin.fileno(), chunk)
            assert process.stdout.readline() == f"{len(chunk)} bytes: {chunk[:40]!r}\n".encode()
        process.stdin.close()
        assert process.stdout.readline() == b"end of input\n"
        assert process.wait(20) == 0


@BOTH
def test_the_end_alone_is_enough(name):
    done = run(name, input="")
    assert done.returncode == 0, done.stderr
    assert "end of input\n" in done.stdout


def test_dev_null_is_an_input():
    done = run("stdin_protocol.py", stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "end of input\n" in done.stdout


def test_a_terminal_is_an_input():
    master, slave = pty.openpty()
    try:
        with started("stdin_protocol.py", stdin=slave, stderr=subprocess.DEVNULL) as process:
            assert process.stdout.readline() == b"connected\n"
            os.write(master, b"typed\n")
            assert process.stdout.readline() == b"6 bytes: b'typed\\n'\n"
            os.write(master, b"\x04")
            assert process.stdout.readline() == b"end of input\n"
            assert process.wait(20) == 0
    finally:
        os.close(master)
        os.close(slave)


@BOTH
def test_a_regular_file_is_an_input(name, tmp_path):
    file = tmp_path / "input"
    file.write_text("text")
    with file.open() as stdin:
        done = run(name, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert "4 bytes: b'text'\nend of input\n" in done.stdout

"""The programs about streams of the program, terminals, joined transports and other sources. # G5 # G7 # G8"""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess

import pytest

from tests.examples.programs import command, run, started


def test_lines_are_numbered():
    done = run("number_lines.py", input="one\nz\u00fcrich\nlast")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "     1  one\n     2  z\u00fcrich\n     3  last"
    assert done.stderr == "3 lines, 16 bytes\n"


def test_the_progress_of_a_file_is_shown(tmp_path):
    file = tmp_path / "lines"
    file.write_text("0123456789\n" * 250_000)
    with file.open() as stdin:
        done = run("number_lines.py", stdin=stdin)
    assert done.returncode == 0, done.stderr
    *shares, last = done.stderr.splitlines()
    assert len(shares) == 2 and all(share.endswith("%") for share in shares)
    assert last == "250000 lines, 2750000 bytes"
    assert len(done.stdout) == 250_000 * 19


def test_a_filter_in_a_pipeline_ends_with_its_reader():
    line = " ".join(map(str, command("number_lines.py")))
    done = subprocess.run(f"yes | {line} | head -n 2", shell=True, capture_output=True, text=True, timeout=30)
    assert done.stdout == "     1  y\n     2  y\n"
    assert "BrokenPipeError" in done.stderr


def test_halves_are_joined():
    with started("join_halves.py", stdin=subprocess.PIPE) as process:
        text = os.urandom(300_000).hex().encode()
        output, _ = process.communicate(text, timeout=30)
    assert process.returncode == 0
    assert gzip.decompress(output) == text


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_tls_runs_over_pipes(tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    done = run("tls_over_pipes.py", certificate, key)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["b'THROUGH TWO PIPES\\n' TLSv1.3", "the child ended with status 0"]
    assert done.stderr == ""


def test_a_child_has_a_terminal():
    done = run("terminal_child.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "b'your name? '",
        "b'hello, tulipa\\r\\n'",
        "b'a line, at 50 132\\r\\n'",
        "b'end of input\\r\\n'",
        "exit status 3",
    ]
    assert done.stderr == ""


def test_other_sources_deliver_and_end_the_program():
    done = run("event_source.py")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("message")] == [f"message {number}" for number in range(3)]
    assert [line for line in lines if line.startswith("window")] == [
        "window opened",
        "window clicked",
        "window clicked",
        "window closed",
    ]


def test_ctrl_c_ends_a_filter_that_waits():  # P8
    with started("number_lines.py", stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"one\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"     1  one\n"
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.stderr.read()
        assert process.wait(20) != 0

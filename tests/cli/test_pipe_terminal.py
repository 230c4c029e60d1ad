"""`tulipa pipe` on a terminal: the line of `--stats`, keys passed on, the terminal sane afterwards. # P8"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

from tests.cli.pipes import PIPE, join
from tests.cli.programs import SECONDS, environment

SUMMARY = re.compile(r"A to B (\S+ \w+), B to A (\S+ \w+), \S+ \w+/s, \S+ (s|min)\r?\n")


@contextlib.contextmanager
def on_a_terminal(*arguments, cwd, size=(80, 24)):
    """A pipe whose standard streams are a terminal that it controls; the process, and the terminal's other side."""
    master, slave = os.openpty()
    set_size(slave, *size)
    process = subprocess.Popen(
        [*PIPE, *arguments],
        cwd=cwd, env=environment(), stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    with process:
        try:
            yield process, master, slave
        finally:
            process.kill()
            os.close(master)
            os.close(slave)


def set_size(terminal, columns, lines):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def shown(master, wanted):
    """Wait until the terminal shows something; all that it has shown until then."""
    text, deadline = b"", time.monotonic() + SECONDS
    while wanted not in text:
        assert time.monotonic() < deadline, text
        if select.select([master], [], [], 0.1)[0]:
            text += os.read(master, 65536)
    return text


def settings(terminal):
    return termios.tcgetattr(terminal)


def test_the_line_of_progress_is_for_terminals(tmp_path):
    with on_a_terminal("--stats", "stdio:", "exec:cat", cwd=tmp_path) as (process, master, _):
        shown(master, b"A to B 0 B  B to A 0 B")
        os.write(master, b"tulip\n")
        shown(master, b"\rA to B 6 B  B to A 6 B")
        os.write(master, b"\x04")
        text = shown(master, b"s\r\n")
        assert process.wait(SECONDS) == 0
    assert SUMMARY.search(text.decode().rpartition("\r ")[2])


def test_elsewhere_there_is_only_the_summary(tmp_path):
    found = join("--stats", "stdio:", "exec:tr -d i", cwd=tmp_path, stdin=b"tulip" * 1000)
    assert (found.returncode, found.stdout) == (0, b"tulp" * 1000)
    text = found.stderr.decode()
    assert SUMMARY.fullmatch(text)
    assert text.startswith("A to B 4.88 KiB, B to A 3.91 KiB, ")


def test_the_summary_comes_after_a_failure_as_well(tmp_path):
    found = join("--stats", "stdio:", "exec:false", cwd=tmp_path)
    assert found.returncode == 1
    assert found.stderr.decode().splitlines()[0].endswith("the command has ended with status 1")
    assert SUMMARY.fullmatch(found.stderr.decode().splitlines(keepends=True)[1])


def test_ctrl_c_at_the_keyboard_ends_it(tmp_path):
    with on_a_terminal("stdio:", "exec:sh -c 'echo begun; exec sleep 60'", cwd=tmp_path) as (process, master, slave):
        before = settings(slave)
        shown(master, b"begun")
        os.write(master, b"\x03")
        assert process.wait(SECONDS) == 130
        assert settings(slave) == before


def test_raw_passes_keys_on_to_a_program_on_a_terminal(tmp_path):
    script = "stty -echo; trap 'echo trapped; exit 0' INT; echo begun; while :; do sleep 0.05; done"
    with on_a_terminal("stdio:,raw", f'pty:sh -c "{script}"', cwd=tmp_path) as (process, master, slave):
        before = settings(slave)
        shown(master, b"begun")
        assert settings(slave) != before
        # The key goes to the program, not to the pipe.
        os.write(master, b"\x03")
        shown(master, b"trapped")
        assert process.wait(SECONDS) == 0
        assert settings(slave) == before


def test_the_terminal_is_sane_after_a_signal(tmp_path):
    with on_a_terminal("stdio:,raw", "pty:sh -c 'echo begun; exec sleep 60'", cwd=tmp_path) as (process, master, slave):
        before = settings(slave)
        shown(master, b"begun")
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 143
        assert settings(slave) == before


def test_a_program_on_a_terminal_has_the_size_of_ours(tmp_path):
    script = "trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.05; done"
    with on_a_terminal("stdio:", f'pty:sh -c "{script}"', cwd=tmp_path, size=(100, 30)) as (process, master, slave):
        shown(master, b"30 100")
        set_size(slave, 120, 40)
        shown(master, b"40 120")
        assert process.wait(SECONDS) == 0


def test_the_end_of_the_other_side_ends_a_terminal_that_nobody_types_on(tmp_path):
    with on_a_terminal("stdio:", "exec:echo tulip", cwd=tmp_path) as (process, master, _):
        shown(master, b"tulip")
        assert process.wait(SECONDS) == 0

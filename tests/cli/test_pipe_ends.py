"""`tulipa pipe`: how directions end, and what the exit status says."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading

import pytest

from tests.cli.pipes import ended, everything, join, joining, port_of, server
from tests.cli.programs import SECONDS
from tests.support.streams import reset


def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on(tmp_path):  # P7
    asked, answered = threading.Event(), threading.Event()

    def serve(sock):
        assert everything(sock) == b"question"
        asked.set()
        assert answered.wait(SECONDS)
        sock.sendall(b"answer")

    with server(serve) as (host, port):
        with joining("tcp-listen:127.0.0.1:0", f"tcp:{host}:{port}", cwd=tmp_path) as process:
            with socket.create_connection(("127.0.0.1", port_of(process)), SECONDS) as sock:
                sock.sendall(b"question")
                sock.shutdown(socket.SHUT_WR)
                assert asked.wait(SECONDS)
                assert process.poll() is None
                answered.set()
                assert everything(sock) == b"answer"
            assert ended(process) == (0, "")


def test_the_peer_may_end_first(tmp_path):  # P7
    got = []

    def serve(sock):
        sock.sendall(b"greeting")
        sock.shutdown(socket.SHUT_WR)
        got.append(everything(sock))

    with server(serve) as (host, port):
        with joining("stdio:", f"tcp:{host}:{port}", cwd=tmp_path) as process:
            assert process.stdout.read() == b"greeting", "the end of standard output is told at once"
            process.stdin.write(b"late")
            process.stdin.close()
            assert ended(process) == (0, "")
    assert got == [b"late"]


@pytest.mark.parametrize("flag", ["-u", "-U"])
def test_one_direction_only(tmp_path, flag):
    got = []

    def serve(sock):
        sock.sendall(b"downwards")
        if flag == "-U":
            sock.shutdown(socket.SHUT_WR)
        got.append(everything(sock))

    with server(serve) as (host, port):
        found = join(flag, "--linger", "0.1", "stdio:", f"tcp:{host}:{port}", cwd=tmp_path, stdin=b"upwards")
    assert (found.returncode, found.stderr) == (0, b"")
    assert (found.stdout, got) == ((b"", [b"upwards"]) if flag == "-u" else (b"downwards", [b""]))


def test_a_command_that_ends_ends_the_pipe(tmp_path):
    with joining("stdio:", "exec:echo tulip", cwd=tmp_path) as process:
        # Standard input stays open, and nobody would read it.
        assert ended(process) == (0, "")
        assert process.stdout.read() == b"tulip\n"


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("exec:sh -c 'exit 3'", "the command has ended with status 3"),
        ("exec:sh -c 'kill -9 $$'", "the command was ended by SIGKILL"),
        ("pty:sh -c 'exit 4'", "the command has ended with status 4"),
        ("exec:/missing/program", "No such file or directory: /missing/program"),
        ("exec:cat,cwd=/missing", "No such file or directory: /missing"),
    ],
)
def test_a_command_that_fails_is_reported(tmp_path, command, complaint):
    found = join("stdio:", command, cwd=tmp_path)
    assert (found.returncode, found.stderr.decode()) == (1, f"tulipa pipe: {command}: {complaint}\n")


def test_addresses_that_cannot_be_opened_are_named(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        taken = f"tcp-listen:127.0.0.1:{unused.getsockname()[1]}"
        refused = f"tcp:127.0.0.1:{unused.getsockname()[1]}"
        for address, complaint in [
            (refused, "Connection refused"),
            (taken, "Address already in use"),
            ("unix:missing", "No such file or directory: missing"),
            ("file:missing,read", "No such file or directory: missing"),
            ("file:.", "Is a directory: ."),
            ("pipe:missing,read", "No such file or directory: missing"),
            ("tls-listen:127.0.0.1:0,cert=missing", "No such file or directory: missing"),
            ("tls:127.0.0.1:1,ca=missing", "No such file or directory: missing"),
        ]:
            first = "stdio:" if address.startswith(("tcp:", "unix:", "tls:", "file:.")) else address
            second = address if first == "stdio:" else "stdio:"
            found = join(first, second, cwd=tmp_path)
            assert (found.returncode, found.stderr.decode()) == (1, f"tulipa pipe: {address}: {complaint}\n")


def test_a_closed_standard_stream_is_named(tmp_path):  # P5
    with joining("stdio:", "exec:cat", cwd=tmp_path, preexec_fn=lambda: os.close(0)) as process:
        status, complaint = ended(process)
    assert status == 1
    assert "stdio:: the program was started without standard input" in complaint


def test_what_arrived_before_an_error_is_delivered(tmp_path):
    def serve(sock):
        sock.sendall(b"tulip")
        assert sock.recv(1) == b"x"
        reset(sock)

    with server(serve) as (host, port):
        with joining("stdio:", f"tcp:{host}:{port}", cwd=tmp_path) as process:
            assert process.stdout.read(5) == b"tulip"
            process.stdin.write(b"x")
            assert process.stdout.read() == b""
            assert ended(process) == (1, f"tulipa pipe: tcp:{host}:{port}: Connection reset by peer\n")


def test_a_reader_that_has_seen_enough_ends_it_in_silence(tmp_path):
    with joining("-u", "file:/dev/zero", "stdio:", cwd=tmp_path, stdin=subprocess.DEVNULL) as process:
        assert process.stdout.read(5) == bytes(5)
        process.stdout.close()
        assert ended(process) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("stdin", ["open", "closed"])
def test_ctrl_c_ends_it_at_once_with_130(tmp_path, stdin):  # P8
    with joining("stdio:", "exec:sh -c 'echo begun; exec sleep 60'", cwd=tmp_path) as process:
        assert process.stdout.read(6) == b"begun\n"
        if stdin == "closed":
            process.stdin.close()
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_it_too_and_its_command_with_it(tmp_path, number):
    with joining("stdio:", "exec:sh -c 'echo $$; exec sleep 60'", cwd=tmp_path) as process:
        child = int(process.stdout.readline())
        process.send_signal(number)
        assert ended(process) == (128 + number, "")
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_waiting_for_a_connection_can_be_interrupted(tmp_path):
    with joining("tcp-listen:127.0.0.1:0", "stdio:", cwd=tmp_path) as process:
        port_of(process)
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "")


def test_a_connection_that_takes_too_long(tmp_path):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # Nobody accepts, and the queue is full with these.
        held = [socket.socket() for _ in range(4)]
        for sock in held:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        address = f"tcp:127.0.0.1:{full.getsockname()[1]},timeout=0.2"
        found = join("stdio:", address, cwd=tmp_path)
        for sock in held:
            sock.close()
    assert (found.returncode, found.stderr.decode()) == (
        1,
        f"tulipa pipe: {address}: not open after 0.2 seconds\n",
    )


def test_no_flag_of_the_standard_streams_changes(tmp_path):  # P6
    import fcntl

    read_end, write_end = os.pipe()
    try:
        before = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (read_end, write_end)]
        with joining("stdio:", "exec:cat", cwd=tmp_path, stdin=read_end) as process:
            os.write(write_end, b"tulip")
            assert process.stdout.read(5) == b"tulip"
            assert [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (read_end, write_end)] == before
            process.kill()
        assert [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (read_end, write_end)] == before
    finally:
        os.close(read_end)
        os.close(write_end)

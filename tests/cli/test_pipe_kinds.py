"""`tulipa pipe`: each kind of address against a peer that knows nothing of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading

import pytest

from tests.cli.pipes import complaint, ended, everything, join, joining, path_of, port_of, server, upper
from tests.cli.programs import SECONDS

DATA = bytes(range(256)) * 1000


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def test_a_question_and_its_answer_over_tcp(tmp_path, family):  # P7
    place = "127.0.0.1" if family == socket.AF_INET else "::1"
    with server(upper, family, (place, 0)) as address:
        spelled = f"tcp:[{place}]:{address[1]}" if ":" in place else f"tcp:{place}:{address[1]}"
        found = join("stdio:", spelled, cwd=tmp_path, stdin=b"tulip" * 100_000)
    assert (found.returncode, found.stderr) == (0, b"")
    assert found.stdout == b"TULIP" * 100_000


def test_a_connection_that_comes_in(tmp_path):
    with joining("tcp-listen:127.0.0.1:0", "exec:tr a-z A-Z", cwd=tmp_path) as process:
        with socket.create_connection(("127.0.0.1", port_of(process)), SECONDS) as sock:
            sock.sendall(b"tulip")
            sock.shutdown(socket.SHUT_WR)
            assert everything(sock) == b"TULIP"
        assert ended(process) == (0, "")


def test_who_connects_is_said(tmp_path):
    with joining("tcp-listen:127.0.0.1:0", "exec:cat", cwd=tmp_path) as process:
        with socket.create_connection(("127.0.0.1", port_of(process)), SECONDS) as sock:
            host, port = sock.getsockname()
            assert process.stderr.readline() == f"tulipa pipe: connection from {host}:{port}\n".encode()
        assert ended(process) == (0, "")


def test_only_one_connection_is_taken(tmp_path):
    with joining("tcp-listen:127.0.0.1:0", "exec:cat", cwd=tmp_path) as process:
        place = ("127.0.0.1", port_of(process))
        with socket.create_connection(place, SECONDS) as sock:
            sock.sendall(b"tulip")
            assert sock.recv(5) == b"tulip"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(place, SECONDS)
        assert ended(process) == (0, "")


def test_many_connections_at_once(tmp_path):
    with joining("tcp-listen:127.0.0.1:0,fork", "exec:cat", cwd=tmp_path) as process:
        place = ("127.0.0.1", port_of(process))
        socks = [socket.create_connection(place, SECONDS) for _ in range(8)]
        for number, sock in enumerate(socks):
            sock.sendall(b"tulip %d" % number)
        for number, sock in enumerate(socks):
            sock.shutdown(socket.SHUT_WR)
            assert everything(sock) == b"tulip %d" % number
            sock.close()
        assert process.poll() is None


def test_one_that_fails_does_not_end_the_others(tmp_path):
    with joining("tcp-listen:127.0.0.1:0,fork", "exec:sh -c 'read a; exit $a'", cwd=tmp_path) as process:
        place = ("127.0.0.1", port_of(process))
        for status in (3, 0):
            with socket.create_connection(place, SECONDS) as sock:
                sock.sendall(b"%d\n" % status)
                assert everything(sock) == b""
        assert "has ended with status 3" in complaint(process)
        assert process.poll() is None


def test_unix_sockets_both_ways(tmp_path):
    path = str(tmp_path / "socket")
    with server(upper, socket.AF_UNIX, path):
        assert join("-", f"unix:{path}", cwd=tmp_path, stdin=b"tulip").stdout == b"TULIP"
    os.unlink(path)
    with joining(f"unix-listen:{path}", "exec:cat", cwd=tmp_path) as process:
        assert path_of(process) == path
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.sendall(b"tulip")
            sock.shutdown(socket.SHUT_WR)
            assert everything(sock) == b"tulip"
        assert ended(process) == (0, "")
    assert not os.path.exists(path)


def test_abstract_unix_sockets(tmp_path):
    name = f"tulipa-pipe-{os.getpid()}"
    with server(upper, socket.AF_UNIX, "\0" + name):
        assert join("-", f"unix:@{name}", cwd=tmp_path, stdin=b"tulip").stdout == b"TULIP"


def test_datagrams_to_a_server(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(SECONDS)
        address = f"udp:127.0.0.1:{sock.getsockname()[1]},size=4"
        with joining("--linger", "0.2", "stdio:", address, cwd=tmp_path) as process:
            process.stdin.write(b"tulips")
            (first, peer), (second, _) = sock.recvfrom(100), sock.recvfrom(100)
            assert (first, second) == (b"tuli", b"ps")
            sock.sendto(b"roses", peer)
            assert process.stdout.read(5) == b"roses"
            process.stdin.close()
            # There is no datagram that says the end: silence does.
            assert ended(process) == (0, "")


def test_datagrams_of_the_first_who_sends(tmp_path):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        probe.bind(("127.0.0.1", 0))
        place = probe.getsockname()
        probe.close()
        with joining("--linger", "0.2", f"udp-listen:127.0.0.1:{place[1]}", "stdio:", cwd=tmp_path) as process:
            assert str(place[1]) in process.stderr.readline().decode()
            sock.settimeout(SECONDS)
            sock.sendto(b"tulip", place)
            assert process.stdout.read(5) == b"tulip"
            stranger.sendto(b"thistle", place)
            sock.sendto(b"rose", place)
            assert process.stdout.read(4) == b"rose"
            process.stdin.write(b"yes")
            assert sock.recv(10) == b"yes"
            process.stdin.close()
            assert ended(process) == (0, "")


def test_nobody_listens_for_datagrams(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"udp:127.0.0.1:{sock.getsockname()[1]}"
    found = join("stdio:", address, cwd=tmp_path, stdin=b"tulip")
    assert (found.returncode, found.stderr) == (1, f"tulipa pipe: {address}: Connection refused\n".encode())


def test_files_are_copied(tmp_path):
    (tmp_path / "from").write_bytes(DATA * 10)
    found = join("file:from", "file:to", cwd=tmp_path)
    assert (found.returncode, found.stderr) == (0, b"")
    assert (tmp_path / "to").read_bytes() == DATA * 10
    assert join("file:from", "file:to,append", cwd=tmp_path).returncode == 0
    assert (tmp_path / "to").read_bytes() == DATA * 20
    assert join("file:from", "file:to", cwd=tmp_path).returncode == 0
    assert (tmp_path / "to").read_bytes() == DATA * 10
    found = join("file:from", "file:to,create", cwd=tmp_path)
    assert (found.returncode, found.stderr) == (1, b"tulipa pipe: file:to,create: File exists: to\n")
    assert join("file:to,append", "file:from,read", cwd=tmp_path).returncode == 0
    assert (tmp_path / "to").read_bytes() == DATA * 20


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1])
def test_a_file_is_sent_whole(tmp_path, size):
    data = (DATA * 2)[:size]
    (tmp_path / "file").write_bytes(data)
    got = []
    with server(lambda sock: got.append(everything(sock))) as (host, port):
        found = join("file:file", f"tcp:{host}:{port}", cwd=tmp_path)
    assert (found.returncode, found.stderr) == (0, b"")
    assert got == [data]


def test_what_arrives_goes_into_a_file(tmp_path):
    with server(lambda sock: sock.sendall(DATA)) as (host, port):
        found = join(f"tcp:{host}:{port}", "file:file", cwd=tmp_path)
    assert (found.returncode, found.stderr) == (0, b"")
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_full_disk_is_reported(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    found = join("file:file", "file:/dev/full", cwd=tmp_path)
    assert (found.returncode, found.stderr) == (1, b"tulipa pipe: file:/dev/full: No space left on device\n")


@pytest.mark.parametrize("flags", [[], ["-u"]])
def test_standard_streams_may_be_files(tmp_path, flags):  # P5
    (tmp_path / "from").write_bytes(DATA * 10)
    with (tmp_path / "from").open("rb") as origin, (tmp_path / "to").open("wb") as target:
        second = "stdio:" if flags else "exec:cat"
        with joining(*flags, "stdio:", second, cwd=tmp_path, stdin=origin, stdout=target) as process:
            assert ended(process) == (0, "")
    assert (tmp_path / "to").read_bytes() == DATA * 10


def test_devices_are_read_and_written(tmp_path):
    found = join("file:/dev/null", "stdio:", cwd=tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
    found = join("stdio:", "file:/dev/null", cwd=tmp_path, stdin=DATA)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")


def test_named_pipes_wait_for_their_other_end(tmp_path):
    os.mkfifo(tmp_path / "in")
    os.mkfifo(tmp_path / "out")
    got = []

    def read():
        got.append((tmp_path / "out").read_bytes())

    with joining("pipe:in", "pipe:out", cwd=tmp_path, stdin=subprocess.DEVNULL) as process:
        reader = threading.Thread(target=read)
        reader.start()
        (tmp_path / "in").write_bytes(DATA)
        reader.join(SECONDS)
        assert got == [DATA]
        assert ended(process) == (0, "")


def test_two_named_pipes_are_one_end(tmp_path):
    for name in ("there", "back"):
        os.mkfifo(tmp_path / name)
    with (
        joining("pipe:there,out=back", "exec:tr a-z A-Z", cwd=tmp_path) as process,
        joining("stdio:", "pipe:back,out=there", cwd=tmp_path) as other,
    ):
        other.stdin.write(b"tulip" * 1000)
        other.stdin.close()
        assert other.stdout.read() == b"TULIP" * 1000
        assert ended(other) == (0, "")
        assert ended(process) == (0, "")


def test_a_command_is_given_its_words(tmp_path):
    found = join("stdio:", "exec:printf '%s|' 'a b' c\\, \"d\"", cwd=tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"a b|c,|d|", b"")


def test_standard_error_of_a_command(tmp_path):
    command = "exec:sh -c 'echo out; echo err >&2'"
    found = join("stdio:", command, cwd=tmp_path)
    assert (found.stdout, found.stderr) == (b"out\n", b"err\n")
    found = join("stdio:", f"{command},stderr", cwd=tmp_path)
    assert sorted(found.stdout.split()) == [b"err", b"out"]
    assert found.stderr == b""


def test_a_command_in_another_folder(tmp_path):
    (tmp_path / "below").mkdir()
    assert join("stdio:", "exec:pwd,cwd=below", cwd=tmp_path).stdout == f"{tmp_path}/below\n".encode()


def test_a_command_on_a_terminal(tmp_path):
    command = "pty:sh -c 'stty -echo; tty; stty size; read word; echo $word'"
    found = join("stdio:", f"{command},size=100x30", cwd=tmp_path, stdin=b"tulip\n")
    assert (found.returncode, found.stderr) == (0, b"")
    # The terminal shows what is typed until it is told not to.
    shown = found.stdout.replace(b"\r\n", b"\n")
    assert shown.index(b"/dev/pts/") < shown.index(b"\n30 100\n")
    assert shown.endswith(b"\ntulip\n")


@pytest.mark.skipif(shutil.which("socat") is None, reason="socat is not installed")
def test_socat_is_a_peer(tmp_path):
    with joining("tcp-listen:127.0.0.1:0", "exec:cat", cwd=tmp_path) as process:
        done = subprocess.run(
            ["socat", "-t10", "-", f"TCP:127.0.0.1:{port_of(process)}"],
            input=DATA, capture_output=True, timeout=SECONDS, check=True,
        )  # fmt: skip
        assert done.stdout == DATA
        assert ended(process) == (0, "")


@pytest.mark.skipif(shutil.which("nc") is None, reason="no netcat is installed")
def test_netcat_is_a_peer(tmp_path):
    with joining("tcp-listen:127.0.0.1:0", "exec:cat", cwd=tmp_path) as process:
        done = subprocess.run(
            ["nc", "-N", "127.0.0.1", str(port_of(process))],
            input=DATA, capture_output=True, timeout=SECONDS, check=True,
        )  # fmt: skip
        assert done.stdout == DATA
        assert ended(process) == (0, "")

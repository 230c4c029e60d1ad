"""`tulipa pipe` with TLS, against OpenSSL's own programs and Python's ssl."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from tests.cli.pipes import PIPE, complaint, ended, join, joining, port_of, server
from tests.cli.programs import SECONDS
from tests.support import certificates

openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture
def keys(tmp_path):
    """The files that options name."""
    certificates.authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificates.strange_certificate().private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "strange.pem"))
    for name, names in (("server", certificates.NAMES), ("client", (certificates.CLIENT,))):
        made = certificates.certificate(*names)
        made.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / f"{name}.pem"))
        made.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        (tmp_path / f"{name}.crt").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return tmp_path


@contextlib.contextmanager
def tls_server(serve, context):
    def secure(sock):
        with context.wrap_socket(sock, server_side=True) as secured:
            serve(secured)

    with server(secure) as address:
        yield address[1]


def echo_line(sock):
    sock.sendall(sock.recv(100).upper())
    sock.unwrap()


def test_a_client_verifies_by_the_given_authority(keys):
    with tls_server(echo_line, certificates.server_context()) as port:
        found = join("stdio:", f"tls:localhost:{port},ca=ca.pem", cwd=keys, stdin=b"tulip")
    assert (found.returncode, found.stdout, found.stderr) == (0, b"TULIP", b"")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("", "the certificate is not accepted: unable to get local issuer certificate"),
        (",ca=ca.pem,name=other.test", "the certificate is not accepted: Hostname mismatch"),
        (",ca=server.key", "server.key cannot be used for TLS: NO_CERTIFICATE_OR_CRL_FOUND"),
    ],
)
def test_a_certificate_that_is_not_accepted_is_reported(keys, options, reason):
    def serve(sock):
        with contextlib.suppress(OSError):
            certificates.server_context().wrap_socket(sock, server_side=True).close()

    if options == ",ca=server.key":
        found = join("stdio:", f"tls:localhost:1{options}", cwd=keys)
    else:
        with server(serve) as (_, port):
            found = join("stdio:", f"tls:localhost:{port}{options}", cwd=keys)
    assert found.returncode == 1
    assert reason in found.stderr.decode()
    assert found.stderr.count(b"\n") == 1


def test_insecure_takes_any_certificate(keys):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "strange.pem")
    with tls_server(echo_line, context) as port:
        found = join("stdio:", f"tls:127.0.0.1:{port},insecure", cwd=keys, stdin=b"tulip")
    assert (found.returncode, found.stdout, found.stderr) == (0, b"TULIP", b"")


def test_a_client_shows_its_certificate_and_its_protocols(keys):
    seen = []

    def serve(sock):
        seen.append((sock.getpeercert()["subjectAltName"], sock.selected_alpn_protocol()))
        echo_line(sock)

    context = certificates.asking_context()
    context.set_alpn_protocols(["second", "third"])
    options = "ca=ca.pem,cert=client.crt,key=client.key,alpn=first,alpn=second,name=server.test"
    with tls_server(serve, context) as port:
        found = join("stdio:", f"tls:127.0.0.1:{port},{options}", cwd=keys, stdin=b"tulip")
    assert (found.returncode, found.stdout, found.stderr) == (0, b"TULIP", b"")
    assert seen == [((("DNS", certificates.CLIENT),), "second")]


def test_a_server_asks_for_a_certificate_of_its_authority(keys):
    address = "tls-listen:127.0.0.1:0,cert=server.crt,key=server.key,ca=ca.pem,alpn=tulip,fork"
    with joining(address, "exec:cat", cwd=keys) as process:
        place = ("127.0.0.1", port_of(process))
        context = certificates.client_context()
        with contextlib.suppress(OSError), socket.create_connection(place, SECONDS) as sock:
            with context.wrap_socket(sock, server_hostname=certificates.NAME) as secured:
                secured.sendall(b"tulip")
                assert secured.recv(100) == b""
        assert complaint(process).startswith(f"tulipa pipe: {address}: TLS failed: ")
        context = certificates.client_context(certified=certificates.certificate(certificates.CLIENT))
        context.set_alpn_protocols(["tulip"])
        with socket.create_connection(place, SECONDS) as sock:
            with context.wrap_socket(sock, server_hostname=certificates.NAME) as secured:
                assert secured.selected_alpn_protocol() == "tulip"
                secured.sendall(b"tulip")
                assert secured.recv(100) == b"tulip"


@openssl
def test_openssl_is_a_client(keys):
    with joining("tls-listen:127.0.0.1:0,cert=server.pem", "exec:cat", cwd=keys) as process:
        place = f"127.0.0.1:{port_of(process)}"
        command = ["openssl", "s_client", "-quiet", "-connect", place, "-CAfile", "ca.pem", "-verify_return_error"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "bufsize": 0}
        with subprocess.Popen(command, cwd=keys, **pipes) as client:
            try:
                client.stdin.write(b"tulip" * 1000)
                got = b""
                while len(got) < 5000 and (more := client.stdout.read(5000)):
                    got += more
            finally:
                client.kill()
        assert got == b"tulip" * 1000
        process.wait(SECONDS)


@openssl
def test_openssl_is_a_server(keys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-cert", "server.pem", "-naccept", "1"]
    with subprocess.Popen(command, cwd=keys, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:
        try:
            wait_until_open(port)
            address = f"tls:localhost:{port},ca=ca.pem"
            with joining("stdio:", address, cwd=keys) as process:
                process.stdin.write(b"upwards\n")
                assert peer.stdout.readline() == b"upwards\n"
                peer.stdin.write(b"downwards\n")
                peer.stdin.flush()
                assert process.stdout.readline() == b"downwards\n"
        finally:
            peer.kill()


def wait_until_open(port):
    """Wait until somebody listens there, without connecting."""
    wanted = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), 'little'):08X}:{port:04X} 00000000:0000 0A"
    while True:
        with open("/proc/net/tcp") as table:
            if wanted in table.read():
                return


def test_tls_over_a_unix_socket(keys):
    path = str(keys / "socket")
    server_side = f"tls-server+unix-listen:{path},cert=server.pem"
    with joining(server_side, "exec:cat", cwd=keys) as process:
        assert path in process.stderr.readline().decode()
        with joining("stdio:", f"tls+unix:{path},ca=ca.pem,name=server.test", cwd=keys) as client:
            client.stdin.write(b"tulip")
            assert client.stdout.read(5) == b"tulip"
            client.stdin.close()
            client.kill()
        process.wait(SECONDS)


def test_tls_over_a_command_and_over_standard_streams(keys):  # G8
    """A filter in a pipeline speaks TLS on its standard streams, and another program starts it as its command."""
    below = f"tls-server+stdio:,cert={keys}/server.pem"
    (keys / "filter").write_text(f"#!/bin/sh\nexec {' '.join(PIPE)} {below} 'exec:head -n 2'\n")
    (keys / "filter").chmod(0o755)
    found = join("stdio:", f"tls+exec:{keys}/filter,ca=ca.pem,name=server.test", cwd=keys, stdin=b"one\ntwo\n")
    assert (found.returncode, found.stdout, found.stderr) == (0, b"one\ntwo\n", b"")


def test_tls_over_named_pipes(keys):  # G8
    for name in ("there", "back"):
        os.mkfifo(keys / name)
    below = "tls-server+pipe:there,out=back,cert=server.pem"
    address = "tls+pipe:back,out=there,ca=ca.pem,name=server.test"
    with joining(below, "exec:head -n 2", cwd=keys) as process:
        found = join("stdio:", address, cwd=keys, stdin=b"one\ntwo\n")
        assert (found.returncode, found.stdout, found.stderr) == (0, b"one\ntwo\n", b"")
        assert ended(process) == (0, "")


def test_tls_over_tcp_spelled_out(keys):
    with tls_server(echo_line, certificates.server_context()) as port:
        found = join("stdio:", f"tls+tcp:localhost:{port},ca=ca.pem", cwd=keys, stdin=b"tulip")
    assert (found.returncode, found.stdout, found.stderr) == (0, b"TULIP", b"")


def test_silence_ends_what_cannot_be_half_closed(keys):
    def serve(sock):
        assert sock.recv(100) == b"question"
        sock.sendall(b"answer")
        assert sock.recv(100) == b""

    with tls_server(serve, certificates.server_context()) as port:
        address = f"tls:localhost:{port},ca=ca.pem"
        found = join("--linger", "0.5", "stdio:", address, cwd=keys, stdin=b"question")
    assert (found.returncode, found.stdout, found.stderr) == (0, b"answer", b"")


def test_it_is_no_silence_while_nobody_reads(keys):
    """The answer is larger than all buffers, and whoever asked reads it more slowly than silence is noticed."""
    answer = bytes(range(256)) * 40_000

    def serve(sock):
        assert sock.recv(100) == b"question"
        sock.sendall(answer)
        sock.unwrap()

    with tls_server(serve, certificates.server_context()) as port:
        with joining("--linger", "0.02", "stdio:", f"tls:localhost:{port},ca=ca.pem", cwd=keys) as process:
            process.stdin.write(b"question")
            process.stdin.close()
            got = []
            while more := process.stdout.read(65536):
                got.append(more)
                time.sleep(0.01)
            assert b"".join(got) == answer
            assert ended(process) == (0, "")


def test_large_data_over_tls_arrive_whole(keys):
    data = bytes(range(256)) * 40_000
    with joining("-u", "tls-listen:127.0.0.1:0,cert=server.pem", "stdio:", cwd=keys) as process:
        with socket.create_connection(("127.0.0.1", port_of(process)), SECONDS) as sock:
            with certificates.client_context().wrap_socket(sock, server_hostname=certificates.NAME) as secured:
                sender = threading.Thread(target=lambda: (secured.sendall(data), secured.unwrap()))
                sender.start()
                got = process.stdout.read()
                while len(got) < len(data) and (more := process.stdout.read(65536)):
                    got += more
                sender.join(SECONDS)
        assert got == data
        assert ended(process) == (0, "")

"""The fetcher gets several URLs at once, over HTTP and HTTPS, and no slow one delays the others. # T9"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from tests.examples.programs import free_port, run

pytest.importorskip("aiohttp", reason="the fetcher uses aiohttp")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = 200 if self.path != "/missing" else 404
        body = b"x" * 1000
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def http_server(context=None):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_each_url_gets_a_line_in_order_whatever_becomes_of_it():
    silent = socket.create_server(("127.0.0.1", 0))  # accepts in the kernel, and never answers
    with http_server() as port, silent:
        silent_port, dead_port = silent.getsockname()[1], free_port()
        urls = [
            f"http://127.0.0.1:{silent_port}/",
            f"http://127.0.0.1:{port}/",
            f"http://127.0.0.1:{dead_port}/",
            f"http://127.0.0.1:{port}/missing",
            *(f"http://127.0.0.1:{silent_port}/{number}" for number in range(4)),
        ]
        begun = time.monotonic()
        done = run("fetch.py", *urls, "--seconds", "2")
        took = time.monotonic() - begun
    lines = done.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == urls, done.stderr
    assert "no answer after 2" in lines[0]
    assert ": 200, 1,000 bytes in " in lines[1]
    assert "Cannot connect" in lines[2]
    assert ": 404, 1,000 bytes in " in lines[3]
    assert done.returncode == 7
    assert took < 5 * 2, "the silent ones were waited for one after the other"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_https_is_verified(tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http_server(context) as port:
        url = f"https://localhost:{port}/"
        trusted = run("fetch.py", url, env=os.environ | {"SSL_CERT_FILE": str(certificate)})
        unknown = run("fetch.py", url)
    assert (trusted.returncode, ": 200, 1,000 bytes" in trusted.stdout) == (0, True), trusted
    assert (unknown.returncode, "certificate verify failed" in unknown.stdout) == (1, True), unknown

"""The processes at both ends of the tool that is measured.

Lives here: a source and a sink for pipes, TCP and TLS, the same for every tool. Run as
`python peers.py ROLE ...`; each prints the port that it listens on, where it does, and a sink how many bytes it had.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys

CHUNK = 256 * 1024


def listen() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    return listener


def pour(write, amount: int) -> None:
    data = memoryview(os.urandom(CHUNK))
    while amount:
        amount -= write(data[: min(CHUNK, amount)])


def drain(read_into) -> int:
    total, buffer = 0, bytearray(CHUNK)
    while count := read_into(buffer):
        total += count
    return total


def source_pipe(amount: int) -> None:
    pour(lambda data: os.write(1, data), amount)


def sink_pipe() -> None:
    with open(0, "rb", buffering=0) as stdin:
        print(drain(stdin.readinto), flush=True)


def source_tcp(port: int, amount: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        pour(sock.send, amount)
        sock.shutdown(socket.SHUT_WR)
        drain(sock.recv_into)


def sink_tcp() -> None:
    with listen() as listener, listener.accept()[0] as sock:
        print(drain(sock.recv_into), flush=True)


def sink_tls(certificate: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with listen() as listener, listener.accept()[0] as sock:
        with context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=True) as secured:
            print(drain(secured.recv_into), flush=True)


if __name__ == "__main__":
    role, *rest = sys.argv[1:]
    words = [int(word) if word.isdigit() else word for word in rest]
    globals()[role.replace("-", "_")](*words)

"""Closed loops: each connection sends a message, waits until its answer is there, and sends it again.

The first answer is looked at, later ones are counted: each has as many bytes as the first one.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time

from workloads.model import HTTP, WEBSOCKET, Served

PATIENCE = 10  # seconds without an answer on any connection
BUFFER = 256 * 1024
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Silence(Exception):
    """No connection has had an answer for a long time."""


def connected(workload: Served, address, context: ssl.SSLContext | None) -> socket.socket:
    sock = socket.socket(workload.family, workload.kind)
    sock.settimeout(PATIENCE)
    sock.connect(address)
    if workload.family == socket.AF_INET and workload.kind == socket.SOCK_STREAM:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(sock, server_hostname="localhost") if context else sock


def frame(message: bytes) -> bytes:
    """A binary message as a client sends it, under a mask that changes nothing."""
    return struct.pack("!BBH", 0x82, 0x80 | 126, len(message)) + bytes(4) + message


class Connection:
    """One closed loop. Its socket blocks until the first message has come back."""

    def __init__(self, workload: Served, address, context: ssl.SSLContext | None) -> None:
        self.sock = connected(workload, address, context)
        if workload.client == HTTP:
            self.message, self.size = REQUEST, self.first_response()
        elif workload.client == WEBSOCKET:
            self.message, self.size = frame(workload.message()), self.first_frame(workload.message())
        else:
            self.message, self.size = workload.message(), workload.size
            self.first_echo()
        self.sock.setblocking(False)
        self.unsent = memoryview(b"")
        self.missing = 0
        self.started = 0.0

    def ask(self, message: bytes, is_whole) -> bytes:
        """The answer, once it is whole; the socket blocks."""
        self.sock.sendall(message)
        answer = b""
        while not is_whole(answer):
            data = self.sock.recv(BUFFER)
            if not data:
                raise ConnectionError("the server closed the connection within its first answer")
            answer += data
        return answer

    def first_echo(self) -> None:
        if self.ask(self.message, lambda answer: len(answer) >= self.size) != self.message:
            raise ValueError("the server sent something else than it was sent")

    def first_response(self) -> int:
        answer = self.ask(REQUEST, lambda answer: answer.endswith(b"Hello, world!"))
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise ValueError(f"the server answered {answer[:40]!r}")
        return len(answer)

    def first_frame(self, message: bytes) -> int:
        answer = self.ask(UPGRADE, lambda answer: answer.endswith(b"\r\n\r\n"))
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise ValueError(f"the server answered {answer[:40]!r}")
        return len(self.ask(frame(message), lambda answer: answer.endswith(message)))

    def begin(self) -> bool:
        """Send the next message; whether some of it has to wait."""
        self.started = time.perf_counter()
        self.missing = self.size
        self.unsent = memoryview(self.message)
        return self.send()

    def send(self) -> bool:
        while self.unsent:
            try:
                sent = self.sock.send(self.unsent)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return True
            self.unsent = self.unsent[sent:]
        return False

    def receive(self, buffer: bytearray) -> bool:
        """Whether the whole message is back."""
        while self.missing:
            try:
                received = self.sock.recv_into(buffer)
            except (BlockingIOError, ssl.SSLWantReadError):
                return False
            if not received:
                raise ConnectionError("the server closed the connection")
            self.missing -= received
        return True


class Load:
    """All connections, driven together. It can be looked at in between: what is on its way stays so."""

    def __init__(self, connections: list[Connection]) -> None:
        self.connections = {connection.sock.fileno(): connection for connection in connections}
        self.waiting: set[int] = set()  # those with something left to send
        self.poller = select.epoll()
        for fd, connection in self.connections.items():
            self.poller.register(fd, select.EPOLLIN)
            self.note(fd, connection.begin())

    def note(self, fd: int, waits: bool) -> None:
        if waits != (fd in self.waiting):
            (self.waiting.add if waits else self.waiting.remove)(fd)
            self.poller.modify(fd, select.EPOLLIN | (select.EPOLLOUT if waits else 0))

    def drive(self, seconds: float) -> list[float]:
        """For so long, and until one message is back; how long each took that came back meanwhile."""
        buffer, clock, latencies = bytearray(BUFFER), time.perf_counter, []
        end = clock() + seconds
        while clock() < end or not latencies:
            events = self.poller.poll(PATIENCE)
            if not events:
                raise Silence(f"no answer on any of {len(self.connections)} connections within {PATIENCE} s")
            for fd, happened in events:
                connection = self.connections[fd]
                waits = False
                if connection.unsent:
                    waits = connection.send()
                if happened & ~select.EPOLLOUT and connection.receive(buffer):
                    latencies.append(clock() - connection.started)
                    waits = connection.begin()
                if waits or self.waiting:
                    self.note(fd, waits)
        return latencies


def load(workload: Served, address, context: ssl.SSLContext | None) -> Load:
    return Load([Connection(workload, address, context) for _ in range(workload.connections)])

"""The client of every workload that has a server: closed loops over sockets, on epoll, without asyncio.

    client.py WORKLOAD CONTROL FOLDER PROCESSOR SECONDS

Each connection sends a message, waits until as many bytes have come back, and sends it again. Lives here: that, and
the marks between which the server's processor time counts. Prints one line of numbers. Rule: it runs no event loop, so
it does the same whichever loop it talks to; how busy it was itself is among the numbers.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import sys
import time
from pathlib import Path

import workloads
from subject import allow_many_descriptors, processor_time, stay_on
from workloads.model import Served

WARM_UP = 0.2  # of the time that is measured
PATIENCE = 10  # seconds without an answer on any connection
BUFFER = 256 * 1024


class Silence(Exception):
    """No connection has had an answer for a long time."""


class Connection:
    """One closed loop. Its socket blocks until the first message has come back."""

    def __init__(self, workload: Served, address, context: ssl.SSLContext | None) -> None:
        self.message = workload.message()
        sock = socket.socket(workload.family, workload.kind)
        sock.settimeout(PATIENCE)
        sock.connect(address)
        if workload.family == socket.AF_INET and workload.kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context.wrap_socket(sock, server_hostname="localhost") if context else sock
        self.prove()
        self.sock.setblocking(False)
        self.unsent = memoryview(b"")
        self.missing = 0
        self.started = 0.0

    def prove(self) -> None:
        """What comes back is what was sent; from here on only bytes are counted."""
        self.sock.sendall(self.message)
        returned = b""
        while len(returned) < len(self.message):
            data = self.sock.recv(BUFFER)
            if not data:
                raise ConnectionError("the server closed the connection within the first message")
            returned += data
        if returned != self.message:
            raise ValueError("the server sent something else than it was sent")

    def begin(self) -> bool:
        """Send the next message; whether some of it has to wait."""
        self.started = time.perf_counter()
        self.missing = len(self.message)
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


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure(workload: Served, lines, folder: Path, seconds: float) -> dict[str, object]:
    ready = json.loads(lines.readline() or "{}")
    if "address" not in ready:
        return ready
    address = tuple(ready["address"]) if isinstance(ready["address"], list) else ready["address"]

    def server_time() -> float:
        lines.write("mark\n")
        lines.flush()
        return json.loads(lines.readline())["cpu"]

    context = ssl.create_default_context(cafile=folder / "authority.pem") if workload.tls else None
    load = Load([Connection(workload, address, context) for _ in range(workload.connections)])
    load.drive(seconds * WARM_UP)
    own, cpu, start = processor_time(), server_time(), time.perf_counter()
    latencies = load.drive(seconds)
    passed, cpu, own = time.perf_counter() - start, server_time() - cpu, processor_time() - own
    ordered = sorted(latencies)
    return {
        "operations": len(ordered),
        "seconds": passed,
        "cpu": cpu,
        "client_cpu": own,
        "p50": percentile(ordered, 0.50),
        "p99": percentile(ordered, 0.99),
    }


def main() -> None:
    name, control, folder, processor, seconds = sys.argv[1:]
    stay_on(processor)
    allow_many_descriptors()
    with socket.socket(fileno=int(control)) as sock, sock.makefile("rw") as lines:
        sock.settimeout(None)
        print(json.dumps(measure(workloads.ALL[name], lines, Path(folder), float(seconds))))


if __name__ == "__main__":
    main()

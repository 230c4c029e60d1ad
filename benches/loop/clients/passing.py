"""Connections that come and go: connect, say hello by TLS or not, send a message, have it back, close."""

from __future__ import annotations

import errno
import itertools
import select
import socket
import ssl
import time

from workloads.model import Served

from clients.echo import PATIENCE, Silence

# From as many addresses of the loopback network in turn: closed connections keep their ports for a minute.
ADDRESSES = 250


class Passing:
    """One connection after another in each of so many places."""

    def __init__(self, workload: Served, address, context: ssl.SSLContext | None) -> None:
        self.address, self.context, self.message = address, context, workload.message()
        self.sources = itertools.cycle(f"127.0.0.{number}" for number in range(2, ADDRESSES + 2))
        self.poller = select.epoll()
        self.open: dict[int, Connection] = {}
        for _ in range(workload.connections):
            self.start()

    def start(self) -> None:
        connection = Connection(self, next(self.sources))
        self.open[connection.sock.fileno()] = connection
        self.poller.register(connection.sock.fileno(), select.EPOLLOUT)

    def drive(self, seconds: float) -> list[float]:
        clock, latencies = time.perf_counter, []
        end = clock() + seconds
        while clock() < end or not latencies:
            events = self.poller.poll(PATIENCE)
            if not events:
                raise Silence(f"nothing happens on any of {len(self.open)} connections for {PATIENCE} s")
            for fd, _ in events:
                connection = self.open[fd]
                if (wanted := connection.go_on()) is not None:
                    self.poller.modify(fd, wanted)
                    continue
                latencies.append(clock() - connection.started)
                del self.open[fd]
                connection.sock.close()
                self.start()
        return latencies


class Connection:
    def __init__(self, passing: Passing, source: str) -> None:
        self.started = time.perf_counter()
        self.passing = passing
        self.sock = socket.socket()
        self.sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        self.sock.bind((source, 0))
        self.sock.setblocking(False)
        if (error := self.sock.connect_ex(passing.address)) not in (0, errno.EINPROGRESS):
            raise OSError(error, "connect")
        self.steps = self.run()
        next(self.steps)

    def go_on(self) -> int | None:
        """What to wait for next; None at the end."""
        return next(self.steps, None)

    def run(self):
        yield select.EPOLLOUT
        if error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, "connect")
        if self.passing.context:
            self.sock = self.passing.context.wrap_socket(
                self.sock, server_hostname="localhost", do_handshake_on_connect=False
            )
            while True:
                try:
                    self.sock.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    yield select.EPOLLIN
        message = self.passing.message
        if self.sock.send(message) != len(message):
            raise ConnectionError("a new connection does not take a message")
        missing = len(message)
        while missing:
            yield select.EPOLLIN
            try:
                received = len(self.sock.recv(missing))
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            if not received:
                raise ConnectionError("the server closed the connection")
            missing -= received

"""Bytes in one direction, as many as go through; an operation is 64 KiB of them."""

from __future__ import annotations

import select
import ssl
import time

from workloads.model import DOWNLOAD, Served

from clients.echo import BUFFER, PATIENCE, Silence, connected

CHUNK = 64 * 1024


class Bulk:
    def __init__(self, workload: Served, address, context: ssl.SSLContext | None) -> None:
        self.receives = workload.client == DOWNLOAD
        self.poller = select.epoll()
        self.sockets = {}
        self.buffer = memoryview(bytearray(BUFFER))
        self.rest = 0
        for _ in range(workload.connections):
            sock = connected(workload, address, context)
            sock.setblocking(False)
            self.sockets[sock.fileno()] = sock
            self.poller.register(sock, select.EPOLLIN if self.receives else select.EPOLLOUT)

    def drive(self, seconds: float) -> int:
        """How many operations went through."""
        end, moved = time.perf_counter() + seconds, self.rest
        while time.perf_counter() < end or moved < CHUNK:
            events = self.poller.poll(PATIENCE)
            if not events:
                raise Silence(f"nothing moves on any of {len(self.sockets)} connections for {PATIENCE} s")
            for fd, _ in events:
                sock = self.sockets[fd]
                size = sock.recv_into(self.buffer) if self.receives else sock.send(self.buffer)
                if not size:
                    raise ConnectionError("the server closed the connection")
                moved += size
        self.rest = moved % CHUNK
        return moved // CHUNK

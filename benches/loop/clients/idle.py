"""A great many connections on which nothing happens, and one on which something does."""

from __future__ import annotations

import ssl

from workloads.model import Served

from clients.echo import Connection, Load, connected


class Idle:
    """How much memory each idle connection takes is what the server has more of once all are there."""

    def __init__(self, workload: Served, address, context: ssl.SSLContext | None, memory) -> None:
        # The first ones make what a server makes only once.
        early = [Connection(workload, address, context) for _ in range(workload.connections // 10)]
        before = memory()
        self.idle = [connected(workload, address, context) for _ in range(workload.connections)]
        # Accepted in the order in which they came: with an answer to the last one, all are there.
        self.load = Load([Connection(workload, address, context)])
        self.load.drive(0)
        self.memory = (memory() - before) / workload.connections
        self.idle += [connection.sock for connection in early]

    def drive(self, seconds: float) -> list[float]:
        return self.load.drive(seconds)

"""Echo over UDP: one socket of the server's, and one per client."""

from __future__ import annotations

import asyncio
import socket

from workloads.model import Served


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def serve(sock, context):
    return await asyncio.get_running_loop().create_datagram_endpoint(Echo, sock=sock)


def udp(clients: int, usual: bool) -> Served:
    return Served(
        name=f"udp/1k/{clients}", title=f"UDP echo, 1 KiB, {clients} client{'s' if clients > 1 else ''}", serve=serve,
        connections=clients, kind=socket.SOCK_DGRAM, usual=usual, limit="datagrams",
    )  # fmt: skip


WORKLOADS = (udp(1, False), udp(32, True))

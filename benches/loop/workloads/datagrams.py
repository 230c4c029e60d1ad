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


WORKLOADS = (
    Served("udp/1k/1", "UDP echo, 1 KiB, 1 client", serve, kind=socket.SOCK_DGRAM),
    Served("udp/1k/32", "UDP echo, 1 KiB, 32 clients", serve, connections=32, kind=socket.SOCK_DGRAM, usual=True),
)

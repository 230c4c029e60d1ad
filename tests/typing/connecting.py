"""Servers, connections, datagrams and transports, by callbacks and by coroutines."""

from __future__ import annotations

import asyncio
from typing import assert_type

import tulipa


class Echo(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.writelines([bytearray(data), memoryview(data)])


class Client(Echo):
    def __init__(self) -> None:
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received == b"word" * 3:
            self.transport.close()


def connected(future: asyncio.Task[tuple[asyncio.Transport, Client]]) -> None:
    transport, client = future.result()
    assert_type(transport, asyncio.Transport)
    assert_type(client, Client)
    transport.write(b"word")


def by_callbacks(loop: tulipa.Loop) -> None:
    server = loop.start_server(Echo, "127.0.0.1", 0)
    assert_type(server, asyncio.Server)
    port: int = server.sockets[0].getsockname()[1]
    future = loop.connect(Client, "127.0.0.1", port)
    assert_type(future, asyncio.Task[tuple[asyncio.Transport, Client]])
    future.add_done_callback(connected)
    future.add_done_callback(lambda _: server.close())
    loop.run_until_idle()


async def by_coroutines() -> None:
    loop = tulipa.current_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    assert_type(server, asyncio.Server)
    port: int = server.sockets[0].getsockname()[1]

    transport, protocol = await loop.create_connection(Client, "127.0.0.1", port)
    assert_type(transport, asyncio.Transport)
    assert_type(protocol, Client)
    transport.set_write_buffer_limits(high=1000)
    assert_type(transport.get_write_buffer_size(), int)
    assert_type(transport.is_closing(), bool)
    transport.abort()

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert_type(reader, asyncio.StreamReader)
    writer.write(b"word")
    await writer.drain()
    assert_type(await reader.readexactly(4), bytes)
    writer.close()
    await writer.wait_closed()
    server.close()


async def by_datagrams() -> None:
    loop = tulipa.current_loop()
    transport, protocol = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    assert_type(transport, asyncio.DatagramTransport)
    assert_type(protocol, asyncio.DatagramProtocol)
    transport.sendto(b"word", transport.get_extra_info("sockname"))
    transport.close()


async def coroutines() -> None:
    await by_coroutines()
    await by_datagrams()
    await asyncio.sleep(0)  # the end of what was closed


def main() -> None:
    loop = tulipa.new_event_loop()
    by_callbacks(loop)
    loop.close()
    tulipa.run(coroutines())


if __name__ == "__main__":
    main()

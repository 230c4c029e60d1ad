"""Hold 15,000 connections in one thread, and say what one of them costs.

    python many_connections.py [COUNT]

What a server with a thread for each connection cannot do. The clients are another process, because each end of a
connection takes a descriptor, and a process may have so many only. Each client says something and waits for the echo,
so that every connection has been served once before the memory is measured. What the kernel holds for sockets is not
counted.
"""

import asyncio
import resource
import sys
import threading

import tulipa

ADDRESSES = [f"127.0.0.{number}" for number in range(1, 5)]
AT_ONCE = 200


class Echo(asyncio.Protocol):
    connected = set()

    def connection_made(self, transport):
        self.transport = transport
        self.connected.add(self)

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, exc):
        self.connected.discard(self)


class Client(asyncio.Protocol):
    def __init__(self):
        self.answered = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"here")

    def data_received(self, data):
        if not self.answered.done():
            self.answered.set_result(None)

    def connection_lost(self, exc):
        if not self.answered.done():
            self.answered.set_exception(exc or ConnectionError("closed without an answer"))


def allow_descriptors():
    """Use all descriptors that this process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def serve(count):
    most = allow_descriptors()
    if count + 100 > most:
        sys.exit(f"{count} connections need more descriptors than the {most} that this process may have")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, ADDRESSES, 0, backlog=4096)
    before = resident_bytes()
    servers = ["{}:{}".format(*sock.getsockname()) for sock in server.sockets]
    reader, writer = await tulipa.open_child(sys.executable, __file__, str(count), *servers)
    line = await reader.readline()
    if line != b"connected\n":
        sys.exit("the clients have failed")
    each = (resident_bytes() - before) / count
    print(f"{len(Echo.connected):,} connections in {threading.active_count()} thread, {each:,.0f} bytes each")
    # The end of their input ends the clients.
    writer.write_eof()
    await reader.read()
    status = await writer.transport.wait()
    writer.close()
    while Echo.connected:
        await asyncio.sleep(0.01)
    server.close()
    print(f"all closed, the clients ended with status {status}")


async def connect(count, servers):
    allow_descriptors()
    loop = asyncio.get_running_loop()
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number):
        host, port = servers[number % len(servers)].split(":")
        async with free:
            _, client = await loop.create_connection(Client, host, int(port))
            await client.answered
        return client

    clients = await asyncio.gather(*(one(number) for number in range(count)))
    print("connected", flush=True)
    await tulipa.stdin().read()
    for client in clients:
        client.transport.close()


count = int(sys.argv[1]) if len(sys.argv) > 1 else 15_000
if len(sys.argv) > 2:
    tulipa.run(connect(count, sys.argv[2:]))
else:
    tulipa.run(serve(count))

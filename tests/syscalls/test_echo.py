"""System calls of steady echo traffic: no registrations, two calls per message and one poll for all. # G13

Each round costs the echo itself, one more turn, and the calls that synchronise server and tester: these are taken off.
"""

import pytest

from tests.support.tracing import steady_counts

pytestmark = pytest.mark.all_drivers
CONNECTIONS = 32
SIZE = 1024
REGISTRATIONS = ("epoll_ctl", "fcntl", "setsockopt", "ioctl", "getsockopt", "getpeername", "getsockname")
POLLS = ("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6", "io_uring_enter")

BARRIER = f"""
    import os, sys, gc
    connections = int(sys.argv[1])
    seen = 0
    def echoed(count):
        '''After the last answer of a round, wait in the next turn for the messages of the next round.'''
        global seen
        seen += count
        if seen == connections * {SIZE}:
            seen = 0
            loop.call_soon(wait)
    def wait():
        os.write(1, b"w")
        if os.read(0, 1) == b"q":
            loop.stop()
    def tell(port):
        os.write(1, b"%d\\n" % port)
        loop.call_soon(wait)
    loop = new_loop()
    gc.disable()
"""

PROTOCOL = (
    BARRIER
    + """
    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
        def data_received(self, data):
            self.transport.write(data)
            echoed(len(data))
    async def main():
        global server
        server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=100)
        tell(server.sockets[0].getsockname()[1])
    loop.run_until_complete(main())
    loop.run_forever()
    os._exit(0)
"""
)

BUFFERED = PROTOCOL.replace(
    """
        def data_received(self, data):
            self.transport.write(data)
            echoed(len(data))
""",
    """
            self.buffer = bytearray(4096)
        def get_buffer(self, hint):
            return self.buffer
        def buffer_updated(self, count):
            self.transport.write(self.buffer[:count])
            echoed(count)
""",
).replace("asyncio.Protocol", "asyncio.BufferedProtocol")

SMALL_WRITES = PROTOCOL.replace(
    "self.transport.write(data)",
    "for start in range(0, len(data), 64): self.transport.write(data[start:start + 64])",
)

STREAMS = (
    BARRIER
    + """
    async def echo(reader, writer):
        while data := await reader.read(4096):
            writer.write(data)
            echoed(len(data))
    async def main():
        global server
        server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=100)
        tell(server.sockets[0].getsockname()[1])
    loop.run_until_complete(main())
    loop.run_forever()
    os._exit(0)
"""
)

SOCKETS = (
    BARRIER
    + """
    import socket
    async def echo(sock):
        while data := await loop.sock_recv(sock, 4096):
            await loop.sock_sendall(sock, data)
            echoed(len(data))
    async def main():
        listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        listener.setblocking(False)
        os.write(1, b"%d\\n" % listener.getsockname()[1])
        wait()
        global tasks
        tasks = [loop.create_task(echo((await loop.sock_accept(listener))[0])) for _ in range(connections)]
    loop.run_until_complete(main())
    loop.run_forever()
    os._exit(0)
"""
)

DATAGRAMS = (
    BARRIER
    + """
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport
        def datagram_received(self, data, address):
            self.transport.sendto(data, address)
            echoed(len(data))
    async def main():
        global transport
        transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        transport.get_extra_info("socket").setsockopt(1, 8, 1 << 20)
        tell(transport.get_extra_info("sockname")[1])
    loop.run_until_complete(main())
    loop.run_forever()
    os._exit(0)
"""
)

# Counts are per round. What happens once in many, such as a vain look for a connection, is a small fraction; what
# steady traffic costs is one at least.
CHANCE = 0.5

# The write and the read of the barrier.
SYNCHRONISING = 2


def check(counts, calls_per_message=2, polls=2):
    """A poll for all messages of a round and one for the turn that synchronises, and the calls of each message."""
    registrations = {name: counts[name] for name in REGISTRATIONS if counts.get(name, 0) > CHANCE}
    assert not registrations, counts
    polled = sum(counts.get(name, 0) for name in POLLS)
    assert polled <= polls + CHANCE, counts
    others = sum(counts.values()) - polled - SYNCHRONISING
    if "io_uring_enter" in counts:
        # What arrives while the loop is blocked interrupts its read for a moment, and strace counts it once more.
        others -= max(0, counts.get("read", 0) - 1)
    assert others <= calls_per_message * CONNECTIONS + CHANCE, (others / CONNECTIONS, counts)


@pytest.mark.parametrize("server", [PROTOCOL, BUFFERED], ids=["protocol", "buffered protocol"])
def test_a_message_costs_two_calls_and_its_share_of_a_poll(backend, server):  # G13
    check(steady_counts(backend, server, connections=CONNECTIONS, size=SIZE))


def test_a_message_that_wakes_a_task_costs_its_share_of_one_more_poll(backend):  # G13
    check(steady_counts(backend, STREAMS, connections=CONNECTIONS, size=SIZE), polls=3)


@pytest.mark.only_tulipa
def test_sixteen_small_writes_leave_in_one_call(backend):
    check(steady_counts(backend, SMALL_WRITES, connections=CONNECTIONS, size=SIZE))


@pytest.mark.only_tulipa
def test_socket_calls_keep_their_registration(backend):  # G13
    """One more call per message: `sock_recv` looks first, and finds nothing."""
    check(steady_counts(backend, SOCKETS, connections=CONNECTIONS, size=SIZE), calls_per_message=3, polls=3)


def test_datagrams_cost_two_calls_each(backend):
    """All come in on one socket: in batches, or one by one; the answers leave one by one at most."""
    check(steady_counts(backend, DATAGRAMS, connections=CONNECTIONS, size=SIZE, datagrams=True), polls=CONNECTIONS + 1)

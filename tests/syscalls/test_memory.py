"""Large messages are taken from memory that the process has: the kernel is not asked for any each time. # G13"""

import platform

import pytest

from tests.support.tracing import counts_of_program

pytestmark = [
    pytest.mark.only_tulipa,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what the allocator keeps is glibc's own rule"),
]
MESSAGES = 100
MEMORY = ("brk", "mmap", "munmap", "mremap", "madvise")


def cost_of_memory(backend, source, size):
    """The calls about memory for each message of a size, of which `source` defines a server."""
    program = (
        """
        import socket, sys
        SIZE, MESSAGES = int(sys.argv[1]), int(sys.argv[2])
        """
        + source
        + """
        def client(address):
            with socket.create_connection(address) as sock:
                message = b"m" * SIZE
                memory = memoryview(bytearray(SIZE))
                for number in range(2 * MESSAGES + 1):
                    if number in (MESSAGES, 2 * MESSAGES):
                        mark()
                    sock.sendall(message)
                    got = 0
                    while got < SIZE:
                        got += sock.recv_into(memory[got:])
        async def main():
            server = await serve()
            address = server.sockets[0].getsockname()
            await asyncio.get_running_loop().run_in_executor(None, client, address)
            server.close()
        run(main())
        """
    )
    counts = counts_of_program(backend, program, str(size), str(MESSAGES))
    return sum(counts[name] for name in MEMORY) / MESSAGES


@pytest.mark.parametrize("size", [60_000, 150_000, 250_000, 300_000])
def test_a_protocol(backend, size):
    source = """
        class Echo(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport
            def data_received(self, data):
                self.transport.write(data)
        async def serve():
            return await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    """
    assert cost_of_memory(backend, source, size) < 0.5


@pytest.mark.parametrize("size", [60_000, 150_000, 300_000, 1 << 20])
def test_a_stream_reader(backend, size):
    source = """
        async def echo(reader, writer):
            try:
                while True:
                    writer.write(await reader.readexactly(SIZE))
            except asyncio.IncompleteReadError:
                writer.close()
        async def serve():
            return await asyncio.start_server(echo, "127.0.0.1", 0, limit=2 * SIZE)
    """
    assert cost_of_memory(backend, source, size) < 0.5

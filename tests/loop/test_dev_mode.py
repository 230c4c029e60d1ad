"""Programs of all kinds are clean in Python's dev mode, with every warning an error."""

import pytest

from tests.support.programs import check_program

STRICT = ("-X", "dev", "-W", "error")

PROGRAMS = {
    "nothing": "async def main(): pass",
    "timers": """
async def main():
    await asyncio.gather(*(asyncio.sleep(0.001 * n) for n in range(10)))
    asyncio.get_running_loop().call_later(100, print)
""",
    "tcp": """
async def serve(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\\n")
        assert await reader.read() == b"line\\n"
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.01)
""",
    "udp": """
async def main():
    loop = asyncio.get_running_loop()
    got = loop.create_future()
    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data, address):
            got.set_result(data)
    receiver, _ = await loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
    sender, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol,
        remote_addr=receiver.get_extra_info("sockname"))
    sender.sendto(b"x")
    assert await got == b"x"
    sender.close()
    receiver.close()
    await asyncio.sleep(0.01)
""",
    "pipes": """
import os
async def main():
    loop = asyncio.get_running_loop()
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0))
    write_transport, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(write_end, "wb", 0))
    write_transport.write(b"through the pipe")
    write_transport.close()
    assert await reader.read() == b"through the pipe"
    await asyncio.sleep(0.01)
""",
    "process": """
import sys
async def main():
    process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "print(1)", stdout=-1)
    assert (await process.communicate())[0] == b"1\\n"
    assert process.returncode == 0
""",
    "threads": """
async def main():
    assert await asyncio.to_thread(pow, 2, 3) == 8
""",
    "sockets": """
import socket
async def main():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        await loop.sock_sendall(left, b"x")
        assert await loop.sock_recv(right, 10) == b"x"
""",
    "names": """
async def main():
    loop = asyncio.get_running_loop()
    assert await loop.getaddrinfo("127.0.0.1", 80)
    assert await loop.getnameinfo(("127.0.0.1", 80))
""",
    "signals": """
import os, signal
async def main():
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, arrived.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await arrived.wait()
""",
}

# Dev mode reports callbacks that take long, which on a busy machine any may do.
PATIENT = """
make_loop = new_loop
def new_loop():
    loop = make_loop()
    loop.slow_callback_duration = 60
    return loop
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_clean(backend, name):
    source = PATIENT + PROGRAMS[name] + "\nrun(main())\nprint('clean')\n"
    assert check_program(backend, source, flags=STRICT) == "clean\n"


@pytest.mark.parametrize("name", ["tcp", "udp", "pipes", "process"])
def test_a_program_is_clean_at_the_end_of_the_interpreter(backend, name):
    """The loop dies with the interpreter, module globals in any order."""
    source = (
        PATIENT
        + PROGRAMS[name]
        + "\nloop = new_loop()\nloop.run_until_complete(main())\nloop.close()\nkeep = loop\nprint('clean')\n"
    )
    assert check_program(backend, source, flags=STRICT) == "clean\n"


def test_leaving_the_interpreter_with_a_loop_that_was_never_closed_is_no_crash(backend):
    from tests.support.programs import run_program

    source = """
        import socket
        loop = new_loop()
        left, right = socket.socketpair()
        async def main():
            return await loop.create_connection(asyncio.Protocol, sock=left)
        kept = loop.run_until_complete(main())
        loop.call_later(100, print)
        loop.call_soon(print)
        print("end")
    """
    done = run_program(backend, source)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "end\n"

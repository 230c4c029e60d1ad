"""`sock_connect` and `sock_accept`. # T20"""

import asyncio
import errno
import os
import socket

import pytest

pytestmark = pytest.mark.all_drivers


def listening(family=socket.AF_INET, address=("127.0.0.1", 0), backlog=10):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.bind(address)
    sock.listen(backlog)
    return sock


def new_socket(family=socket.AF_INET):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


async def test_connect_and_accept(loop):
    with listening() as listener, new_socket() as client:
        accepting = loop.create_task(loop.sock_accept(listener))
        assert await loop.sock_connect(client, listener.getsockname()) is None
        server, address = await accepting
        with server:
            assert type(server) is socket.socket
            assert server.gettimeout() == 0
            assert address == client.getsockname()
            await loop.sock_sendall(client, b"hello")
            assert await loop.sock_recv(server, 10) == b"hello"


async def test_accept_waits_for_a_client(loop):
    with listening() as listener, new_socket() as client:
        accepting = loop.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0.001)
        assert not accepting.done()
        await loop.sock_connect(client, listener.getsockname())
        (await accepting)[0].close()


async def test_accepted_sockets_are_not_inherited(loop):
    with listening() as listener, new_socket() as client:
        await loop.sock_connect(client, listener.getsockname())
        server, _ = await loop.sock_accept(listener)
        with server:
            assert not os.get_inheritable(server.fileno())


async def test_accept_over_unix_sockets(loop, tmp_path):
    path = str(tmp_path / "socket")
    with listening(socket.AF_UNIX, path) as listener, new_socket(socket.AF_UNIX) as client:
        await loop.sock_connect(client, path)
        server, _ = await loop.sock_accept(listener)
        server.close()


async def test_accept_over_the_sixth_version(loop):
    with listening(socket.AF_INET6, ("::1", 0)) as listener, new_socket(socket.AF_INET6) as client:
        await loop.sock_connect(client, listener.getsockname())
        server, address = await loop.sock_accept(listener)
        with server:
            assert len(address) == 4


async def test_connect_resolves_names(loop):
    with listening() as listener, new_socket() as client:
        await loop.sock_connect(client, ("localhost", listener.getsockname()[1]))
        server, _ = await loop.sock_accept(listener)
        server.close()


async def test_a_refused_connection_names_the_address(loop):  # G11
    with listening() as listener:
        address = listener.getsockname()
    with new_socket() as client:
        with pytest.raises(ConnectionRefusedError) as caught:
            await loop.sock_connect(client, address)
        assert caught.value.errno == errno.ECONNREFUSED
        assert str(address[1]) in str(caught.value)


async def test_connecting_to_a_path_that_does_not_exist(loop, tmp_path):
    with new_socket(socket.AF_UNIX) as client:
        with pytest.raises(FileNotFoundError):
            await loop.sock_connect(client, str(tmp_path / "nothing"))


async def test_a_unix_connect_to_a_full_backlog_fails_or_waits(loop, tmp_path):
    """The kernel says EAGAIN there; asyncio hands that on."""
    path = str(tmp_path / "socket")
    with listening(socket.AF_UNIX, path, backlog=0) as listener:
        clients = [new_socket(socket.AF_UNIX) for _ in range(3)]
        try:
            results = []
            for client in clients:
                try:
                    async with asyncio.timeout(0.1):
                        await loop.sock_connect(client, path)
                    results.append("connected")
                except (BlockingIOError, TimeoutError) as error:
                    results.append(type(error).__name__)
            assert "connected" in results
            assert len(set(results)) == 2
        finally:
            for client in clients:
                client.close()
        del listener


async def test_connect_may_be_cancelled_and_tried_again(loop):  # R5 T20
    """A connection that hangs: the listener's queue is full."""
    with listening(backlog=0) as listener:
        waiting = [new_socket() for _ in range(4)]
        try:
            tasks = [loop.create_task(loop.sock_connect(sock, listener.getsockname())) for sock in waiting]
            await asyncio.wait(tasks, timeout=0.05)
            pending = [task for task in tasks if not task.done()]
            assert pending
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert any(isinstance(result, asyncio.CancelledError) for result in results)
            for sock in waiting:
                assert loop.remove_writer(sock) is False
                assert sock.fileno() >= 0, "the caller's socket stays the caller's"
        finally:
            for sock in waiting:
                sock.close()


async def test_accept_may_be_cancelled_and_loses_no_client(loop):  # R5
    with listening() as listener, new_socket() as client:
        accepting = loop.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0)
        accepting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await accepting
        await loop.sock_connect(client, listener.getsockname())
        server, _ = await loop.sock_accept(listener)
        server.close()


async def test_a_connected_socket_becomes_a_transport(loop):  # T20
    """What aiohappyeyeballs does: socket, sock_connect, create_connection(sock=)."""
    with listening() as listener:
        client = new_socket()
        await loop.sock_connect(client, listener.getsockname())
        server, _ = await loop.sock_accept(listener)
        with server:
            reader, writer = await asyncio.open_connection(sock=client)
            await loop.sock_sendall(server, b"line\n")
            assert await reader.readline() == b"line\n"
            writer.write(b"answer")
            assert await loop.sock_recv(server, 10) == b"answer"
            writer.close()
            await writer.wait_closed()


async def test_a_hundred_clients_are_all_accepted(loop):
    with listening(backlog=200) as listener:
        clients = [new_socket() for _ in range(100)]
        accepted = []
        try:

            async def accept_all():
                while len(accepted) < len(clients):
                    accepted.append((await loop.sock_accept(listener))[0])

            await asyncio.gather(accept_all(), *(loop.sock_connect(sock, listener.getsockname()) for sock in clients))
            assert {sock.getpeername() for sock in accepted} == {sock.getsockname() for sock in clients}
        finally:
            for sock in clients + accepted:
                sock.close()


async def test_accept_on_a_socket_that_does_not_listen_is_an_error(loop):
    with new_socket() as sock:
        with pytest.raises(OSError):
            await loop.sock_accept(sock)


async def test_connect_twice_is_an_error(loop):
    with listening() as listener, new_socket() as client:
        with pytest.raises(OSError):
            # The call after one that was in progress only fetches its result.
            for _ in range(3):
                await loop.sock_connect(client, listener.getsockname())
        server, _ = await loop.sock_accept(listener)
        server.close()

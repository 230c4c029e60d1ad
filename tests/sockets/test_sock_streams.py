"""`sock_recv`, `sock_sendall` and friends on stream sockets."""

import array
import asyncio
import contextlib
import socket
import threading

import pytest

from tests.support.descriptors import fill, small_buffers, socket_pair

pytestmark = pytest.mark.all_drivers


async def test_recv_gives_what_is_already_there(loop):
    with socket_pair() as (left, right):
        right.send(b"there")
        assert await loop.sock_recv(left, 100) == b"there"


async def test_recv_waits_for_what_comes(loop):
    with socket_pair() as (left, right):
        task = loop.create_task(loop.sock_recv(left, 100))
        await asyncio.sleep(0)
        assert not task.done()
        right.send(b"later")
        assert await task == b"later"


async def test_recv_gives_no_more_than_asked(loop):
    with socket_pair() as (left, right):
        right.send(b"0123456789")
        assert await loop.sock_recv(left, 4) == b"0123"
        assert await loop.sock_recv(left, 100) == b"456789"


async def test_recv_at_the_end_gives_empty_bytes(loop):
    with socket_pair() as (left, right):
        right.send(b"last")
        right.close()
        assert await loop.sock_recv(left, 100) == b"last"
        assert await loop.sock_recv(left, 100) == b""
        assert await loop.sock_recv(left, 100) == b""


async def test_recv_raises_a_reset(loop):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        client.setblocking(False)
        task = loop.create_task(loop.sock_recv(client, 100))
        await asyncio.sleep(0)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.close()
        with pytest.raises(ConnectionResetError):
            await task


@pytest.mark.parametrize(
    "make",
    [bytearray, lambda size: memoryview(bytearray(size)), lambda size: array.array("B", bytes(size))],
    ids=["bytearray", "memoryview", "array"],
)
async def test_recv_into_fills_a_writable_buffer(loop, make):
    with socket_pair() as (left, right):
        buffer = make(16)
        task = loop.create_task(loop.sock_recv_into(left, buffer))
        await asyncio.sleep(0)
        right.send(b"hello")
        assert await task == 5
        assert bytes(buffer)[:5] == b"hello"


async def test_recv_into_at_the_end_gives_zero(loop):
    with socket_pair() as (left, right):
        right.close()
        assert await loop.sock_recv_into(left, bytearray(4)) == 0


async def test_recv_into_refuses_what_cannot_be_written(loop):
    with socket_pair() as (left, right):
        right.send(b"x")
        for wrong in (b"read only", "text", None, 5):
            with pytest.raises((TypeError, BufferError)):
                await loop.sock_recv_into(left, wrong)
        assert await loop.sock_recv(left, 10) == b"x"


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"memoryview"),
        array.array("H", [1, 2, 3]),
        memoryview(b"0123456789")[::1],
    ],
    ids=["bytes", "bytearray", "memoryview", "array", "slice"],
)
async def test_sendall_takes_any_buffer(loop, data):
    with socket_pair() as (left, right):
        assert await loop.sock_sendall(left, data) is None
        assert right.recv(100) == bytes(data)


async def test_sendall_of_nothing(loop):
    with socket_pair() as (left, right):
        assert await loop.sock_sendall(left, b"") is None


async def test_sendall_sends_all_of_much(loop):
    data = bytes(range(256)) * 40_000
    with socket_pair() as (left, right):
        small_buffers(left, right)
        task = loop.create_task(loop.sock_sendall(left, data))
        got = bytearray()
        while len(got) < len(data):
            got += await loop.sock_recv(right, 100_000)
        await task
        assert got == data


async def test_sendall_to_a_closed_peer_raises(loop):
    with socket_pair() as (left, right):
        right.close()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await loop.sock_sendall(left, b"x")


async def test_sendall_that_waits_hears_of_a_closed_peer(loop):
    with socket_pair() as (left, right):
        fill(left)
        task = loop.create_task(loop.sock_sendall(left, b"x"))
        await asyncio.sleep(0)
        right.close()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await task


async def test_reading_and_writing_of_one_socket_at_once(loop):
    data = bytes(1_000_000)
    with socket_pair() as (left, right):

        async def receive(sock):
            got = 0
            while got < len(data):
                got += len(await loop.sock_recv(sock, 65536))
            return got

        results = await asyncio.gather(
            loop.sock_sendall(left, data), receive(left), loop.sock_sendall(right, data), receive(right)
        )
        assert results == [None, len(data), None, len(data)]


async def test_a_thousand_small_messages_keep_their_order(loop):
    with socket_pair() as (left, right):

        async def send():
            for number in range(1000):
                await loop.sock_sendall(left, b"%4d" % number)

        task = loop.create_task(send())
        got = bytearray()
        while len(got) < 4000:
            got += await loop.sock_recv(right, 4096)
        await task
        assert got == b"".join(b"%4d" % number for number in range(1000))


async def test_cancelling_recv_frees_the_socket_for_the_next(loop):  # R5
    with socket_pair() as (left, right):
        task = loop.create_task(loop.sock_recv(left, 100))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        right.send(b"not lost")
        assert await loop.sock_recv(left, 100) == b"not lost"


async def test_recv_that_times_out_loses_nothing(loop):  # R5 N4
    with socket_pair() as (left, right):
        for number in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await loop.sock_recv(left, 100)
            right.send(b"%d" % number)
            assert await loop.sock_recv(left, 100) == b"%d" % number


async def test_cancelling_in_the_turn_in_which_data_arrived_loses_nothing(loop):  # R5
    """The data came, the task was cancelled before it woke: the next reader must get the bytes, or the task must."""
    for _ in range(20):
        with socket_pair() as (left, right):
            task = loop.create_task(loop.sock_recv(left, 100))
            await asyncio.sleep(0)
            right.send(b"x")
            loop.call_soon(task.cancel)
            (result,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(result, asyncio.CancelledError):
                with contextlib.suppress(BlockingIOError):
                    result = left.recv(100)
            assert result == b"x"


async def test_cancelling_sendall_frees_the_socket(loop):  # R5
    with socket_pair() as (left, right):
        filled = fill(left)
        task = loop.create_task(loop.sock_sendall(left, b"never sent"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        got = 0
        while got < filled:
            got += len(await loop.sock_recv(right, 1 << 20))
        await loop.sock_sendall(left, b"sent")
        assert await loop.sock_recv(right, 100) == b"sent"


async def test_the_socket_can_be_watched_after_an_operation(loop):
    with socket_pair() as (left, right):
        task = loop.create_task(loop.sock_recv(left, 100))
        await asyncio.sleep(0)
        right.send(b"x")
        await task
        arrived = loop.create_future()
        loop.add_reader(left, lambda: arrived.done() or arrived.set_result(None))
        right.send(b"y")
        await arrived
        assert loop.remove_reader(left) is True


async def test_a_mutated_buffer_does_not_change_what_was_sent_before(loop):
    with socket_pair() as (left, right):
        data = bytearray(b"first")
        await loop.sock_sendall(left, data)
        data[:] = b"xxxxx"
        data.clear()
        assert right.recv(100) == b"first"


async def test_recv_of_zero_bytes(loop):
    with socket_pair() as (left, right):
        right.send(b"x")
        assert await loop.sock_recv(left, 0) == b""
        assert await loop.sock_recv(left, 1) == b"x"


async def test_a_negative_size_is_an_error(loop):
    with socket_pair() as (left, right):
        right.send(b"x")
        with pytest.raises((ValueError, OverflowError)):
            await loop.sock_recv(left, -1)


async def test_blocking_sockets_are_refused_in_debug_mode(loop):
    loop.set_debug(True)
    with socket_pair(blocking=True) as (left, right):
        for operation in (
            loop.sock_recv(left, 1),
            loop.sock_recv_into(left, bytearray(1)),
            loop.sock_recvfrom(left, 1),
            loop.sock_recvfrom_into(left, bytearray(1)),
            loop.sock_sendall(left, b"x"),
            loop.sock_sendto(left, b"x", ("127.0.0.1", 1)),
            loop.sock_accept(left),
            loop.sock_connect(left, ("127.0.0.1", 1)),
        ):
            with pytest.raises(ValueError, match="non-blocking"):
                await operation


def test_two_loops_in_two_threads_talk(loop, loop_factory):
    data = bytes(300_000)
    with socket_pair() as (left, right):

        def other():
            loop = loop_factory()
            try:

                async def receive():
                    got = 0
                    while got < len(data):
                        got += len(await loop.sock_recv(right, 65536))
                    await loop.sock_sendall(right, b"done")

                loop.run_until_complete(receive())
            finally:
                loop.close()

        thread = threading.Thread(target=other)
        thread.start()

        async def main():
            await loop.sock_sendall(left, data)
            return await loop.sock_recv(left, 10)

        assert loop.run_until_complete(main()) == b"done"
        thread.join()

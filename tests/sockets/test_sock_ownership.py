"""Two who want one socket, and sockets closed under a waiter. # T35 # G12 # R6"""

import asyncio
import contextlib
import errno
import socket

import pytest

from tests.support.descriptors import fill, socket_pair

pytestmark = pytest.mark.all_drivers
PATIENCE = 0.5


async def test_two_concurrent_recv_are_queued_or_refused(loop):  # T35
    """Either both are served in order, or the second is refused with a message that names the first."""
    with socket_pair() as (left, right):
        first = loop.create_task(loop.sock_recv(left, 5), name="first reader")
        await asyncio.sleep(0)
        second = loop.create_task(loop.sock_recv(left, 5), name="second reader")
        await asyncio.sleep(0)
        right.send(b"11111")
        assert await asyncio.wait_for(first, PATIENCE) == b"11111"
        if second.done():
            with pytest.raises(RuntimeError) as caught:
                await second
            assert str(left.fileno()) in str(caught.value)
        else:
            right.send(b"22222")
            assert await asyncio.wait_for(second, PATIENCE) == b"22222"


async def test_two_concurrent_sendall_do_not_mix(loop):  # T35 G10
    with socket_pair() as (left, right):
        filled = fill(left)
        payloads = [b"a" * 500_000, b"b" * 500_000]
        tasks = []
        for payload in payloads:
            tasks.append(loop.create_task(loop.sock_sendall(left, payload)))
            await asyncio.sleep(0)
        got = bytearray()

        async def drain_all():
            while True:
                data = await loop.sock_recv(right, 1 << 20)
                if not data:
                    return
                got.extend(data)

        draining = loop.create_task(drain_all())
        done, pending = await asyncio.wait(tasks, timeout=PATIENCE)
        assert not pending, "a writer hangs"
        left.close()
        await draining
        payload = bytes(got[filled:])
        served = [data for data, task in zip(payloads, tasks, strict=True) if task.exception() is None]
        assert payload == b"".join(served)
        for task in tasks:
            if task.exception() is not None:
                assert isinstance(task.exception(), RuntimeError)


async def test_two_concurrent_accept_are_queued_or_refused(loop):  # T35
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    with listener:
        tasks = []
        for _ in range(2):
            tasks.append(loop.create_task(loop.sock_accept(listener)))
            await asyncio.sleep(0)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(2)]
        done, pending = await asyncio.wait(tasks, timeout=PATIENCE)
        for sock in clients:
            sock.close()
        for task in done:
            if task.exception() is None:
                task.result()[0].close()
            else:
                assert isinstance(task.exception(), RuntimeError)
        assert not pending, "an accept hangs"


async def test_recv_does_not_take_away_the_users_reader(loop):  # T35
    """`add_reader` by the program and `sock_recv` on one socket: refused, or both served, never silently replaced."""
    with socket_pair() as (left, right):
        calls = []
        loop.add_reader(left, calls.append, 1)
        task = loop.create_task(loop.sock_recv(left, 10))
        await asyncio.sleep(0)
        right.send(b"x")
        done, pending = await asyncio.wait([task], timeout=PATIENCE)
        if task.done() and task.exception() is not None:
            assert isinstance(task.exception(), RuntimeError)
            assert str(left.fileno()) in str(task.exception())
        assert not pending
        right.send(b"y")
        await asyncio.sleep(0.01)
        assert calls, "the reader was silently dropped"
        assert loop.remove_reader(left) is True


@pytest.mark.parametrize("how", ["recv", "recv_into", "sendall", "accept"])
async def test_closing_a_socket_under_a_waiter_wakes_it_or_refuses_the_number(loop, how):  # T35 R6
    """After the close the number may be another file's: the waiter must not hang, nor take that file's data."""
    with socket_pair() as (left, right):
        if how == "accept":
            left.close()
            left = socket.create_server(("127.0.0.1", 0))
            left.setblocking(False)
        elif how == "sendall":
            fill(left)
        operation = {
            "recv": lambda: loop.sock_recv(left, 10),
            "recv_into": lambda: loop.sock_recv_into(left, bytearray(10)),
            "sendall": lambda: loop.sock_sendall(left, b"x"),
            "accept": lambda: loop.sock_accept(left),
        }[how]
        task = loop.create_task(operation())
        await asyncio.sleep(0)
        number = left.fileno()
        left.close()
        with socket_pair() as (new_left, new_right):
            assert number in (new_left.fileno(), new_right.fileno())
            mine, other = (new_left, new_right) if new_left.fileno() == number else (new_right, new_left)
            await loop.sock_sendall(other, b"for the new owner")
            assert await asyncio.wait_for(loop.sock_recv(mine, 100), PATIENCE) == b"for the new owner"
            done, pending = await asyncio.wait([task], timeout=PATIENCE)
            task.cancel()
            assert done, "the waiter on a closed socket hangs"
            assert isinstance(task.exception(), OSError)


def operations(loop, sock):
    return {
        "recv": lambda: loop.sock_recv(sock, 10),
        "recv_into": lambda: loop.sock_recv_into(sock, bytearray(10)),
        "sendall": lambda: loop.sock_sendall(sock, b"x"),
    }


@pytest.mark.parametrize("how", ["recv", "recv_into", "sendall"])
async def test_closing_a_socket_under_a_waiter_ends_it_at_once(loop, how):  # T35 R6
    """Nothing else happens on the loop, and nobody gets the number."""
    with socket_pair() as (left, right):
        fill(left)
        number = left.fileno()
        task = loop.create_task(operations(loop, left)[how]())
        await asyncio.sleep(0)
        left.close()
        with pytest.raises(OSError, match=f"file descriptor {number} was closed") as caught:
            await asyncio.wait_for(task, PATIENCE)
        assert caught.value.errno == errno.EBADF


async def test_closing_ends_whoever_waits_in_either_direction(loop):  # T35 R6
    with socket_pair() as (left, right):
        fill(left)
        tasks = [loop.create_task(operation()) for operation in operations(loop, left).values()]
        await asyncio.sleep(0)
        left.close()
        done, pending = await asyncio.wait(tasks, timeout=PATIENCE)
        assert not pending
        assert [task.exception().errno for task in tasks] == [errno.EBADF] * 3


async def test_closing_leaves_the_programs_callback_registered(loop):  # T35
    """As on asyncio: whoever closes a descriptor that it watches has to take the callback away."""
    with socket_pair() as (left, right):
        number = left.fileno()
        loop.add_writer(left, lambda: None)
        task = loop.create_task(loop.sock_recv(left, 10))
        await asyncio.sleep(0)
        left.close()
        with pytest.raises(OSError):
            await asyncio.wait_for(task, PATIENCE)
        assert loop.remove_writer(number) is True


@pytest.mark.only_tulipa
async def test_a_callback_that_can_be_called_no_more_is_reported(loop, backend, reported):  # R8
    """Taking one half of a registration back fails where the descriptor was closed meanwhile."""
    if backend.driver != "epoll":
        pytest.skip("poll and select have no registration that could fail")
    with contextlib.ExitStack() as stack:
        # Those before it are asked first whether they are closed.
        others = [stack.enter_context(socket_pair())[0] for _ in range(40)]
        waiting = [loop.create_task(loop.sock_recv(sock, 1)) for sock in others]
        left, _ = stack.enter_context(socket_pair())
        fill(left)
        number = left.fileno()
        loop.add_writer(left, print)
        task = loop.create_task(loop.sock_recv(left, 1))
        await asyncio.sleep(0)
        left.close()
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
        (context,) = reported
        assert f"file descriptor {number} can be watched no longer" in str(context["exception"])
        assert "print" in repr(context["handle"])
        reported.clear()
        assert loop.remove_writer(number) is False
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)


@pytest.mark.parametrize("busy", [False, True])
async def test_one_of_many_who_wait_is_noticed(loop, busy):  # T35 R6
    """A turn asks after a few only; the others' turn comes, while the loop works and while it rests."""
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(socket_pair()) for _ in range(400)]
        tasks = [loop.create_task(loop.sock_recv(left, 10)) for left, _ in pairs]
        await asyncio.sleep(0)
        closed = (0, 17, 200, 399)
        for index in closed:
            pairs[index][0].close()
        ended = asyncio.gather(*(tasks[index] for index in closed), return_exceptions=True)
        while busy and not ended.done():
            await asyncio.sleep(0)
        errors = await asyncio.wait_for(ended, 5)
        assert [error.errno for error in errors] == [errno.EBADF] * 4
        still_open = [index for index, task in enumerate(tasks) if not task.done()]
        assert len(still_open) == 396
        for index in still_open:
            pairs[index][1].send(b"x")
            assert await tasks[index] == b"x"


@pytest.mark.parametrize(
    "operation",
    [
        lambda loop, sock: loop.sock_recv(sock, 1),
        lambda loop, sock: loop.sock_recv_into(sock, bytearray(1)),
        lambda loop, sock: loop.sock_sendall(sock, b"x"),
    ],
    ids=["recv", "recv_into", "sendall"],
)
async def test_a_transports_socket_is_refused_by_name(loop, operation):  # T19 G12
    with socket_pair() as (left, right):
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        right.send(b"for the transport")
        try:
            with pytest.raises(RuntimeError, match="transport") as caught:
                await operation(loop, left)
            assert str(left.fileno()) in str(caught.value)
        finally:
            transport.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)


def test_closing_the_loop_under_a_pending_recv(loop_factory):  # R3
    loop = loop_factory()
    with socket_pair() as (left, right):

        async def start():
            return asyncio.ensure_future(loop.sock_recv(left, 10))

        task = loop.run_until_complete(start())
        loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False
        loop.close()
        right.send(b"still the program's")
        assert left.recv(100) == b"still the program's"
        del task


async def test_a_detached_socket_can_be_used_under_its_number(loop):
    with socket_pair() as (left, right):
        right.send(b"1")
        assert await loop.sock_recv(left, 1) == b"1"
        copy = socket.socket(fileno=left.detach())
        copy.setblocking(False)
        with copy:
            right.send(b"2")
            assert await loop.sock_recv(copy, 1) == b"2"

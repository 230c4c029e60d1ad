"""Tasks written as generators, and waiting for a descriptor. # T5 # T6 # V2 # N6"""

import asyncio
import os
import socket

import pytest

import tulipa
from tests.support.descriptors import fill, pipe_files, socket_pair
from tests.support.streams import turns

pytestmark = pytest.mark.only_tulipa


# -- waiting for a descriptor -------------------------------------------------------------------


@pytest.mark.all_drivers
async def test_a_descriptor_is_waited_for(loop):  # T6
    with socket_pair() as (left, right):
        await tulipa.wait_writable(left)
        waiting = loop.create_task(_await(tulipa.wait_readable(left)))
        await turns(3)
        assert not waiting.done()
        right.send(b"x")
        await waiting
        await tulipa.wait_readable(left.fileno())
        assert left.recv(10) == b"x"


async def _await(awaitable):
    return await awaitable


@pytest.mark.all_drivers
async def test_room_is_waited_for(loop):
    with socket_pair() as (left, right):
        count = fill(left)
        waiting = loop.create_task(_await(tulipa.wait_writable(left)))
        await turns(3)
        assert not waiting.done()
        while count > 0:
            count -= len(right.recv(1 << 20))
        await waiting


async def test_pipes_and_files_can_be_waited_for(loop, tmp_path):
    with pipe_files() as (reader, writer):
        await tulipa.wait_writable(writer)
        writer.write(b"x")
        await tulipa.wait_readable(reader)
    with open(tmp_path / "file", "wb") as file:
        await tulipa.wait_writable(file)


async def test_it_lets_others_run_though_the_descriptor_is_ready(loop):
    with socket_pair() as (left, _):
        ran = []
        loop.call_soon(ran.append, True)
        await tulipa.wait_writable(left)
        assert ran


async def test_several_wait_in_turn_and_all_are_served(loop):  # R6
    with socket_pair() as (left, right):
        ready = tulipa.wait_readable(left)
        order = []

        async def wait(number):
            await ready
            order.append(number)

        tasks = [loop.create_task(wait(number)) for number in range(3)]
        await turns(2)
        right.send(b"x")
        await asyncio.wait(tasks)
        assert order == [0, 1, 2]


async def test_it_goes_with_a_callback_on_the_same_descriptor(loop):
    with socket_pair() as (left, right):
        called = []
        loop.add_reader(left, lambda: called.append(left.recv(10)))
        for how in (left, left.fileno()):
            waiting = loop.create_task(_await(tulipa.wait_readable(how)))
            await turns(2)
            right.send(b"x")
            await waiting
        right.send(b"y")
        while called[-1:] != [b"y"]:
            await turns(1)
        assert loop.remove_reader(left)


async def test_closing_the_descriptor_ends_the_wait(loop):  # R6
    left, right = socket.socketpair()
    waiting = loop.create_task(_await(tulipa.wait_readable(left)))
    await turns(2)
    left.close()
    right.close()
    with pytest.raises(OSError, match="closed while"):
        await waiting


async def test_a_wait_that_is_cancelled_leaves_the_queue(loop):  # R5
    with socket_pair() as (left, right):
        waiting = loop.create_task(_await(tulipa.wait_readable(left)))
        await turns(2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        right.send(b"x")
        assert await loop.sock_recv(left, 10) == b"x"
        # Nothing is registered any more: a transport may take the descriptor over.
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        with pytest.raises(RuntimeError, match="used by transport"):
            await tulipa.wait_readable(transport.get_extra_info("socket"))
        transport.abort()
        await turns(2)


@pytest.mark.parametrize("wrong", [None, "text", True, object(), 1.0])
async def test_what_is_no_descriptor_is_refused(loop, wrong):
    with pytest.raises(TypeError, match="file descriptor"):
        tulipa.wait_readable(wrong)


async def test_a_number_that_is_not_open_is_refused(loop):
    for number in (-1, 1_000_000):
        with pytest.raises((OSError, ValueError)):
            await tulipa.wait_readable(number)


# -- generators ---------------------------------------------------------------------------------


async def test_a_generator_is_a_task_with_a_result(loop):  # T5
    def count(to):
        for _ in range(to):
            yield
        return to

    task = tulipa.spawn(count(3))
    assert isinstance(task, asyncio.Task)
    done = []
    task.add_done_callback(done.append)
    assert await task == 3
    await turns(1)
    assert done == [task]
    assert "count" in repr(tulipa.spawn(count(0)))
    named = tulipa.spawn(count(0), name="counter")
    assert named.get_name() == "counter"
    await turns(3)


async def test_generators_take_turns(loop):  # V2
    order = []

    def step(name):
        for number in range(3):
            order.append((name, number))
            yield

    await asyncio.gather(*(tulipa.spawn(step(name)) for name in "ab"))
    assert order == [(name, number) for number in range(3) for name in "ab"]


async def test_generators_wait_for_descriptors(loop):  # V2
    with socket_pair() as (left, right):
        size = 3_000_000

        def send():
            rest = memoryview(bytes(size))
            while rest:
                yield tulipa.wait_writable(left)
                rest = rest[left.send(rest) :]
            left.shutdown(socket.SHUT_WR)

        def receive():
            count = 0
            while True:
                yield tulipa.wait_readable(right)
                data = right.recv(65536)
                if not data:
                    return count
                count += len(data)

        sending, receiving = tulipa.spawn(send()), tulipa.spawn(receive())
        assert await receiving == size
        await sending


async def test_every_form_converts_into_every_other(loop):  # N6
    async def coroutine(value):
        await asyncio.sleep(0)
        return value

    future = loop.create_future()
    loop.call_soon(future.set_result, "future")

    def inner(value):
        yield
        return value

    def generator():
        results = [(yield coroutine("coroutine")), (yield future), (yield loop.create_task(coroutine("task")))]
        results += [(yield inner("generator")), (yield from inner("part")), (yield from future)]
        results.append((yield tulipa.spawn(inner("spawned"))))
        return results

    async def awaits():
        return await tulipa.spawn(generator())

    expected = ["coroutine", "future", "task", "generator", "part", "future", "spawned"]
    assert await awaits() == expected
    called = loop.create_future()
    tulipa.spawn(inner("callback")).add_done_callback(lambda task: called.set_result(task.result()))
    assert await called == "callback"


async def test_what_is_waited_for_raises_at_the_yield(loop):
    async def broken():
        raise LookupError("inside")

    def catching():
        try:
            yield broken()
        except LookupError:
            return "caught"

    def passing():
        yield broken()

    assert await tulipa.spawn(catching()) == "caught"
    with pytest.raises(LookupError, match="inside"):
        await tulipa.spawn(passing())


@pytest.mark.parametrize("wrong", [1, "text", [], object()])
async def test_what_cannot_be_waited_for_is_refused_at_the_yield(loop, wrong):
    def generator():
        try:
            yield wrong
        except TypeError as error:
            return str(error)

    assert "a generator task yields" in await tulipa.spawn(generator())


async def test_cancelling_runs_the_finally_and_releases_the_descriptor(loop):  # R5 N5
    with socket_pair() as (left, right):
        cleaned = []

        def waits():
            try:
                yield tulipa.wait_readable(left)
            finally:
                cleaned.append(True)

        task = tulipa.spawn(waits())
        await turns(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned == [True]
        right.send(b"x")
        assert await loop.sock_recv(left, 10) == b"x"


async def test_a_timeout_ends_a_generator(loop):  # N4 N8
    with socket_pair() as (left, _):

        def waits():
            yield tulipa.wait_readable(left)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(tulipa.spawn(waits()), 0.01)


async def test_the_first_of_several_is_waited_for(loop):  # T5
    with socket_pair() as (left, right):

        def waits(sock):
            yield tulipa.wait_readable(sock)
            return os.read(sock.fileno(), 10)

        tasks = {tulipa.spawn(waits(left)), tulipa.spawn(waits(right))}
        right.send(b"first")
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == [b"first"]
        for task in rest:
            task.cancel()
        await asyncio.wait(rest)


async def test_what_is_no_generator_is_refused(loop):
    async def coroutine():
        pass

    made = coroutine()
    for wrong in (made, None, lambda: None, [1]):
        with pytest.raises(TypeError, match="takes a generator"):
            tulipa.spawn(wrong)
    made.close()


def test_a_program_of_callbacks_can_spawn(loop, run):  # N1
    done = []

    def generator():
        yield
        done.append(True)

    loop.call_soon(lambda: tulipa.spawn(generator()))
    loop.run_until_idle()
    assert done == [True]

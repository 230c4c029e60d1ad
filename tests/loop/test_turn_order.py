"""The order of one turn: what was ready, then I/O, then due timers; what they add waits for the next turn. # T16"""

import asyncio
import socket

import pytest

pytestmark = pytest.mark.all_drivers


def one_turn(loop):
    """Run exactly the batch that is ready now."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_callbacks_run_in_the_order_in_which_they_were_scheduled(loop):
    seen = []
    for number in range(1000):
        loop.call_soon(seen.append, number)
    one_turn(loop)
    assert seen == list(range(1000))


def test_a_callback_scheduled_by_a_callback_runs_in_the_next_turn(loop):
    seen = []

    def first():
        seen.append("first")
        loop.call_soon(seen.append, "added by first")

    loop.call_soon(first)
    loop.call_soon(seen.append, "second")
    one_turn(loop)
    assert seen == ["first", "second"]
    one_turn(loop)
    assert seen == ["first", "second", "added by first"]


def test_stop_finishes_the_batch_and_nothing_more(loop):
    seen = []
    loop.call_soon(loop.stop)
    loop.call_soon(seen.append, "same batch")
    loop.call_soon(lambda: loop.call_soon(seen.append, "next batch"))
    loop.run_forever()
    assert seen == ["same batch"]


def test_ready_callbacks_then_input_then_timers(loop):
    left, right = socket.socketpair()
    seen = []
    with left, right:
        right.send(b"x")
        loop.add_reader(left, seen.append, "input")
        loop.call_at(loop.time() - 1, seen.append, "timer")
        loop.call_soon(seen.append, "ready")
        one_turn(loop)
        loop.remove_reader(left)
    assert seen[:3] == ["ready", "input", "timer"] or seen[:4] == ["ready", "input", "timer", "input"]


def test_what_a_ready_callback_adds_runs_after_input_and_timers_of_the_turn(loop):
    left, right = socket.socketpair()
    seen = []
    with left, right:
        right.send(b"x")

        def on_input():
            left.recv(1)
            seen.append("input")

        loop.add_reader(left, on_input)
        loop.call_at(loop.time() - 1, seen.append, "timer")
        loop.call_soon(lambda: (seen.append("ready"), loop.call_soon(seen.append, "added")))
        one_turn(loop)
        one_turn(loop)
        loop.remove_reader(left)
    assert seen == ["ready", "input", "timer", "added"]


def test_readable_and_writable_of_one_descriptor_come_in_that_order(loop):
    left, right = socket.socketpair()
    seen = []
    with left, right:
        right.send(b"x")
        loop.add_writer(left, seen.append, "write")
        loop.add_reader(left, seen.append, "read")
        one_turn(loop)
        loop.remove_reader(left)
        loop.remove_writer(left)
    assert seen[:2] == ["read", "write"]


def test_input_is_polled_in_each_turn_although_callbacks_never_run_out(loop):
    left, right = socket.socketpair()
    turns = 0
    with left, right:

        def busy():
            nonlocal turns
            turns += 1
            if turns == 5:
                right.send(b"x")
            assert turns < 20, "the input was not seen"
            loop.call_soon(busy)

        loop.add_reader(left, loop.stop)
        loop.call_soon(busy)
        loop.run_forever()
        loop.remove_reader(left)
    assert turns <= 7


def test_a_due_timer_runs_although_callbacks_never_run_out(loop):
    turns = 0

    def busy():
        nonlocal turns
        turns += 1
        loop.call_soon(busy)

    loop.call_soon(busy)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert turns > 1


def test_a_reader_removed_earlier_in_the_same_turn_is_not_called(loop):
    left, right = socket.socketpair()
    seen = []
    with left, right:
        right.send(b"x")
        loop.add_reader(left, seen.append, "input")
        loop.call_soon(loop.remove_reader, left)
        one_turn(loop)
        one_turn(loop)
    assert seen == []


def test_a_timer_cancelled_earlier_in_the_same_turn_is_not_called(loop):
    seen = []
    timer = loop.call_at(loop.time() - 1, seen.append, "timer")
    loop.call_soon(timer.cancel)
    one_turn(loop)
    one_turn(loop)
    assert seen == []


def test_run_until_complete_returns_in_the_turn_after_the_future_is_done(loop):
    seen = []
    future = loop.create_future()
    loop.call_soon(future.set_result, 7)
    loop.call_soon(seen.append, 1)
    loop.call_soon(lambda: loop.call_soon(seen.append, 2))
    assert loop.run_until_complete(future) == 7
    assert seen == [1, 2]


async def test_calls_of_other_threads_come_before_what_is_scheduled_later(loop):
    """Also where the later is a protocol's callback."""
    seen = []

    class Protocol(asyncio.Protocol):
        def eof_received(self):
            loop.call_soon_threadsafe(seen.append, "call")

        def connection_lost(self, exc):
            seen.append("lost")
            ended.set_result(None)

    ended = loop.create_future()
    left, right = socket.socketpair()
    await loop.create_connection(Protocol, sock=left)
    right.close()
    await ended
    assert seen == ["call", "lost"]

"""`Handle` and `TimerHandle` as asyncio has them. # T5"""

import asyncio
import contextvars
import sys
import threading

import pytest


def callback(*args):
    pass


@pytest.fixture
def at(loop):
    """Makes timers and cancels them at the end."""
    made = []

    def make(when, *args):
        timer = loop.call_at(when, callback, *args)
        made.append(timer)
        return timer

    yield make
    for timer in made:
        timer.cancel()


def test_call_soon_returns_an_asyncio_handle(loop):
    handle = loop.call_soon(callback)
    assert isinstance(handle, asyncio.Handle)
    assert not isinstance(handle, asyncio.TimerHandle)
    handle.cancel()


def test_call_later_and_call_at_return_an_asyncio_timer_handle(loop, at):
    assert isinstance(at(loop.time() + 10), asyncio.TimerHandle)
    timer = loop.call_later(10, callback)
    assert isinstance(timer, asyncio.TimerHandle)
    assert isinstance(timer, asyncio.Handle)
    timer.cancel()


def test_call_soon_threadsafe_returns_a_handle(loop):
    handle = loop.call_soon_threadsafe(callback)
    assert isinstance(handle, asyncio.Handle)
    handle.cancel()
    assert handle.cancelled()


def test_add_reader_returns_nothing_or_a_handle_like_asyncio(loop, backend):
    import socket

    left, right = socket.socketpair()
    with left, right:
        handle = loop.add_reader(left, callback)
        assert handle is None or isinstance(handle, asyncio.Handle)
        loop.remove_reader(left)


def test_timers_are_ordered_by_deadline(at):
    early, late = at(1000.0), at(2000.0)
    assert early < late
    assert early <= late
    assert late > early
    assert late >= early
    assert not early > late
    assert early != late
    assert sorted([late, early]) == [early, late]


def test_timers_compare_equal_by_deadline_callback_and_arguments(at):
    first, second, other = at(1000.0, 1), at(1000.0, 1), at(1000.0, 2)
    assert first == second
    assert first != other
    assert first <= second
    assert first >= second
    assert not first < second


def test_timers_hash_by_deadline(at):
    assert hash(at(1000.0)) == hash(1000.0)


def test_timers_do_not_compare_with_other_things(at):
    timer = at(1000.0)
    for other in (1000.0, None, "timer", object()):
        assert timer != other
        with pytest.raises(TypeError):
            timer < other  # noqa: B015
        with pytest.raises(TypeError):
            timer >= other  # noqa: B015


def test_handles_compare_by_identity(loop):
    first, second = loop.call_soon(callback), loop.call_soon(callback)
    assert first != second
    assert len({first, second}) == 2
    first.cancel()
    second.cancel()


def test_cancel_twice_is_allowed(loop, at):
    for handle in (loop.call_soon(callback), at(1000.0)):
        assert not handle.cancelled()
        assert handle.cancel() is None
        assert handle.cancel() is None
        assert handle.cancelled()


def test_cancel_after_the_run_is_allowed(loop):
    handle = loop.call_soon(callback)
    timer = loop.call_later(0, callback)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    handle.cancel()
    timer.cancel()
    assert handle.cancelled()
    assert timer.cancelled()


def test_repr_tells_callback_and_deadline(loop, at):
    handle = loop.call_soon(callback, 1)
    assert "callback" in repr(handle)
    assert "Handle" in repr(handle)
    handle.cancel()
    assert "cancelled" in repr(handle)
    timer = at(1234.5, "argument")
    assert "when=1234.5" in repr(timer)
    assert "callback" in repr(timer)
    assert "TimerHandle" in repr(timer)
    timer.cancel()
    assert "cancelled" in repr(timer)


def test_repr_in_debug_mode_tells_where_it_was_made(loop):
    loop.set_debug(True)
    handle = loop.call_soon(callback)
    assert f"created at {__file__}" in repr(handle)
    handle.cancel()
    assert f"created at {__file__}" in repr(handle)


def test_get_context_gives_the_context(loop):
    if not hasattr(asyncio.Handle, "get_context"):
        pytest.skip("Handle.get_context came with Python 3.12")
    context = contextvars.copy_context()
    handle = loop.call_soon(callback, context=context)
    timer = loop.call_later(1000, callback, context=context)
    assert handle.get_context() is context
    assert timer.get_context() is context
    handle.cancel()
    timer.cancel()


def test_handles_can_be_weakly_referenced(loop):
    import weakref

    handle = loop.call_soon(callback)
    assert weakref.ref(handle)() is handle
    handle.cancel()


def test_a_handle_has_the_attributes_that_tools_read(loop, at):
    handle = loop.call_soon(callback, 1, 2)
    assert handle._callback is callback
    assert handle._args == (1, 2)
    assert handle._cancelled is False
    assert handle._loop is loop
    timer = at(1000.0, 3)
    assert timer._callback is callback
    assert timer._args == (3,)
    assert timer._when == 1000.0
    handle.cancel()
    assert handle._callback is None
    assert handle._args is None
    timer.cancel()
    assert timer._callback is None


def test_a_stranger_can_make_handles_for_the_loop(loop):
    """Tools build `asyncio.Handle` and `TimerHandle` themselves and cancel them."""
    handle = asyncio.Handle(callback, (), loop)
    handle.cancel()
    timer = asyncio.TimerHandle(loop.time() + 10, callback, (), loop)
    timer.cancel()
    assert timer.cancelled()


@pytest.mark.parametrize("debug", [False, True])
def test_cancelling_from_another_thread_waits_while_the_call_runs(loop, debug):  # T5
    loop.set_debug(debug)
    loop.slow_callback_duration = 60
    order, running = [], threading.Event()

    def call():
        running.set()
        # Whoever cancels has the time to do so.
        canceller.join(0.2)
        order.append("call")

    def cancel():
        assert running.wait(10)
        handle.cancel()
        order.append("cancel")
        assert handle.cancelled()

    canceller = threading.Thread(target=cancel)
    handle = loop.call_soon_threadsafe(call)
    canceller.start()
    loop.call_soon(loop.stop)
    loop.run_forever()
    canceller.join(10)
    assert order == (["call", "cancel"] if sys.version_info >= (3, 14) else ["cancel", "call"])


@pytest.mark.parametrize("kept", [True, False])
def test_a_threadsafe_call_runs_once_or_is_cancelled(loop, kept):
    ran = []
    handles = [loop.call_soon_threadsafe(ran.append, number) for number in range(3)]
    handles[1].cancel()
    assert [handle.cancelled() for handle in handles] == [False, True, False]
    assert all(isinstance(handle, asyncio.Handle) for handle in handles)
    if not kept:
        handles.clear()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == [0, 2]
    for handle in handles:
        handle.cancel()
        assert handle.cancelled()


def test_a_threadsafe_call_may_cancel_itself(loop):
    ran = []

    def call():
        handle.cancel()
        ran.append(handle.cancelled())

    handle = loop.call_soon_threadsafe(call)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == [True]

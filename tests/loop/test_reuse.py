"""Handles whose memory is used again are as good as new, and what asks whether a method was replaced hears of it."""

import asyncio
import contextvars
import gc
import weakref

import pytest


class Callback:
    def __init__(self):
        self.calls = 0

    def __call__(self, *args):
        self.calls += 1


def turn(loop):
    loop.run_until_complete(asyncio.sleep(0))


def made(loop, kind, callback, *args):
    return loop.call_soon(callback, *args) if kind == "soon" else loop.call_later(0, callback, *args)


KINDS = pytest.mark.parametrize("kind", ["soon", "later"])


@KINDS
def test_a_handle_is_fresh_however_the_one_before_ended(loop, kind):
    """Cancelled, run, or dropped with what it held: nothing of it is seen in the next. # T5"""
    variable = contextvars.ContextVar("variable")
    for _ in range(50):
        context = contextvars.copy_context()
        context.run(variable.set, "old")
        first = loop.call_soon(print, 1, 2, context=context) if kind == "soon" else loop.call_later(60, print, 1, 2)
        first.cancel()
        del first
        turn(loop)
        callback = Callback()
        handle = made(loop, kind, callback)
        assert not handle.cancelled()
        assert (handle._callback, handle._args) == (callback, ())
        assert handle._source_traceback is None
        assert variable not in handle.get_context() if hasattr(handle, "get_context") else True
        loop.call_later(0.002, loop.stop)
        loop.run_forever()
        assert callback.calls == 1


@KINDS
def test_weak_references_to_handles_end_with_them(loop, kind):
    ended = []
    handle = made(loop, kind, Callback())
    weak = weakref.ref(handle, ended.append)
    handle.cancel()
    del handle
    turn(loop)
    assert weak() is None
    assert ended == [weak]
    again = made(loop, kind, Callback())
    assert weak() is None
    again.cancel()


@KINDS
def test_what_a_handle_held_is_released_with_it(loop, kind):
    callback, argument = Callback(), Callback()
    gone = [weakref.ref(callback), weakref.ref(argument)]
    handle = made(loop, kind, callback, argument)
    handle.cancel()
    del handle, callback, argument
    turn(loop)
    assert [weak() for weak in gone] == [None, None]


@KINDS
def test_a_cycle_through_a_handle_is_found(loop, kind):
    """# R9"""
    for _ in range(3):  # the later ones are made of memory that was used before
        callback = Callback()
        callback.handle = made(loop, kind, callback)
        weak = weakref.ref(callback)
        loop.call_later(0.002, loop.stop)
        loop.run_forever()
        assert callback.calls == 1
        del callback
        gc.collect()
        assert weak() is None


def test_many_handles_at_once_and_again(loop):
    """More than are kept, so that some are new and some are not."""
    for _ in range(3):
        callback = Callback()
        handles = [loop.call_soon(callback) for _ in range(2000)]
        for handle in handles[::2]:
            handle.cancel()
        del handles, handle
        turn(loop)
        assert callback.calls == 1000


def test_subclasses_of_handles_are_ended_as_python_does(loop):
    class Own(type(loop.call_soon(Callback()))):
        __slots__ = ("more",)

        def __del__(self):
            ended.append(self.more)

    ended = []
    for number in range(3):
        own = Own(Callback(), (), loop)
        own.more = number
        del own
        gc.collect()
    assert ended == [0, 1, 2]


def test_a_finaliser_that_somebody_gives_to_handles_runs(loop, monkeypatch):
    ended = []
    monkeypatch.setattr(asyncio.Handle, "__del__", lambda handle: ended.append(handle._args), raising=False)
    for number in range(3):
        loop.call_soon(Callback(), number)
    turn(loop)
    assert [args for args in ended if args in [(0,), (1,), (2,)]] == [(0,), (1,), (2,)]


def test_a_clock_that_replaces_the_class_s_is_obeyed_at_once_and_no_longer(loop, monkeypatch):
    """Also when the loop has already found its own in place. # T17"""
    loop.call_later(60, print).cancel()
    turn(loop)
    real = loop.time
    with monkeypatch.context() as patch:
        patch.setattr(type(loop), "time", lambda self: real() + 5000)
        timer = loop.call_later(10, print)
        assert timer.when() > real() + 5000
        timer.cancel()
    timer = loop.call_later(10, print)
    assert timer.when() < real() + 11
    timer.cancel()


def test_a_clock_that_replaces_the_loop_s_is_obeyed_at_once_and_no_longer(loop):
    loop.call_later(60, print).cancel()
    real = loop.time
    for _ in range(2):
        loop.time = lambda: real() + 5000
        timer = loop.call_later(10, print)
        assert timer.when() > real() + 5000
        timer.cancel()
        del loop.time
        timer = loop.call_later(10, print)
        assert timer.when() < real() + 11
        timer.cancel()


@pytest.mark.only_tulipa
def test_a_loop_that_nobody_put_anything_into_has_an_empty_dictionary(loop):
    """CPython finds methods sooner that way. Whoever gives loops another attribute lists it in `Loop.__slots__`."""

    async def main():
        await loop.getaddrinfo("localhost", 80)
        await loop.run_in_executor(None, int)
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()

    loop.set_debug(True)
    loop.set_debug(False)
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    assert vars(loop) == {}


def test_a_future_belongs_to_its_loop_and_is_asyncio_s(loop):
    future = loop.create_future()
    assert type(future) is asyncio.Future
    assert future.get_loop() is loop
    assert not future.done()
    loop.call_soon(future.set_result, 3)
    assert loop.run_until_complete(future) == 3


def test_futures_know_where_they_were_made_in_debug_mode(loop):
    for debug in (False, True, False):
        loop.set_debug(debug)
        assert bool(loop.create_future()._source_traceback) is debug
    loop._debug = True  # T9
    assert loop.get_debug() is True
    assert loop.create_future()._source_traceback
    loop._debug = False


def soon_or_threadsafe(loop, threadsafe):
    return loop.call_soon_threadsafe if threadsafe else loop.call_soon


THREADSAFE = pytest.mark.parametrize("threadsafe", [False, True], ids=["soon", "threadsafe"])


@THREADSAFE
@pytest.mark.parametrize("fate", ["runs", "fails", "cancelled"])
def test_a_handle_made_in_a_run_and_kept_is_found_in_a_cycle(loop, reported, threadsafe, fate):
    """However it ended, and although the collector need not look at it while it waits. # R9"""
    references = []

    class Kept(Callback):
        def __call__(self):
            super().__call__()
            if fate == "fails":
                raise ArithmeticError

    def schedule():
        kept = Kept()
        context = contextvars.copy_context()
        context.run(variable.set, kept)
        kept.handle = soon_or_threadsafe(loop, threadsafe)(kept, context=context)
        references.append(weakref.ref(kept))
        if fate == "cancelled":
            kept.handle.cancel()

    variable = contextvars.ContextVar("variable")
    for _ in range(3):
        loop.call_soon(schedule)
        turn(loop)
        turn(loop)
        reported.clear()
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


@THREADSAFE
def test_an_abandoned_loop_with_a_call_left_from_its_run_is_collected(backend, threadsafe):
    """# R9"""
    loop = backend.new_loop()
    node = Callback()

    async def main(loop, node):
        node.handle = soon_or_threadsafe(loop, threadsafe)(node, loop)
        loop.call_soon(loop.stop)
        node.other = loop.call_soon(node, loop)

    task = loop.create_task(main(loop, node))
    task.add_done_callback(lambda _: None)
    loop.call_soon(loop.stop)
    loop.run_forever()
    reference = weakref.ref(node)
    node.loop = loop
    del loop, node, task
    with pytest.warns(ResourceWarning):
        gc.collect()
    assert reference() is None

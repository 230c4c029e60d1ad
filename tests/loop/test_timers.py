"""`call_later` and `call_at`: order, odd delays, cancellation. # T3 # N4"""

import asyncio
import gc
import math
import time
import weakref

import pytest

pytestmark = pytest.mark.all_drivers


def test_time_is_the_monotonic_clock(loop):  # T17 G9
    before = time.monotonic()
    now = loop.time()
    assert before <= now <= time.monotonic()


def test_a_timer_never_runs_early(loop):
    due = loop.time() + 0.02
    seen = []
    loop.call_at(due, lambda: (seen.append(loop.time()), loop.stop()))
    loop.run_forever()
    resolution = time.get_clock_info("monotonic").resolution
    assert seen[0] >= due - resolution


def test_timers_run_by_deadline_not_by_order_of_call(loop):
    seen = []
    now = loop.time()
    for position in (5, 1, 4, 2, 3):
        loop.call_at(now + position / 1000, seen.append, position)
    loop.call_at(now + 0.010, loop.stop)
    loop.run_forever()
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("delay", [0, 0.0, -0.0, -1, -1e9, -math.inf, False])
def test_zero_and_negative_delays_run_at_once(loop, delay):
    seen = []
    loop.call_later(delay, seen.append, 1)
    loop.call_later(0.05, loop.stop)
    loop.run_forever()
    assert seen == [1]


def test_negative_delays_run_in_order_of_deadline(loop):  # T17
    seen = []
    for delay in (-1, -3, -2):
        loop.call_later(delay, seen.append, delay)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert seen == [-3, -2, -1]


def test_an_infinite_delay_never_runs_and_does_not_disturb_others(loop):
    seen = []
    forever = loop.call_later(math.inf, seen.append, "never")
    loop.call_at(math.inf, seen.append, "never")
    loop.call_later(1e300, seen.append, "never")
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert seen == []
    assert forever.when() == math.inf
    forever.cancel()


def test_the_loop_waits_for_input_under_an_infinite_timer(loop):
    import socket

    left, right = socket.socketpair()
    with left, right:
        loop.call_later(math.inf, print)
        loop.add_reader(left, loop.stop)
        right.send(b"x")
        loop.run_forever()
        loop.remove_reader(left)


@pytest.mark.parametrize("method", ["call_later", "call_at"])
def test_a_deadline_that_is_not_a_number_breaks_nothing_else(loop, method):
    seen = []
    try:
        handle = getattr(loop, method)(math.nan, print)
    except ValueError as error:
        assert str(error)
        handle = None
    loop.call_later(0.001, seen.append, 1)
    loop.call_later(0.002, seen.append, 2)
    if handle is not None:
        handle.cancel()
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    assert seen == [1, 2]


def test_a_delay_of_none_is_refused_by_name(loop):
    with pytest.raises(TypeError, match="delay"):
        loop.call_later(None, print)
    with pytest.raises(TypeError, match="when"):
        loop.call_at(None, print)


@pytest.mark.parametrize("bad", ["1", b"", [], object()])
def test_a_delay_that_is_no_number_is_a_type_error(loop, bad):
    with pytest.raises(TypeError):
        loop.call_later(bad, print)


def test_delays_may_be_any_real_number(loop):
    import decimal
    import fractions

    class Real(float):
        pass

    seen = []
    loop.call_later(fractions.Fraction(1, 1000), seen.append, 1)
    loop.call_later(Real(0.002), seen.append, 2)
    loop.call_later(True / 200, seen.append, 3)
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    assert seen == [1, 2, 3]
    with pytest.raises(TypeError):
        loop.call_later(decimal.Decimal(1), print)


def test_a_cancelled_timer_does_not_run_and_does_not_delay_the_loop(loop):
    seen = []
    loop.call_later(0.001, seen.append, 1).cancel()
    loop.call_later(3600, seen.append, 2).cancel()
    loop.call_later(0.01, loop.stop)
    started = loop.time()
    loop.run_forever()
    assert seen == []
    assert loop.time() - started < 5


def test_cancelling_a_timer_releases_its_callback_at_once(loop):
    class Callback:
        def __call__(self, *args):
            pass

    callback = Callback()
    reference = weakref.ref(callback)
    timer = loop.call_later(3600, callback)
    del callback
    timer.cancel()
    assert reference() is None


def test_cancelled_timers_do_not_pile_up(loop):
    """Ten thousand long timers, set and cancelled, must not stay until they would have been due."""

    class Callback:
        def __call__(self):
            pass

    references = []
    for _ in range(10_000):
        callback = Callback()
        timer = loop.call_later(3600, callback)
        references.append(weakref.ref(timer))
        timer.cancel()
    del timer, callback
    loop.call_soon(loop.stop)
    loop.run_forever()
    gc.collect()
    assert sum(reference() is not None for reference in references) < 1_000


def test_when_tells_the_deadline(loop):
    timer = loop.call_at(123.5, print)
    assert timer.when() == 123.5
    timer.cancel()
    before = loop.time()
    timer = loop.call_later(10, print)
    assert before + 10 <= timer.when() <= loop.time() + 10
    timer.cancel()


def test_a_timer_set_by_a_timer_runs_in_a_later_turn(loop):
    seen = []

    def first():
        loop.call_later(-1, seen.append, "second")
        loop.call_soon(seen.append, "soon")
        seen.append("first")

    loop.call_later(0, first)
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    assert seen == ["first", "soon", "second"]


def test_a_thousand_timers_of_one_deadline_all_run(loop):
    seen = []
    due = loop.time() + 0.005
    for number in range(1000):
        loop.call_at(due, seen.append, number)
    loop.call_at(due + 0.01, loop.stop)
    loop.run_forever()
    assert sorted(seen) == list(range(1000))


def test_sub_millisecond_delays_do_not_take_milliseconds_each(loop):
    """A driver whose clock is coarse (poll, epoll: milliseconds) may be late, but must not spin early."""

    async def many():
        for _ in range(20):
            await asyncio.sleep(0.0002)

    started = time.process_time()
    loop.run_until_complete(many())
    assert time.process_time() - started < 1


def test_a_sleeping_loop_uses_no_processor_time(loop):
    started = time.process_time()
    loop.run_until_complete(asyncio.sleep(0.2))
    assert time.process_time() - started < 0.15

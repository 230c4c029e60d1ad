"""Debug mode: slow callbacks are reported, mistakes are named."""

import asyncio
import logging
import time

import pytest

from tests.support.programs import run_program


def turn(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


def test_debug_can_be_switched(loop):
    loop.set_debug(True)
    assert loop.get_debug() is True
    loop.set_debug(False)
    assert loop.get_debug() is False


def test_a_slow_callback_is_reported_with_its_name_and_time(loop, caplog):
    def slow_one():
        time.sleep(0.03)

    loop.set_debug(True)
    loop.slow_callback_duration = 0.02
    with caplog.at_level(logging.WARNING, "asyncio"):
        loop.call_soon(slow_one)
        loop.call_soon(int)
        turn(loop)
    reports = [text for text in messages(caplog) if "slow_one" in text]
    assert len(reports) == 1
    assert "took" in reports[0]
    assert "seconds" in reports[0]


def test_a_slow_timer_and_a_slow_task_are_reported(loop, caplog):
    def slow_timer():
        time.sleep(0.03)

    async def slow_coroutine():
        time.sleep(0.03)

    loop.set_debug(True)
    loop.slow_callback_duration = 0.02
    with caplog.at_level(logging.WARNING, "asyncio"):
        loop.call_later(0, slow_timer)
        loop.run_until_complete(slow_coroutine())
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
    text = "\n".join(messages(caplog))
    assert "slow_timer" in text
    assert "slow_coroutine" in text


def test_slow_callbacks_are_not_reported_outside_debug_mode(loop, caplog):
    loop.slow_callback_duration = 0.001
    loop.set_debug(False)
    with caplog.at_level(logging.WARNING, "asyncio"):
        loop.call_soon(time.sleep, 0.01)
        turn(loop)
    assert messages(caplog) == []


def test_the_limit_is_a_tenth_of_a_second_unless_set(loop):
    assert loop.slow_callback_duration == 0.1
    loop.slow_callback_duration = 5
    assert loop.slow_callback_duration == 5


def test_coroutines_are_refused_as_callbacks(loop):
    async def coroutine():
        pass

    made = coroutine()
    loop.set_debug(True)
    for wrong in (coroutine, made):
        for call in (
            loop.call_soon,
            loop.call_soon_threadsafe,
            lambda f: loop.call_later(1, f),
            lambda f: loop.call_at(1, f),
        ):
            with pytest.raises(TypeError, match="coroutines cannot be used"):
                call(wrong)
    made.close()


def test_what_cannot_be_called_is_refused_in_debug_mode(loop):
    loop.set_debug(True)
    for wrong in (None, 1, "print", []):
        for call in (
            loop.call_soon,
            loop.call_soon_threadsafe,
            lambda f: loop.call_later(1, f),
            lambda f: loop.call_at(1, f),
        ):
            with pytest.raises(TypeError, match="callable"):
                call(wrong)


def test_what_cannot_be_called_is_an_error_in_production_too(loop, reported):
    """Outside debug mode asyncio finds out when it calls; refusing at once is also fine, silence is not."""
    refused = 0
    for wrong in (None, 1, "print"):
        try:
            loop.call_soon(wrong)
        except TypeError:
            refused += 1
    turn(loop)
    assert refused + len(reported) == 3
    assert all(isinstance(context["exception"], TypeError) for context in reported)
    reported.clear()


def test_an_error_in_debug_mode_tells_where_the_callback_was_scheduled(loop, reported):
    loop.set_debug(True)

    def broken():
        raise ValueError

    loop.call_soon(broken)
    turn(loop)
    context = reported.pop()
    assert any(frame.filename == __file__ for frame in context["source_traceback"])


def test_pythonasynciodebug_switches_debug_on(backend):
    done = run_program(
        backend, "loop = new_loop(); print(loop.get_debug()); loop.close()", env={"PYTHONASYNCIODEBUG": "1"}
    )
    assert done.stdout == "True\n", done.stderr


def test_dev_mode_switches_debug_on(backend):
    done = run_program(backend, "loop = new_loop(); print(loop.get_debug()); loop.close()", flags=("-X", "dev"))
    assert done.stdout == "True\n", done.stderr


def test_debug_may_be_switched_by_a_callback(loop):
    seen = []
    loop.set_debug(False)
    loop.call_soon(loop.set_debug, True)
    loop.call_soon(seen.append, 1)
    turn(loop)
    loop.call_soon(loop.set_debug, False)
    turn(loop)
    assert seen == [1]
    assert loop.get_debug() is False


def test_coroutines_are_traced_to_their_origin_while_debug_runs(loop):
    import sys

    async def main():
        return sys.get_coroutine_origin_tracking_depth()

    before = sys.get_coroutine_origin_tracking_depth()
    loop.set_debug(True)
    assert loop.run_until_complete(main()) > 0
    assert sys.get_coroutine_origin_tracking_depth() == before


def test_a_never_awaited_coroutine_is_named_in_debug_mode(loop, recwarn):
    import gc
    import warnings

    async def forgotten():
        pass

    async def main():
        forgotten()

    loop.set_debug(True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop.run_until_complete(main())
        gc.collect()
    assert any("forgotten" in str(warning.message) for warning in caught)


def test_futures_of_a_debug_loop_know_where_they_were_made(loop):
    loop.set_debug(True)
    future = loop.create_future()
    assert future._source_traceback
    loop.set_debug(False)
    assert not asyncio.Future(loop=loop)._source_traceback

"""Running, stopping and closing a loop."""

import asyncio
import gc
import weakref

import pytest

from tests.support.programs import run_program


def test_a_new_loop_neither_runs_nor_is_closed(loop):
    assert not loop.is_running()
    assert not loop.is_closed()


def test_run_until_complete_gives_the_result(loop):
    async def main():
        assert loop.is_running()
        assert asyncio.get_running_loop() is loop
        return 42

    assert loop.run_until_complete(main()) == 42
    assert not loop.is_running()


def test_run_until_complete_raises_what_the_coroutine_raises(loop):
    async def main():
        raise LookupError("from the coroutine")

    with pytest.raises(LookupError, match="from the coroutine"):
        loop.run_until_complete(main())
    assert not loop.is_running()


def test_run_until_complete_of_a_cancelled_future(loop):
    future = loop.create_future()
    loop.call_soon(future.cancel)
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(future)


def test_run_until_complete_says_when_the_loop_stopped_early(loop):
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match="before Future completed"):
        loop.run_until_complete(future)
    future.cancel()


def test_run_until_complete_refuses_a_future_of_another_loop(loop, loop_factory):
    future = loop_factory().create_future()
    with pytest.raises(ValueError, match="loop"):
        loop.run_until_complete(future)


@pytest.mark.parametrize("wrong", [None, 1, "coroutine", print, object()])
def test_run_until_complete_refuses_what_cannot_be_awaited(loop, wrong):
    with pytest.raises(TypeError):
        loop.run_until_complete(wrong)


def test_a_loop_can_run_many_times(loop):
    for number in range(50):
        assert loop.run_until_complete(asyncio.sleep(0, number)) == number
    seen = []
    for number in range(3):
        loop.call_soon(seen.append, number)
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert seen == [0, 1, 2]


def test_stop_before_the_run_lets_one_turn_pass(loop):
    seen = []
    loop.call_soon(seen.append, 1)
    loop.stop()
    loop.run_forever()
    assert seen == [1]
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_stop_twice_stops_once(loop):
    loop.call_soon(loop.stop)
    loop.call_soon(loop.stop)
    loop.run_forever()
    seen = []
    loop.call_soon(lambda: loop.call_soon(lambda: (seen.append(1), loop.stop())))
    loop.run_forever()
    assert seen == [1]


def test_running_a_loop_that_runs_is_refused(loop):
    async def main():
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_until_complete(coroutine)
        coroutine.close()

    loop.run_until_complete(main())
    assert loop.run_until_complete(asyncio.sleep(0, "still usable")) == "still usable"


def test_running_a_second_loop_inside_a_running_one_is_refused(loop, loop_factory):
    other = loop_factory()

    async def main():
        with pytest.raises(RuntimeError, match="another loop is running"):
            other.run_forever()
        assert asyncio.get_running_loop() is loop

    loop.run_until_complete(main())
    assert other.run_until_complete(asyncio.sleep(0, 1)) == 1


def test_closing_a_running_loop_is_refused(loop):
    async def main():
        with pytest.raises(RuntimeError, match="running"):
            loop.close()

    loop.run_until_complete(main())
    assert not loop.is_closed()


def test_close_twice_is_allowed(loop):
    loop.close()
    loop.close()
    assert loop.is_closed()


def test_a_closed_loop_refuses_work_and_says_so(loop):
    loop.close()
    for call in (
        lambda: loop.call_soon(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.run_forever(),
        lambda: loop.run_in_executor(None, print),
        lambda: loop.add_reader(0, print),
        lambda: loop.add_writer(1, print),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    coroutine = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_until_complete(coroutine)
    coroutine.close()
    coroutine = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="closed"):
        loop.create_task(coroutine)
    coroutine.close()


def test_a_closed_loop_still_answers_questions(loop):
    loop.close()
    assert loop.is_closed()
    assert not loop.is_running()
    assert isinstance(loop.time(), float)
    assert isinstance(loop.get_debug(), bool)
    assert "closed=True" in repr(loop)
    loop.stop()
    assert loop.remove_signal_handler(10) is False


def test_close_drops_what_was_scheduled(loop):
    class Callback:
        def __call__(self):
            raise AssertionError("a closed loop ran a callback")

    references = []
    for schedule in (loop.call_soon, loop.call_soon_threadsafe, lambda callback: loop.call_later(10, callback)):
        callback = Callback()
        references.append(weakref.ref(callback))
        schedule(callback)
        del callback
    loop.close()
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


def test_work_scheduled_while_not_running_is_done_at_the_next_run(loop):
    seen = []
    loop.call_soon(seen.append, 1)
    loop.call_later(0, seen.append, 2)
    loop.run_until_complete(asyncio.sleep(0.01))
    assert seen == [1, 2]


def test_the_running_loop_is_unset_after_an_error(loop):
    async def main():
        raise KeyError

    with pytest.raises(KeyError):
        loop.run_until_complete(main())
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_repr_tells_the_state(loop):
    text = repr(loop)
    assert "running=False" in text
    assert "closed=False" in text
    assert "debug=" in text


def test_hundreds_of_loops_leave_nothing_behind(loop_factory):
    for _ in range(200):
        loop = loop_factory()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()


def test_a_loop_closed_without_a_run_leaves_nothing_behind(loop_factory):
    for _ in range(20):
        loop_factory().close()


@pytest.mark.only_tulipa
@pytest.mark.parametrize("variable", ["TULIPA_DRIVER", "TULIPA_TLS"])
def test_an_unknown_name_in_the_environment_is_one_error(backend, variable):  # G11
    source = "import tulipa; tulipa.new_event_loop()"
    done = run_program(backend, source, env={variable: "nonsense"})
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ValueError: unknown ")
    assert "'nonsense'" in last
    assert variable in last
    assert "; known" in last

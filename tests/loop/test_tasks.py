"""Tasks: CPython's own, with factories and eager start as each version has them. # T6 # T7 # T40"""

import asyncio
import contextvars
import sys

import pytest

needs_eager = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")


async def value(result=1):
    return result


async def test_tasks_are_cpythons_own(loop):
    task = loop.create_task(value())
    assert type(task) is asyncio.Task
    assert await task == 1


async def test_futures_are_cpythons_own(loop):
    future = loop.create_future()
    assert type(future) is asyncio.Future
    assert future.get_loop() is loop
    future.cancel()


async def test_a_task_takes_name_and_context(loop):  # T7
    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.copy_context()
    context.run(variable.set, 5)

    async def read():
        return variable.get()

    task = loop.create_task(read(), name="named", context=context)
    assert task.get_name() == "named"
    assert await task == 5


async def test_a_task_has_the_name_that_it_was_given_and_else_a_number(loop):  # T7
    for options, expected in (({}, "Task-"), ({"name": None}, "Task-"), ({"name": "one"}, "one"), ({"name": 7}, "7")):
        for task in (loop.create_task(value(), **options), asyncio.create_task(value(), **options)):
            name = task.get_name()
            assert name.startswith("Task-") if expected == "Task-" else name == expected
            await task
    # What the next one is told is not what the last one was.
    assert loop.create_future().get_loop() is loop
    assert (await asyncio.gather(value(1), value(2))) == [1, 2]


async def test_a_replaced_class_of_tasks_is_used(loop, monkeypatch):
    made = []

    class Task(asyncio.Task):
        def __init__(self, coro, **options):
            super().__init__(coro, **options)
            made.append(self)

    monkeypatch.setattr(asyncio.tasks, "Task", Task)
    assert await loop.create_task(value(3)) == 3
    assert len(made) == 1


async def test_a_replaced_create_task_of_asyncios_is_called(loop, monkeypatch):
    original = asyncio.BaseEventLoop.create_task
    seen = []

    def create_task(self, coro, **options):
        seen.append(options)
        return original(self, coro, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_task", create_task)
    assert await loop.create_task(value(4)) == 4
    assert await loop.create_task(value(5), name="five") == 5
    assert seen == [{}, {"name": "five"}]


async def test_a_task_knows_where_it_was_made_in_debug_mode(loop):
    loop.set_debug(True)
    task = loop.create_task(value())
    assert task._source_traceback[-1].name == "test_a_task_knows_where_it_was_made_in_debug_mode"
    await task


async def test_what_is_no_coroutine_is_refused(loop):
    for wrong in (None, 1, value, loop.create_future()):
        with pytest.raises(TypeError):
            loop.create_task(wrong)


async def test_an_unknown_keyword_is_refused(loop):
    coroutine = value()
    with pytest.raises(TypeError):
        loop.create_task(coroutine, nonsense=1)
    coroutine.close()


async def test_a_factory_makes_the_tasks(loop):
    made = []

    def factory(loop, coroutine, **kwargs):
        made.append(kwargs)
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    assert await loop.create_task(value(2)) == 2
    assert await asyncio.create_task(value(3)) == 3
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None
    assert len(made) == 2


async def test_a_factory_gets_only_what_the_caller_gave(loop):  # T40
    """uvloop passes every keyword always; then eager tasks break."""
    made = []

    def factory(loop, coroutine, **kwargs):
        made.append(kwargs)
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    loop.set_task_factory(factory)
    context = contextvars.copy_context()
    await loop.create_task(value())
    await loop.create_task(value(), context=context)
    assert made[0].get("name") is None
    assert "context" not in made[0] or made[0]["context"] is None
    assert "eager_start" not in made[0]
    assert made[1]["context"] is context
    assert "eager_start" not in made[1]


async def test_an_old_factory_without_keywords_still_works(loop):
    loop.set_task_factory(lambda loop, coroutine: asyncio.Task(coroutine, loop=loop))
    if sys.version_info < (3, 13, 3):
        assert await loop.create_task(value(4)) == 4


async def test_a_factory_that_is_not_callable_is_refused(loop):
    for wrong in (1, "factory", object()):
        with pytest.raises(TypeError, match="callable"):
            loop.set_task_factory(wrong)


@needs_eager
async def test_the_eager_factory_starts_tasks_at_once(loop):
    loop.set_task_factory(asyncio.eager_task_factory)
    seen = []

    async def first_step():
        seen.append("started")
        await asyncio.sleep(0)
        seen.append("finished")

    task = asyncio.create_task(first_step())
    assert seen == ["started"]
    await task
    assert seen == ["started", "finished"]
    done = asyncio.create_task(value(7))
    assert done.done()
    assert done.result() == 7


@needs_eager
async def test_eager_tasks_work_in_a_group_with_input(loop):
    import socket

    loop.set_task_factory(asyncio.eager_task_factory)
    left, right = socket.socketpair()
    left.setblocking(False)
    with left, right:
        right.send(b"already here")
        task = asyncio.create_task(loop.sock_recv(left, 100))
        assert await task == b"already here"
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(loop.sock_recv(left, 100))
            right.send(b"later")
        assert waiting.result() == b"later"


async def test_eager_start_is_passed_on_where_python_knows_it(loop):  # T7
    if sys.version_info < (3, 14):
        pytest.skip("eager_start came with Python 3.14")
    seen = []

    async def step():
        seen.append(1)

    task = loop.create_task(step(), eager_start=True)
    assert seen == [1]
    await task


async def test_all_tasks_and_current_task(loop):
    task = loop.create_task(asyncio.sleep(10))
    assert asyncio.current_task() is not None
    assert task in asyncio.all_tasks()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task not in asyncio.all_tasks()


async def test_one_failing_in_a_group_cancels_the_others(loop):  # G4
    async def fail():
        raise LookupError

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            other = group.create_task(asyncio.sleep(10))
            group.create_task(fail())
    assert other.cancelled()


async def test_gather_with_one_failing_and_one_cancelled(loop):  # G4
    async def fail():
        raise LookupError

    forever = loop.create_task(asyncio.sleep(10))
    loop.call_soon(forever.cancel)
    results = await asyncio.gather(value(1), fail(), forever, return_exceptions=True)
    assert results[0] == 1
    assert isinstance(results[1], LookupError)
    assert isinstance(results[2], asyncio.CancelledError)


async def test_timeouts_nest(loop):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            async with asyncio.timeout(10):
                await asyncio.sleep(5)


async def test_wait_for_cancels_and_waits_for_cleanup(loop):
    cleaned = []

    async def slow():
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.001)
            cleaned.append(True)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow(), 0.005)
    assert cleaned == [True]


async def test_ten_thousand_tasks_at_once(loop):
    async def step(number):
        await asyncio.sleep(0)
        return number

    assert sum(await asyncio.gather(*(step(number) for number in range(10_000)))) == sum(range(10_000))

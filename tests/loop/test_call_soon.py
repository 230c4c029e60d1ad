"""`call_soon` and what it returns. # T3"""

import asyncio
import contextvars
import gc
import weakref

import pytest


def run_ready(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_call_soon_passes_its_arguments(loop):
    seen = []
    loop.call_soon(lambda *args: seen.append(args), 1, "two", None)
    loop.call_soon(lambda *args: seen.append(args))
    run_ready(loop)
    assert seen == [(1, "two", None), ()]


def test_call_soon_takes_no_keyword_but_context(loop):
    with pytest.raises(TypeError):
        loop.call_soon(print, end="")


def test_a_callback_does_not_run_inside_call_soon(loop):
    seen = []
    loop.call_soon(lambda: (loop.call_soon(seen.append, "inner"), seen.append("outer")))
    run_ready(loop)
    run_ready(loop)
    assert seen == ["outer", "inner"]


def test_a_cancelled_callback_does_not_run(loop):
    seen = []
    handle = loop.call_soon(seen.append, 1)
    handle.cancel()
    run_ready(loop)
    assert handle.cancelled()
    assert seen == []


def test_a_callback_may_cancel_a_later_one_of_its_batch(loop):
    seen = []
    handles = []
    loop.call_soon(lambda: handles[0].cancel())
    handles.append(loop.call_soon(seen.append, 1))
    run_ready(loop)
    assert seen == []


def test_the_callback_runs_in_the_context_it_was_scheduled_in(loop):
    variable = contextvars.ContextVar("variable", default="outside")
    seen = []
    context = contextvars.copy_context()
    context.run(variable.set, "inside")
    loop.call_soon(lambda: seen.append(variable.get()), context=context)
    context.run(loop.call_soon, lambda: seen.append(variable.get()))
    loop.call_soon(lambda: seen.append(variable.get()))
    run_ready(loop)
    assert seen == ["inside", "inside", "outside"]


def test_what_a_callback_sets_in_its_context_stays_in_that_context(loop):
    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.copy_context()
    loop.call_soon(variable.set, 1, context=context)
    run_ready(loop)
    assert context[variable] == 1
    assert variable.get() == 0


def test_the_loop_does_not_keep_a_callback_that_has_run(loop):
    class Callback:
        def __call__(self):
            pass

    callback = Callback()
    reference = weakref.ref(callback)
    handle = loop.call_soon(callback)
    del callback
    run_ready(loop)
    del handle
    gc.collect()
    assert reference() is None


def test_cancelling_releases_callback_and_arguments_at_once(loop):
    class Thing:
        def __call__(self, other):
            pass

    callback, argument = Thing(), Thing()
    references = [weakref.ref(callback), weakref.ref(argument)]
    handle = loop.call_soon(callback, argument)
    del callback, argument
    handle.cancel()
    assert [reference() for reference in references] == [None, None]


def test_an_exception_goes_to_the_handler_and_the_rest_of_the_batch_runs(loop, reported):
    seen = []
    error = ValueError("broken callback")

    def broken():
        raise error

    handle = loop.call_soon(broken)
    loop.call_soon(seen.append, 1)
    run_ready(loop)
    assert seen == [1]
    context = reported.pop()
    assert context["exception"] is error
    assert context["handle"] is handle
    assert "broken" in context["message"]


def test_a_callback_may_return_anything(loop):
    for value in (None, 1, object(), NotImplemented, asyncio.Handle):
        loop.call_soon(lambda value=value: value)
    run_ready(loop)


def test_many_callbacks_that_schedule_each_other(loop):
    count = 0

    def again():
        nonlocal count
        count += 1
        if count < 20_000:
            loop.call_soon(again)
        else:
            loop.stop()

    loop.call_soon(again)
    loop.run_forever()
    assert count == 20_000


def test_callbacks_of_all_kinds_are_called(loop):
    seen = []

    class Methods:
        def method(self, value):
            seen.append(value)

        @classmethod
        def of_class(cls, value):
            seen.append(value)

        @staticmethod
        def static(value):
            seen.append(value)

        __call__ = method

    loop.call_soon(Methods().method, 1)
    loop.call_soon(Methods.of_class, 2)
    loop.call_soon(Methods.static, 3)
    loop.call_soon(Methods(), 4)
    loop.call_soon(seen.append, 5)
    loop.call_soon(list, (6,))
    run_ready(loop)
    assert seen == [1, 2, 3, 4, 5]

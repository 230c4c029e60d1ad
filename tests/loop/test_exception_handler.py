"""The exception handler: nothing is lost, and a broken handler breaks nothing. # R8"""

import asyncio
import gc
import logging

import pytest


def turn(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


def fail(error):
    raise error


@pytest.fixture
def plain(loop_factory):
    """A loop with its own default handler."""
    return loop_factory()


def test_the_default_handler_logs_message_and_traceback(plain, caplog):
    plain.call_soon(fail, ValueError("told in the log"))
    with caplog.at_level(logging.ERROR, "asyncio"):
        turn(plain)
    record = caplog.records[0]
    assert "fail" in record.getMessage()
    assert isinstance(record.exc_info[1], ValueError)


def test_set_and_get_the_handler(plain):
    assert plain.get_exception_handler() is None
    handler = lambda loop, context: None  # noqa: E731
    plain.set_exception_handler(handler)
    assert plain.get_exception_handler() is handler
    plain.set_exception_handler(None)
    assert plain.get_exception_handler() is None
    with pytest.raises(TypeError, match="callable"):
        plain.set_exception_handler("not callable")


def test_the_handler_gets_the_loop_and_the_context(loop):
    seen = []
    loop.set_exception_handler(lambda *args: seen.append(args))
    error = ValueError()
    handle = loop.call_soon(fail, error)
    turn(loop)
    ((got_loop, context),) = seen
    assert got_loop is loop
    assert context["exception"] is error
    assert context["handle"] is handle


def test_an_error_of_a_timer_names_the_timer(loop, reported):
    timer = loop.call_later(0, fail, ValueError())
    loop.call_later(0.005, loop.stop)
    loop.run_forever()
    assert reported.pop()["handle"] is timer


def test_an_error_of_a_reader_callback_is_reported_and_the_loop_goes_on(loop, reported):
    import socket

    left, right = socket.socketpair()
    with left, right:
        right.send(b"x")

        def broken():
            left.recv(10)
            raise ValueError("reader")

        loop.add_reader(left, broken)
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
        assert str(reported.pop()["exception"]) == "reader"
        right.send(b"y")
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
        assert str(reported.pop()["exception"]) == "reader"
        loop.remove_reader(left)


def test_a_broken_handler_is_logged_and_the_loop_goes_on(loop, caplog):
    def handler(loop, context):
        raise AttributeError("broken handler")

    loop.set_exception_handler(handler)
    seen = []
    loop.call_soon(fail, ValueError("the first error"))
    loop.call_soon(seen.append, 1)
    with caplog.at_level(logging.ERROR, "asyncio"):
        turn(loop)
    assert seen == [1]
    assert any("broken handler" in str(record.exc_info[1]) for record in caplog.records)


def test_the_handler_may_schedule_and_stop(loop):
    seen = []

    def handler(loop, context):
        loop.call_soon(seen.append, "from the handler")
        loop.call_soon(loop.stop)

    loop.set_exception_handler(handler)
    loop.call_soon(fail, ValueError())
    loop.run_forever()
    assert seen == ["from the handler"]


def test_an_exception_that_nobody_takes_from_a_task_is_reported(loop, reported):
    async def main():
        async def broken():
            raise LookupError("never awaited")

        task = asyncio.create_task(broken())
        await asyncio.sleep(0.001)
        del task

    loop.run_until_complete(main())
    gc.collect()
    assert str(reported.pop()["exception"]) == "never awaited"


def test_call_exception_handler_by_the_program(loop, reported):
    loop.call_exception_handler({"message": "by hand", "extra": 1})
    assert reported.pop() == {"message": "by hand", "extra": 1}


def test_default_exception_handler_takes_any_context(plain, caplog):
    with caplog.at_level(logging.ERROR, "asyncio"):
        plain.default_exception_handler({})
        plain.default_exception_handler({"message": "told", "odd": object()})
    assert "Unhandled exception in event loop" in caplog.records[0].getMessage()
    assert "told" in caplog.records[1].getMessage()


def test_the_handler_runs_in_the_context_of_the_callback(loop):
    """From Python 3.12 on, the handler sees the context variables of the callback that failed."""
    import contextvars
    import sys

    if sys.version_info < (3, 12):
        pytest.skip("came with Python 3.12")
    variable = contextvars.ContextVar("variable", default="outside")
    context = contextvars.copy_context()
    context.run(variable.set, "inside")
    seen = []
    loop.set_exception_handler(lambda loop, ctx: seen.append(variable.get()))
    loop.call_soon(fail, ValueError(), context=context)
    turn(loop)
    assert seen == ["inside"]

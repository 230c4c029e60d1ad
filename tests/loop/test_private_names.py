"""Private names that known libraries touch. # T9 # T10"""

import asyncio
import asyncio.base_events

import pytest


def test_ready_and_scheduled_can_be_looked_at(loop):  # T9 N7
    handle = loop.call_soon(print)
    timer = loop.call_later(100, print)
    assert len(loop._ready) >= 1
    assert handle in list(loop._ready)
    assert len(loop._scheduled) >= 1
    assert timer in list(loop._scheduled)
    handle.cancel()
    timer.cancel()


def test_the_clock_resolution_is_known(loop):
    assert 0 < loop._clock_resolution < 1


def test_the_thread_id_is_set_while_running(loop):
    import threading

    async def main():
        return loop._thread_id

    assert loop._thread_id is None
    assert loop.run_until_complete(main()) == threading.get_ident()
    assert loop._thread_id is None


def test_check_closed_raises_on_a_closed_loop(loop):
    loop._check_closed()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop._check_closed()


def test_debug_is_readable_under_its_private_name(loop):
    loop.set_debug(True)
    assert loop._debug is True
    loop.set_debug(False)
    assert loop._debug is False


def test_selector_is_there_or_raises_attribute_error(loop):
    """Twisted tries it and takes AttributeError for an answer."""
    getattr(loop, "_selector", None)


def test_transports_can_be_found_by_descriptor(loop):
    async def main():
        import socket

        left, right = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        number = left.fileno()
        assert loop._transports[number] is transport
        transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        right.close()

    loop.run_until_complete(main())


def test_run_once_runs_one_turn(loop):
    """nest_asyncio and prompt_toolkit step the loop by hand, inside a running one."""
    seen = []

    async def main():
        loop.call_soon(seen.append, 1)
        while not seen:
            loop._run_once()
        return "stepped"

    assert loop.run_until_complete(main()) == "stepped"
    assert seen == [1]


def test_handles_put_into_ready_by_hand_are_run(loop):
    seen = []
    loop._ready.append(asyncio.Handle(seen.append, (1,), loop))
    loop.run_until_complete(asyncio.sleep(0))
    assert seen == [1]


def test_the_root_task_is_recognised_by_asyncios_own_callback(loop):  # T10
    """anyio finds the root task so; the same function object must be in `_callbacks`."""

    async def main():
        task = asyncio.current_task()
        return [callback for callback, _context in task._callbacks]

    callbacks = loop.run_until_complete(main())
    assert asyncio.base_events._run_until_complete_cb in callbacks


def test_stream_writers_tell_whether_their_protocol_is_paused(loop):  # T10
    async def main():
        import socket

        left, right = socket.socketpair()
        _reader, writer = await asyncio.open_connection(sock=left)
        assert writer._protocol._paused is False
        writer.transport.set_write_buffer_limits(0)
        writer.write(bytes(10_000_000))
        assert writer._protocol._paused is True
        writer.transport.abort()
        right.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop.run_until_complete(main())


def test_default_executor_under_its_private_name(loop):
    assert loop._default_executor is None
    loop.run_until_complete(loop.run_in_executor(None, int))
    assert loop._default_executor is not None
    assert loop._executor_shutdown_called is False

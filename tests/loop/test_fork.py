"""After `fork`, the child's copy of the loop is dead and the parent's lives. # T24 # R10"""

import pytest

from tests.support.programs import check_program

pytestmark = pytest.mark.all_drivers
QUIET = ("-W", "ignore::DeprecationWarning")


def test_a_child_sees_no_running_loop(backend):
    source = """
        import os
        async def main():
            child = os.fork()
            if not child:
                try:
                    asyncio.get_running_loop()
                except RuntimeError:
                    os._exit(0)
                os._exit(1)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(run(main()))
    """
    assert check_program(backend, source, flags=QUIET) == "0\n"


def test_a_child_can_run_a_loop_of_its_own(backend):
    source = """
        import os
        async def inner():
            await asyncio.sleep(0.001)
            return 0
        async def main():
            child = os.fork()
            if not child:
                try:
                    os._exit(run(inner()))
                finally:
                    os._exit(99)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(run(main()))
    """
    assert check_program(backend, source, flags=QUIET) == "0\n"


def test_the_parents_traffic_survives_a_child_that_cleans_up(backend):
    """The child closes and collects what it inherited; registrations of the shared poller must stay."""
    source = """
        import gc, os, socket
        async def main():
            left, right = socket.socketpair()
            right.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=left)
            right.send(b"before")
            assert await reader.readexactly(6) == b"before"
            child = os.fork()
            if not child:
                try:
                    writer.transport.abort()
                    reader = writer = None
                    gc.collect()
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            for _ in range(3):
                right.send(b"after")
                assert await asyncio.wait_for(reader.readexactly(5), 2) == b"after"
                writer.write(b"answer")
                await writer.drain()
                assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(right, 6), 2) == b"answer"
            writer.close()
            await writer.wait_closed()
            right.close()
        run(main())
        print("alive")
    """
    assert check_program(backend, source, flags=QUIET) == "alive\n"


def test_a_child_does_not_take_the_parents_wake_ups(backend):
    source = """
        import os, threading, time
        async def main():
            loop = asyncio.get_running_loop()
            child = os.fork()
            if not child:
                time.sleep(0.3)
                os._exit(0)
            for _ in range(100):
                assert await asyncio.wait_for(loop.run_in_executor(None, int), 5) == 0
            os.waitpid(child, 0)
        run(main())
        print("alive")
    """
    assert check_program(backend, source, flags=QUIET) == "alive\n"


@pytest.mark.only_tulipa
def test_the_childs_copy_of_a_loop_says_that_it_is_dead(backend):
    source = """
        import os
        loop = new_loop()
        child = os.fork()
        if not child:
            try:
                loop.call_soon(loop.stop)
                loop.run_forever()
            except RuntimeError as error:
                os._exit(0 if "fork" in str(error) else 2)
            os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        print("parent alive")
    """
    assert check_program(backend, source, flags=QUIET) == "0\nparent alive\n"


def test_a_parent_with_signal_handlers_keeps_its_signals(backend):
    source = """
        import os, signal
        async def main():
            loop = asyncio.get_running_loop()
            arrived = asyncio.Event()
            loop.add_signal_handler(signal.SIGUSR1, arrived.set)
            child = os.fork()
            if not child:
                os.kill(os.getpid(), signal.SIGUSR1)
                os._exit(0)
            os.waitpid(child, 0)
            await asyncio.sleep(0.02)
            assert not arrived.is_set(), "a signal of the child arrived in the parent"
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(arrived.wait(), 5)
        run(main())
        print("alive")
    """
    assert check_program(backend, source, flags=QUIET) == "alive\n"


def test_multiprocessing_works_beside_the_loop(backend):
    source = """
        import concurrent.futures, multiprocessing
        async def main():
            loop = asyncio.get_running_loop()
            context = multiprocessing.get_context("fork")
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                return await asyncio.gather(*(loop.run_in_executor(pool, pow, 2, n) for n in range(8)))
        print(run(main()))
    """
    assert check_program(backend, source, flags=QUIET) == f"{[2**n for n in range(8)]}\n"


def test_a_child_can_cancel_what_it_has_copied(backend):
    """Cleaning up does, and futures then schedule calls, which never run there."""
    source = """
        import os
        async def main():
            loop = asyncio.get_running_loop()
            task = asyncio.ensure_future(asyncio.sleep(60))
            future = loop.create_future()
            future.add_done_callback(print)
            timer = loop.call_later(60, print)
            await asyncio.sleep(0)
            child = os.fork()
            if not child:
                code = 1
                try:
                    task.cancel()
                    future.cancel()
                    timer.cancel()
                    loop.call_soon_threadsafe(print, "never")
                    code = 0
                finally:
                    os._exit(code)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            task.cancel()
        run(main())
    """
    assert check_program(backend, source, flags=QUIET) == "0\n"


def test_what_was_written_before_a_fork_is_sent_once(backend):
    """Also when the child leaves the turn by an exception."""
    source = """
        import os, socket
        left, right = socket.socketpair()
        loop = new_loop()
        transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=left))
        def write_and_fork():  # no task: from 3.14 on, none can be left in a child
            transport.write(b"once")
            child = os.fork()
            if not child:
                raise SystemExit
            os.waitpid(child, 0)
            transport.close()
            loop.stop()
        loop.call_soon(write_and_fork)
        try:
            loop.run_forever()
        except SystemExit:
            os._exit(0)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        left.close()
        right.settimeout(5)
        print(right.recv(100), right.recv(100))
    """
    assert check_program(backend, source, flags=QUIET) == "b'once' b''\n"


@pytest.mark.only_tulipa
def test_a_child_that_comes_back_from_its_callback_runs_no_other(backend):
    source = """
        import os
        loop = new_loop()
        child = None
        def fork():
            global child
            child = os.fork()
        loop.call_soon(fork)
        loop.call_soon(lambda: print("next", flush=True))
        loop.call_soon(loop.stop)
        try:
            loop.run_forever()
        except RuntimeError as error:
            os._exit(0 if not child and "fork" in str(error) else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        loop.close()
    """
    assert check_program(backend, source, flags=QUIET) == "next\n0\n"


@pytest.mark.only_tulipa
def test_nothing_can_be_begun_on_the_childs_copy(backend):
    source = """
        import os, socket
        loop = new_loop()
        left, right = socket.socketpair()
        left.setblocking(False)
        coroutine = asyncio.sleep(0)
        child = os.fork()
        if not child:
            for begin in (
                lambda: loop.create_task(coroutine),
                lambda: loop.run_until_complete(loop.create_future()),
                lambda: loop.run_in_executor(None, print),
                lambda: loop.add_reader(left, print),
                lambda: loop.sock_recv(left, 1).send(None),
                lambda: loop.create_connection(asyncio.Protocol, sock=left).send(None),
            ):
                try:
                    begin()
                except RuntimeError as error:
                    if "fork" in str(error):
                        continue
                os._exit(1)
            os._exit(0)
        coroutine.close()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        loop.close()
    """
    assert check_program(backend, source, flags=QUIET) == "0\n"

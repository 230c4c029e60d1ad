"""Signals: handlers on the loop, and what belongs to the program. # T23 # T41 # R10"""

import asyncio
import os
import signal
import socket
import threading

import pytest

from tests.support.programs import check_program

pytestmark = pytest.mark.all_drivers


def send_self(number):
    os.kill(os.getpid(), number)


@pytest.fixture
def handled(loop):
    """Adds signal handlers, and takes them off at the end."""
    added = []

    def add(number, callback, *args):
        loop.add_signal_handler(number, callback, *args)
        added.append(number)

    yield add
    if not loop.is_closed():
        for number in added:
            loop.remove_signal_handler(number)


def test_a_handler_runs_on_the_loop_with_its_arguments(loop, handled):
    seen = []
    handled(signal.SIGUSR1, lambda *args: (seen.append(args), loop.stop()), 1, 2)
    loop.call_soon(send_self, signal.SIGUSR1)
    loop.run_forever()
    assert seen == [(1, 2)]


def test_a_signal_wakes_a_sleeping_loop(loop, handled):
    handled(signal.SIGUSR1, loop.stop)
    timer = threading.Timer(0.05, send_self, [signal.SIGUSR1])
    timer.start()
    loop.run_forever()
    timer.join()


def test_a_signal_between_two_runs_is_delivered_at_the_next(loop, handled):  # T41
    seen = []
    handled(signal.SIGUSR1, seen.append, "arrived")
    loop.run_until_complete(asyncio.sleep(0))
    send_self(signal.SIGUSR1)
    assert seen == []
    loop.run_until_complete(asyncio.sleep(0.01))
    assert seen == ["arrived"]


def test_several_signals_each_go_to_their_handler(loop, handled):
    seen = set()
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        handled(number, seen.add, number)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        loop.call_soon(send_self, number)
    loop.run_until_complete(asyncio.sleep(0.02))
    assert seen == {signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP}


def test_a_second_handler_replaces_the_first(loop, handled):
    seen = []
    handled(signal.SIGUSR1, seen.append, 1)
    handled(signal.SIGUSR1, seen.append, 2)
    send_self(signal.SIGUSR1)
    loop.run_until_complete(asyncio.sleep(0.01))
    assert seen == [2]


def test_removing_tells_whether_there_was_one_and_restores_the_default(loop):
    loop.add_signal_handler(signal.SIGUSR1, print)
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    loop.add_signal_handler(signal.SIGINT, print)
    assert loop.remove_signal_handler(signal.SIGINT) is True
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_close_removes_the_handlers(loop):
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


@pytest.mark.parametrize("number", [0, -1, signal.NSIG, 4711])
def test_numbers_out_of_range_are_value_errors(loop, number):
    with pytest.raises(ValueError):
        loop.add_signal_handler(number, print)
    with pytest.raises(ValueError):
        loop.remove_signal_handler(number)


@pytest.mark.parametrize("number", [None, "SIGINT", 1.5])
def test_what_is_no_number_is_a_type_error(loop, number):
    with pytest.raises(TypeError):
        loop.add_signal_handler(number, print)
    with pytest.raises(TypeError):
        loop.remove_signal_handler(number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_signals_that_cannot_be_caught_are_refused(loop, number):
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with pytest.raises(RuntimeError, match="cannot be caught"):
        loop.add_signal_handler(number, print)
    after = signal.set_wakeup_fd(-1)
    assert after == before == -1


def test_coroutines_are_refused(loop):
    async def coroutine():
        pass

    with pytest.raises(TypeError, match="coroutines cannot be used"):
        loop.add_signal_handler(signal.SIGUSR1, coroutine)


def test_another_thread_cannot_add_handlers(loop):
    errors = []

    def work():
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except (RuntimeError, ValueError) as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert "main thread" in str(errors[0])


def test_a_loop_in_another_thread_leaves_signals_alone(loop_factory):
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)

    def work():
        loop = loop_factory()
        loop.run_until_complete(asyncio.sleep(0.001))
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert signal.set_wakeup_fd(before) == before


def test_the_wake_up_descriptor_is_only_taken_by_add_signal_handler(loop):  # T41
    def wakeup():
        number = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(number)
        return number

    async def main():
        return wakeup()

    assert loop.run_until_complete(main()) == -1
    loop.add_signal_handler(signal.SIGUSR1, print)
    assert loop.run_until_complete(main()) != -1
    loop.remove_signal_handler(signal.SIGUSR1)
    assert wakeup() == -1
    assert loop.run_until_complete(main()) == -1


def test_a_foreign_wake_up_descriptor_is_left_as_found(loop):  # T23 T33
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        old = signal.set_wakeup_fd(right.fileno())
        try:
            loop.run_until_complete(asyncio.sleep(0.001))
            assert signal.set_wakeup_fd(right.fileno()) == right.fileno()
        finally:
            signal.set_wakeup_fd(old)


def test_a_foreign_wake_up_descriptor_still_hears_of_signals_that_the_loop_handles(loop, handled):  # R10 T33
    """The loop chains the descriptor that it finds instead of replacing it."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        old = signal.set_wakeup_fd(right.fileno())
        try:
            seen = []
            handled(signal.SIGUSR1, seen.append, 1)
            send_self(signal.SIGUSR1)
            loop.run_until_complete(asyncio.sleep(0.02))
            assert seen == [1]
            assert bytes([signal.SIGUSR1]) in left.recv(100)
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)
            signal.set_wakeup_fd(old)


def test_a_signal_of_the_programs_own_handler_runs_there(loop):
    """`signal.signal` by the program goes on working while the loop sleeps; the loop need not know of it."""
    seen = []
    old = signal.signal(signal.SIGUSR2, lambda *args: seen.append(args[0]))
    try:
        timer = threading.Timer(0.02, send_self, [signal.SIGUSR2])
        timer.start()

        async def main():
            while not seen:
                await asyncio.sleep(0.005)

        loop.run_until_complete(asyncio.wait_for(main(), 5))
        timer.join()
    finally:
        signal.signal(signal.SIGUSR2, old)


def test_the_programs_own_handler_runs_at_once_in_a_loop_that_sleeps_without_timers(backend):
    source = """
        import os, signal, threading
        loop = new_loop()
        def handler(*args):
            loop.call_soon_threadsafe(loop.stop)
        signal.signal(signal.SIGUSR2, handler)
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR2]).start()
        loop.run_forever()
        loop.close()
        print("handled")
    """
    assert check_program(backend, source) == "handled\n"


def test_sigchld_may_be_handled_by_the_program(loop, handled):  # T23 T33
    import subprocess
    import sys

    seen = []
    handled(signal.SIGCHLD, lambda: (seen.append(1), loop.stop()))
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    loop.run_forever()
    child.wait()
    assert seen


def test_a_handler_that_raises_is_reported(loop, handled, reported):
    def broken():
        raise LookupError("signal handler")

    handled(signal.SIGUSR1, broken)
    send_self(signal.SIGUSR1)
    loop.run_until_complete(asyncio.sleep(0.01))
    assert str(reported.pop()["exception"]) == "signal handler"


def test_many_signals_do_not_block_the_loop(loop, handled):
    seen = []
    handled(signal.SIGUSR1, seen.append, 1)
    for _ in range(20):
        for _ in range(100):
            send_self(signal.SIGUSR1)
        loop.run_until_complete(asyncio.sleep(0.001))
    assert 20 <= len(seen) <= 2000

"""A loop that has nothing to do makes no system calls, and wake-ups are coalesced. # T4 # G13"""

import pytest

from tests.support.tracing import counts_of_program

pytestmark = pytest.mark.all_drivers
THOUSAND = 1000
POLLS = ("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6", "io_uring_enter")


def cost(backend, source):
    """The calls between the marks of a program, for each of the thousand things that it does there."""
    return {name: count / THOUSAND for name, count in counts_of_program(backend, source).items()}


def test_a_turn_costs_one_poll(backend):
    source = """
        loop = new_loop()
        left = 1100
        def again():
            global left
            left -= 1
            if left in (1000, 0):
                mark()
            loop.call_soon(again) if left else loop.stop()
        loop.call_soon(again)
        loop.run_forever()
        loop.close()
    """
    counts = cost(backend, source)
    polls = sum(counts.get(name, 0) for name in POLLS)
    # A ring shows in memory whether there is anything to poll for.
    assert (0 if backend.driver == "io_uring" else 0.99) <= polls <= 1.01, counts
    assert sum(counts.values()) <= 1.05, counts


def test_many_callbacks_of_one_turn_cost_nothing(backend):
    source = """
        loop = new_loop()
        def some(count):
            for _ in range(count):
                loop.call_soon(int)
            loop.call_soon(loop.stop)
            loop.run_forever()
        some(1000)
        mark()
        some(1000)
        mark()
        loop.close()
    """
    counts = cost(backend, source)
    assert sum(value for name, value in counts.items() if name not in ("brk", "mmap", "munmap")) < 0.01, counts


def test_setting_and_cancelling_timers_costs_nothing(backend):
    source = """
        loop = new_loop()
        def set_and_cancel():
            for _ in range(1000):
                loop.call_later(100, int).cancel()
        loop.call_soon(set_and_cancel)
        loop.call_soon(mark)
        loop.call_soon(set_and_cancel)
        loop.call_soon(mark)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
    """
    counts = cost(backend, source)
    assert sum(value for name, value in counts.items() if name not in ("brk", "mmap", "munmap")) < 0.01, counts


@pytest.mark.only_tulipa
def test_wake_ups_of_a_busy_loop_are_coalesced(backend):  # T4
    """Calls from a thread while the loop runs callbacks: the loop is awake, no wake-up has to be written each time."""
    source = """
        import threading
        loop = new_loop()
        def in_thread():
            for _ in range(100):
                loop.call_soon_threadsafe(int)
            mark()
            for _ in range(1000):
                loop.call_soon_threadsafe(int)
            mark()
        def busy():
            thread = threading.Thread(target=in_thread)
            thread.start()
            thread.join()
            loop.call_soon(loop.stop)
        loop.call_soon(busy)
        loop.run_forever()
        loop.close()
    """
    counts = cost(backend, source)
    writes = sum(counts.get(name, 0) for name in ("write", "send", "sendto"))
    assert writes < 0.1, counts


def test_traffic_of_a_watched_descriptor_costs_no_registration(backend):
    """Each time a poll, a read and a write, which are the program's own. # G13"""
    source = """
        import os, socket
        loop = new_loop()
        left, right = socket.socketpair()
        count = 1100
        def on_input():
            global count
            os.read(left.fileno(), 1)
            count -= 1
            if count in (1000, 0):
                mark()
            if count:
                os.write(right.fileno(), b"x")
            else:
                loop.stop()
        loop.add_reader(left, on_input)
        os.write(right.fileno(), b"x")
        loop.run_forever()
        loop.remove_reader(left)
        loop.close()
    """
    counts = cost(backend, source)
    assert counts.get("epoll_ctl", 0) == 0, counts
    # A ring holds what it polls, so numbers that the program may close are left to an epoll, which is asked besides.
    assert sum(counts.values()) <= (4.05 if backend.driver == "io_uring" else 3.05), counts


@pytest.mark.only_tulipa
@pytest.mark.all_drivers
def test_what_is_left_in_a_pipe_after_a_short_read_costs_no_registration(backend):  # P2
    """Of packets each read takes one. So it looks where somebody writes into the pipe while it is read."""
    source = """
        import os
        loop = new_loop()
        reading, writing = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
        count = 1100
        class Protocol(asyncio.Protocol):
            def data_received(self, data):
                global count
                assert data == b"packet"
                count -= 1
                if count in (1000, 0):
                    mark()
                if count == 0:
                    transport.close()
                    loop.stop()
                elif count % 10 == 0:
                    write()
        def write():
            for _ in range(10):
                os.write(writing, b"packet")
        transport, _ = loop.run_until_complete(loop.connect_read_pipe(Protocol, os.fdopen(reading, "rb", 0)))
        write()
        loop.run_forever()
        loop.run_until_complete(asyncio.sleep(0))  # the turn in which the transport ends
        loop.close()
    """
    counts = cost(backend, source)
    assert counts.get("epoll_ctl", 0) == 0, counts
    # A poll, a read and a look at what is left for each packet, and a write by the program.
    assert sum(counts.values()) <= (5.3 if backend.driver == "io_uring" else 4.3), counts

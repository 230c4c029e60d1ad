"""Other threads: `call_soon_threadsafe`, the wrong thread in debug mode, the GIL while waiting. # T4"""

import asyncio
import socket
import threading
import time

import pytest

pytestmark = pytest.mark.all_drivers


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


def test_a_callback_from_another_thread_wakes_a_sleeping_loop(loop):
    woken = []
    thread = in_thread(lambda: loop.call_soon_threadsafe(lambda: (woken.append(threading.get_ident()), loop.stop())))
    loop.run_forever()
    thread.join()
    assert woken == [threading.get_ident()]


def test_no_wake_up_is_lost(loop):
    """Ping-pong between two threads, where each side waits for the other: one lost wake-up and it hangs."""
    rounds = 2000
    turn = threading.Semaphore(0)
    count = 0

    def pinged():
        nonlocal count
        count += 1
        turn.release()
        if count == rounds:
            loop.stop()

    def pinger():
        for _ in range(rounds):
            loop.call_soon_threadsafe(pinged)
            turn.acquire()

    thread = in_thread(pinger)
    loop.run_forever()
    thread.join()
    assert count == rounds


def test_many_threads_keep_their_own_order(loop):
    per_thread = 500
    seen = {name: [] for name in range(8)}
    left = len(seen) * per_thread

    def arrived(name, number):
        nonlocal left
        seen[name].append(number)
        left -= 1
        if not left:
            loop.stop()

    def sender(name):
        for number in range(per_thread):
            loop.call_soon_threadsafe(arrived, name, number)

    threads = [in_thread(sender, name) for name in seen]
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert all(numbers == list(range(per_thread)) for numbers in seen.values())


def test_call_soon_threadsafe_keeps_order_with_call_soon_in_the_loop_thread(loop):
    seen = []
    loop.call_soon(seen.append, 1)
    loop.call_soon_threadsafe(seen.append, 2)
    loop.call_soon(seen.append, 3)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [1, 2, 3]


def test_call_soon_threadsafe_before_the_run_is_kept(loop):
    seen = []
    thread = in_thread(loop.call_soon_threadsafe, seen.append, 1)
    thread.join()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [1]


def test_a_flood_from_another_thread_does_not_starve_input(loop):
    left, right = socket.socketpair()
    with left, right:
        done = threading.Event()

        def flood():
            while not done.is_set():
                loop.call_soon_threadsafe(int)
                time.sleep(0)

        loop.add_reader(left, loop.stop)
        thread = in_thread(flood)
        right.send(b"x")
        loop.run_forever()
        done.set()
        thread.join()
        loop.remove_reader(left)


def test_call_soon_threadsafe_on_a_closed_loop_is_an_error(loop):
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon_threadsafe(print)


def test_threads_that_race_with_close_get_an_error_and_no_crash(loop_factory):
    for _ in range(20):
        loop = loop_factory()
        errors = []
        start = threading.Event()

        def sender(loop=loop, errors=errors, start=start):
            start.wait()
            try:
                while True:
                    loop.call_soon_threadsafe(int)
            except RuntimeError as error:
                errors.append(error)

        threads = [in_thread(sender) for _ in range(3)]
        loop.call_later(0.002, loop.stop)
        start.set()
        loop.run_forever()
        loop.close()
        for thread in threads:
            thread.join()
        assert len(errors) == 3


def test_debug_mode_names_the_wrong_thread(loop):
    loop.set_debug(True)
    errors = []

    def wrong(call, *args):
        try:
            call(*args)
        except RuntimeError as error:
            errors.append(str(error))

    async def main():
        for call, args in ((loop.call_soon, (print,)), (loop.call_later, (1, print)), (loop.call_at, (1, print))):
            await asyncio.to_thread(wrong, call, *args)

    loop.run_until_complete(main())
    assert len(errors) == 3
    assert all("thread" in error.lower() for error in errors)


def test_other_threads_run_while_the_loop_waits(loop):
    """The GIL is free while the loop sleeps."""
    counted = 0

    def work():
        nonlocal counted
        for _ in range(200):
            counted += 1
            time.sleep(0.0001)
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(work)
    loop.run_forever()
    thread.join()
    assert counted == 200


def test_run_coroutine_threadsafe_gives_its_result_to_a_thread(loop):
    async def double(value):
        await asyncio.sleep(0)
        return 2 * value

    results = []

    def caller():
        results.append(asyncio.run_coroutine_threadsafe(double(21), loop).result(10))
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(caller)
    loop.run_forever()
    thread.join()
    assert results == [42]


def test_one_independent_loop_per_thread(loop_factory):  # T5
    results = []

    def worker(number):
        loop = loop_factory()
        try:

            async def main():
                assert asyncio.get_running_loop() is loop
                await asyncio.sleep(0.001)
                return number

            results.append(loop.run_until_complete(main()))
        finally:
            loop.close()

    threads = [in_thread(worker, number) for number in range(8)]
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(8))


def test_a_loop_made_in_one_thread_may_run_in_another(loop_factory):
    loop = loop_factory()
    results = []
    thread = in_thread(lambda: results.append(loop.run_until_complete(asyncio.sleep(0, "slept"))))
    thread.join()
    loop.close()
    assert results == ["slept"]


def test_stop_from_another_thread_through_call_soon_threadsafe(loop):
    timer = threading.Timer(0.01, lambda: loop.call_soon_threadsafe(loop.stop))
    timer.start()
    loop.run_forever()
    timer.join()

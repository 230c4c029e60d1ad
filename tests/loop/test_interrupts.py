"""KeyboardInterrupt and SystemExit leave the loop at once and leave it usable. # P8"""

import asyncio
import signal
import socket

import pytest

from tests.support.programs import check_program, run_program, start_program, until_asleep

pytestmark = pytest.mark.all_drivers
LEAVING = pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])


def leave(kind):
    raise kind("leaving")


@LEAVING
def test_leaving_from_a_callback_passes_through_run_forever(loop, kind):
    seen = []
    loop.call_soon(leave, kind)
    loop.call_soon(seen.append, "the rest waits")
    with pytest.raises(kind):
        loop.run_forever()
    assert not loop.is_running()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == ["the rest waits"]


@LEAVING
def test_leaving_from_a_timer(loop, kind):
    loop.call_later(0.001, leave, kind)
    with pytest.raises(kind):
        loop.run_forever()


@LEAVING
def test_leaving_from_a_reader(loop, kind):
    left, right = socket.socketpair()
    with left, right:
        right.send(b"x")
        loop.add_reader(left, leave, kind)
        with pytest.raises(kind):
            loop.run_forever()
        loop.remove_reader(left)


@LEAVING
def test_leaving_from_a_protocol_callback(loop, kind):
    class Leaver(asyncio.Protocol):
        def data_received(self, data):
            raise kind

    left, right = socket.socketpair()

    async def connect():
        return await loop.create_connection(Leaver, sock=left)

    transport, _ = loop.run_until_complete(connect())
    with right:
        right.send(b"x")
        with pytest.raises(kind):
            loop.run_forever()
        transport.abort()
        loop.run_until_complete(asyncio.sleep(0))


@LEAVING
def test_leaving_from_a_task(loop, kind):
    async def main():
        await asyncio.sleep(0)
        raise kind

    with pytest.raises(kind):
        loop.run_until_complete(main())
    assert not loop.is_running()
    assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1


def test_an_interrupt_ends_a_waiting_loop_with_finally_blocks_run(backend):
    source = """
        import asyncio
        async def main():
            try:
                print("ready", flush=True)
                await asyncio.sleep(60)
            finally:
                print("finally", flush=True)
        try:
            run(main())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    with start_program(backend, source) as program:
        assert program.stdout.readline() == "ready\n"
        until_asleep(program)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=10)
    assert out == "finally\ninterrupted\n"
    assert err == ""
    assert program.returncode == 0


def test_an_interrupt_ends_run_forever_of_an_idle_loop(backend):
    """The signal may come before the loop has begun to wait: then no system call is there to be interrupted."""
    source = """
        loop = new_loop()
        loop.call_soon(lambda: print("ready", flush=True))
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted", loop.is_running(), flush=True)
        loop.close()
    """
    with start_program(backend, source) as program:
        assert program.stdout.readline() == "ready\n"
        until_asleep(program)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=10)
    assert (out, err, program.returncode) == ("interrupted False\n", "", 0)


def test_an_interrupt_is_seen_whenever_it_comes(backend):
    """Sent as the loop falls asleep, at many different moments: before its last look, after that, in the wait."""
    source = """
        import os, signal, threading, time
        loop = new_loop()
        asleep, rounds, seen = threading.Semaphore(0), 1000, 0
        def send():
            for n in range(rounds):
                asleep.acquire()
                end = time.perf_counter_ns() + n % 1000 * 50
                while time.perf_counter_ns() < end:
                    pass
                os.kill(os.getpid(), signal.SIGINT)
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        while seen < rounds:
            try:
                loop.call_soon(asleep.release)
                loop.run_forever()
            except KeyboardInterrupt:
                seen += 1
        print("seen", signal.set_wakeup_fd(-1))
        loop.close()
    """
    assert check_program(backend, source) == "seen -1\n"


def test_an_interrupt_that_another_thread_takes_ends_the_wait(backend):
    """The kernel may deliver a signal to any thread; the wait of the main one is not interrupted then."""
    source = """
        import signal, threading
        loop = new_loop()
        seen = 0
        def interrupt():
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        for _ in range(20):
            timer = threading.Timer(0.01, interrupt)
            loop.call_soon(timer.start)
            try:
                loop.run_forever()
            except KeyboardInterrupt:
                seen += 1
            timer.join()
        print(seen)
        loop.close()
    """
    assert check_program(backend, source) == "20\n"


def test_what_a_signal_handler_schedules_runs_though_the_loop_sleeps(backend):
    source = """
        import signal, threading
        loop = new_loop()
        def handler(*_):
            print("descriptor", signal.set_wakeup_fd(-1))
            loop.call_soon(loop.stop)
        signal.signal(signal.SIGUSR1, handler)
        def send():
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        timer = threading.Timer(0.05, send)
        loop.call_soon(timer.start)
        loop.run_forever()
        loop.close()
    """
    assert check_program(backend, source) == "descriptor -1\n"


def test_an_interrupt_that_nobody_catches_ends_the_program_as_python_does(backend):
    source = """
        import asyncio
        async def main():
            print("ready", flush=True)
            await asyncio.sleep(60)
        run(main())
    """
    with start_program(backend, source) as program:
        assert program.stdout.readline() == "ready\n"
        until_asleep(program)
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=10)
    assert program.returncode == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")


def test_sys_exit_in_a_task_gives_the_exit_code(backend):
    source = """
        import asyncio, sys
        async def main():
            await asyncio.sleep(0)
            sys.exit(7)
        run(main())
    """
    done = run_program(backend, source)
    assert done.returncode == 7
    assert done.stderr == ""

"""`add_reader` and `add_writer` on descriptors. # T1 # T6 # G12 # T19 # T42 # T44"""

import asyncio
import os
import socket

import pytest

from tests.support.descriptors import fill, pipe_files, socket_pair

pytestmark = pytest.mark.all_drivers


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_reader_is_called_while_there_is_input(loop):
    with socket_pair() as (left, right):
        calls = []
        loop.add_reader(left, calls.append, 1)
        await turns()
        assert calls == []
        right.send(b"x")
        await turns(6)
        assert len(calls) > 1, "readiness is a level: unread input calls again"
        left.recv(1)
        await turns()
        calls.clear()
        await turns()
        assert calls == []
        loop.remove_reader(left)


async def test_partly_read_input_calls_again(loop):
    with socket_pair() as (left, right):
        got = []
        done = loop.create_future()

        def on_input():
            got.append(left.recv(1))
            if len(got) == 10:
                done.set_result(None)

        loop.add_reader(left, on_input)
        right.send(b"0123456789")
        await done
        loop.remove_reader(left)
        assert b"".join(got) == b"0123456789"


async def test_a_writer_is_called_while_there_is_room(loop):
    with socket_pair() as (left, right):
        calls = []
        loop.add_writer(left, calls.append, 1)
        await turns()
        assert calls
        fill(left)
        await turns()
        calls.clear()
        await turns()
        assert calls == []
        while True:
            try:
                right.recv(1 << 20)
            except BlockingIOError:
                break
        await turns(4)
        assert calls
        loop.remove_writer(left)


async def test_integers_and_objects_with_fileno_are_taken(loop):  # T44
    class Holder:
        def __init__(self, number):
            self.number = number

        def fileno(self):
            return self.number

    with socket_pair() as (left, right):
        right.send(b"x")
        for what in (left, left.fileno(), Holder(left.fileno())):
            arrived = loop.create_future()
            loop.add_reader(what, lambda arrived=arrived: arrived.done() or arrived.set_result(None))
            await arrived
            assert loop.remove_reader(what) is True


async def test_the_same_descriptor_by_number_and_by_object_is_one(loop):
    with socket_pair() as (left, right):
        loop.add_reader(left, print)
        assert loop.remove_reader(left.fileno()) is True
        assert loop.remove_reader(left) is False


async def test_removal_tells_whether_there_was_one(loop):  # T42
    with socket_pair() as (left, right):
        assert loop.remove_reader(left) is False
        assert loop.remove_writer(left) is False
        loop.add_reader(left, print)
        assert loop.remove_writer(left) is False
        loop.add_writer(left, print)
        assert loop.remove_reader(left) is True
        assert loop.remove_reader(left) is False
        assert loop.remove_writer(left) is True
        assert loop.remove_writer(left) is False


async def test_an_object_that_was_closed_can_be_removed(loop):  # T44
    """anyio removes its sockets after they were closed."""
    with socket_pair() as (left, right):
        loop.add_reader(left, print)
        left.close()
        assert loop.remove_reader(left) is True
        with pytest.raises(ValueError):
            loop.remove_reader(left)


async def test_a_second_reader_replaces_the_first(loop):  # T19 G12
    with socket_pair() as (left, right):
        calls = []
        loop.add_reader(left, calls.append, "first")
        loop.add_reader(left, calls.append, "second")
        right.send(b"x")
        await turns()
        assert set(calls) == {"second"}
        loop.remove_reader(left)


async def test_a_reader_replaced_after_the_event_came_in_is_not_called(loop):
    with socket_pair() as (left, right):
        calls = []
        loop.add_reader(left, calls.append, "first")
        right.send(b"x")
        loop.call_soon(loop.add_reader, left, calls.append, "second")
        await turns(4)
        loop.remove_reader(left)
        assert "first" not in calls
        assert "second" in calls


async def test_reader_and_writer_are_independent(loop):
    with socket_pair() as (left, right):
        calls = []
        loop.add_reader(left, calls.append, "read")
        loop.add_writer(left, calls.append, "write")
        await turns()
        assert set(calls) == {"write"}
        loop.remove_writer(left)
        calls.clear()
        right.send(b"x")
        await turns()
        assert set(calls) == {"read"}
        loop.remove_reader(left)


async def test_a_transports_descriptor_is_refused_by_name(loop):  # T19 G12
    with socket_pair() as (left, right):
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        number = left.fileno()
        for call in (
            lambda: loop.add_reader(number, print),
            lambda: loop.add_writer(number, print),
            lambda: loop.remove_reader(number),
            lambda: loop.remove_writer(number),
        ):
            with pytest.raises(RuntimeError, match="transport") as caught:
                call()
            assert str(number) in str(caught.value)
        transport.abort()
        await turns()


async def test_the_refused_registration_leaves_no_trace(loop):  # T19
    received = []

    class Protocol(asyncio.Protocol):
        def data_received(self, data):
            received.append(data)

    with socket_pair() as (left, right):
        transport, _ = await loop.create_connection(Protocol, sock=left)
        with pytest.raises(RuntimeError):
            loop.add_reader(left, received.append, "wrong")
        right.send(b"data")
        await turns(4)
        assert received == [b"data"]
        transport.abort()
        await turns()


@pytest.fixture(params=["file", "folder", "device"])
def always_ready(request, tmp_path):
    """The number of something that epoll refuses and that poll and select call ready."""
    path = {"file": tmp_path / "file", "folder": tmp_path, "device": "/dev/null"}[request.param]
    number = os.open(path, os.O_RDONLY | (os.O_CREAT if request.param == "file" else 0))
    yield number
    os.close(number)


async def test_what_is_always_ready_is_called_every_turn(loop, always_ready):
    calls = []
    loop.add_reader(always_ready, calls.append, "read")
    loop.add_writer(always_ready, calls.append, "write")
    await turns(10)
    assert 8 <= calls.count("read") <= 12 and 8 <= calls.count("write") <= 12
    assert loop.remove_reader(always_ready) is True
    calls.clear()
    await turns()
    assert "read" not in calls and "write" in calls
    assert loop.remove_writer(always_ready) is True
    await turns()
    calls.clear()
    await asyncio.sleep(0.01)
    assert calls == []


async def test_what_is_always_ready_wakes_a_loop_that_has_nothing_else_to_do(loop, always_ready):
    called = loop.create_future()

    def ready():
        loop.remove_reader(always_ready)
        called.set_result(None)

    loop.add_reader(always_ready, ready)
    await called


@pytest.mark.all_drivers
async def test_what_is_always_ready_and_not_used_leaves_the_processor_alone(loop, always_ready):
    calls = []
    loop.add_reader(always_ready, calls.append, "read")
    loop.add_writer(always_ready, calls.append, "write")
    await asyncio.sleep(0.3)
    assert 2 <= len(calls) < 200, "a loop that spins calls thousands of times"
    loop.remove_reader(always_ready)
    loop.remove_writer(always_ready)


@pytest.mark.all_drivers
async def test_what_is_always_ready_is_called_in_every_turn_as_long_as_it_is_used(loop, tmp_path):
    (tmp_path / "file").write_bytes(bytes(500))
    number = os.open(tmp_path / "file", os.O_RDONLY)
    calls, count = [], 0
    loop.add_reader(number, lambda: calls.append(os.read(number, 1)))
    while len(calls) < 500:
        await asyncio.sleep(0)
        count += 1
    assert count < 520
    # At the end the callback is called with nothing to read, and then less and less often; until there is more.
    while len(calls) < 530:
        await asyncio.sleep(0.001)
    os.pwrite(other := os.open(tmp_path / "file", os.O_WRONLY), b"more", 500)
    os.close(other)
    while b"".join(calls)[500:] != b"more":
        await asyncio.sleep(0.001)
    loop.remove_reader(number)
    os.close(number)


@pytest.mark.parametrize("wrong", [-1, "0", None, 1.5, object(), 2**40])
async def test_what_is_no_descriptor_is_a_value_error(loop, wrong):
    for call in (loop.add_reader, loop.add_writer):
        with pytest.raises((ValueError, TypeError, OverflowError, OSError)) as caught:
            call(wrong, print)
        assert str(caught.value)


async def test_a_closed_descriptor_is_refused(loop):
    with socket_pair() as (left, right):
        number = left.fileno()
        left.close()
        with pytest.raises((OSError, ValueError)):
            loop.add_reader(number, print)
        with pytest.raises(ValueError):
            loop.add_reader(left, print)


async def test_input_and_end_of_a_pipe(loop):
    with pipe_files() as (reader, writer):
        ended = loop.create_future()
        got = bytearray()

        def on_input():
            data = os.read(reader.fileno(), 100)
            got.extend(data)
            if not data:
                loop.remove_reader(reader)
                ended.set_result(None)

        loop.add_reader(reader, on_input)
        writer.write(b"hello")
        await turns()
        writer.close()
        await ended
        assert got == b"hello"


async def test_a_writer_hears_that_the_reading_end_is_gone(loop):
    with pipe_files() as (reader, writer):
        os.set_blocking(writer.fileno(), False)
        try:
            while True:
                os.write(writer.fileno(), bytes(65536))
        except BlockingIOError:
            pass
        gone = loop.create_future()
        loop.add_writer(writer, lambda: gone.done() or gone.set_result(None))
        reader.close()
        await gone
        loop.remove_writer(writer)


async def test_a_number_that_was_closed_and_reused_is_another_file(loop):  # R1 R6
    """The old registration must neither fire for the new file nor stand in its way."""
    calls = []
    with socket_pair() as (left, right):
        number = left.fileno()
        loop.add_reader(number, calls.append, "old")
        loop.remove_reader(number)
        left.close()
        with socket_pair() as (new_left, new_right):
            assert number in (new_left.fileno(), new_right.fileno())
            other = new_right if new_left.fileno() == number else new_left
            loop.add_reader(number, calls.append, "new")
            other.send(b"x")
            await turns()
            loop.remove_reader(number)
    assert set(calls) == {"new"}


@pytest.mark.only_tulipa
async def test_a_number_reused_without_removal_is_recognised(loop):  # R6
    """Closing without `remove_reader` is a mistake; the next owner of the number must not pay for it."""
    calls = []
    with socket_pair() as (left, right):
        number = left.fileno()
        loop.add_reader(number, calls.append, "old")
        left.close()
        with socket_pair() as (new_left, new_right):
            assert number in (new_left.fileno(), new_right.fileno())
            other = new_right if new_left.fileno() == number else new_left
            loop.add_reader(number, calls.append, "new")
            other.send(b"x")
            await turns()
            loop.remove_reader(number)
    assert set(calls) == {"new"}


async def test_callbacks_that_remove_each_other(loop):
    with socket_pair() as (a, b), socket_pair() as (c, d):
        calls = []

        def on_a():
            calls.append("a")
            loop.remove_reader(a)
            loop.remove_reader(c)

        def on_c():
            calls.append("c")
            loop.remove_reader(a)
            loop.remove_reader(c)

        loop.add_reader(a, on_a)
        loop.add_reader(c, on_c)
        b.send(b"x")
        d.send(b"x")
        await turns(4)
        assert calls in (["a"], ["c"])


async def test_many_descriptors_at_once(loop, backend):
    count = 300
    pairs = [socket.socketpair() for _ in range(count)]
    try:
        arrived = set()
        done = loop.create_future()

        def on_input(number):
            pairs[number][0].recv(1)
            arrived.add(number)
            if len(arrived) == count:
                done.set_result(None)

        for number, (left, _) in enumerate(pairs):
            loop.add_reader(left, on_input, number)
        for _, right in pairs:
            right.send(b"x")
        await done
        for left, _ in pairs:
            assert loop.remove_reader(left)
    finally:
        for left, right in pairs:
            left.close()
            right.close()


async def test_descriptors_beyond_the_size_of_an_fd_set_can_be_watched(loop):
    """1024 and more do not fit into C's `fd_set`; the select driver uses larger ones. # T1"""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip("too few descriptors allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    try:
        with socket_pair() as (left, right):
            number = 1500
            os.dup2(left.fileno(), number)
            try:
                arrived = loop.create_future()
                loop.add_reader(number, lambda: arrived.done() or arrived.set_result(None))
                right.send(b"x")
                await arrived
                loop.remove_reader(number)
            finally:
                os.close(number)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_terminal_can_be_watched(loop):
    import pty

    master, slave = pty.openpty()
    try:
        arrived = loop.create_future()
        loop.add_reader(slave, lambda: arrived.done() or arrived.set_result(os.read(slave, 100)))
        os.write(master, b"line\n")
        assert await arrived == b"line\n"
        loop.remove_reader(slave)
    finally:
        os.close(master)
        os.close(slave)


def test_standard_input_can_be_watched(backend):  # P4
    import subprocess

    from tests.support.programs import start_program

    source = """
        import os, sys
        async def main():
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            def on_input():
                data = os.read(0, 100)
                print(data, flush=True)
                if not data:
                    loop.remove_reader(0)
                    done.set_result(None)
            loop.add_reader(sys.stdin.fileno(), on_input)
            print("ready", flush=True)
            await done
        run(main())
    """
    with start_program(backend, source, stdin=subprocess.PIPE) as program:
        assert program.stdout.readline() == "ready\n"
        program.stdin.write("no newline")
        program.stdin.flush()
        assert program.stdout.readline() == "b'no newline'\n"
        out, err = program.communicate(timeout=10)
    assert (out, err, program.returncode) == ("b''\n", "", 0)

"""The loop's own descriptors: numbers, inheritance, count. # T37 # R10"""

import os

import pytest

from tests.support.descriptors import open_descriptors
from tests.support.programs import run_program

pytestmark = pytest.mark.all_drivers

CLOSED_STDIN = """
    import os, sys
    os.close(0)
    before = set(os.listdir("/proc/self/fd"))
    loop = new_loop()
    loop.call_soon(loop.stop)
    loop.run_forever()
    try:
        os.fstat(0)
        print("taken")
    except OSError:
        print("free")
    loop.close()
"""


def test_standard_input_may_be_closed(backend):
    done = run_program(backend, CLOSED_STDIN)
    assert done.stdout == "free\n", done.stderr


def test_all_three_standard_descriptors_may_be_closed(backend, tmp_path):
    result = tmp_path / "result"
    source = f"""
        import os, stat
        for number in (0, 1, 2):
            os.close(number)
        loop = new_loop()
        loop.call_soon(loop.stop)
        loop.run_forever()
        def is_open(number):
            try:
                os.fstat(number)
            except OSError:
                return False
            return True
        taken = [number for number in (0, 1, 2) if is_open(number)]
        loop.close()
        number = os.open({str(result)!r}, os.O_WRONLY | os.O_CREAT)
        os.write(number, str(taken).encode())
        os._exit(0)
    """
    run_program(backend, source)
    assert result.read_text() == "[]"


def test_own_descriptors_are_not_inherited(loop):
    before = open_descriptors()
    loop.run_until_complete(noop())
    for number in open_descriptors().keys() - {0, 1, 2}:
        if number not in before or "epoll" in before[number] or "eventfd" in before[number]:
            try:
                assert not os.get_inheritable(number)
            except OSError:
                continue


async def noop():
    pass


def test_a_loop_holds_few_descriptors(backend, loop_factory):
    before = open_descriptors()
    loop = loop_factory()
    loop.run_until_complete(noop())
    # A poller or two, the waker, and the two ends of the pipe that tells of signals.
    expected = 5 if backend.driver == "io_uring" else 4
    assert len(open_descriptors().keys() - before.keys()) <= expected
    loop.close()
    assert open_descriptors().keys() == before.keys()


def test_a_loop_that_cannot_get_descriptors_raises_oserror_and_leaves_nothing(backend):
    source = """
        import resource, os
        def count():
            return len(os.listdir("/proc/self/fd"))
        new_loop().close()
        before = count()
        for spare in range(0, 8):
            used = max(int(name) for name in os.listdir("/proc/self/fd"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (before - 1 + spare, 4096))
            try:
                loop = new_loop()
            except OSError as error:
                assert error.errno == 24, error
                print("refused")
            else:
                loop.call_soon(loop.stop)
                loop.run_forever()
                loop.close()
                print("made")
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
            assert count() == before, (count(), before)
    """
    done = run_program(backend, source)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused\n")
    assert done.stdout.endswith("made\n")

"""The driver on rings where a kernel or a container forbids rings, and what it must not hold open."""

import socket

import pytest

from tests.support.programs import run_program

# The number of io_uring_setup(2) is the same on all processors that have the driver. The filter lets all other calls pass.
FORBIDDING = """
    import ctypes, os, struct, tulipa
    ERRNO, ALLOW, LOAD, IF_EQUAL, RETURN = 0x50000, 0x7FFF0000, 0x20, 0x15, 0x06
    steps = [(LOAD, 0, 0, 0), (IF_EQUAL, 0, 1, 425), (RETURN, 0, 0, ERRNO | {errno}), (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
    libc = ctypes.CDLL(None, use_errno=True)
    NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
    assert libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    if libc.prctl(SECCOMP, FILTER, ctypes.byref(Filter(len(steps), ctypes.addressof(code))), 0, 0):
        print("no filters here")
        raise SystemExit
    before = len(os.listdir("/proc/self/fd"))
    try:
        tulipa.new_event_loop(driver="io_uring")
    except OSError as exc:
        print(exc.errno, exc)
    print(len(os.listdir("/proc/self/fd")) - before)
    with asyncio.Runner(loop_factory=tulipa.new_event_loop) as runner:
        print(runner.get_loop().driver)
"""


@pytest.mark.only_tulipa
@pytest.mark.parametrize(("errno", "why"), [(1, "forbidden"), (38, "container hides it")])
def test_a_ring_that_is_forbidden_is_an_error_that_says_why_and_what_works(backend, errno, why):  # T1 G11
    done = run_program(backend, FORBIDDING.replace("{errno}", str(errno)))
    assert done.returncode == 0, done.stderr
    if done.stdout == "no filters here\n":
        pytest.skip("this kernel has no filters for system calls")
    refused, left, other = done.stdout.splitlines()
    assert refused.startswith(f"{errno} ")
    assert "io_uring" in refused
    assert why in refused
    assert "epoll" in refused
    assert (left, other) == ("0", "epoll")


@pytest.mark.all_drivers
@pytest.mark.parametrize("way", ["reader", "writer", "cancelled receive"])
async def test_a_watched_socket_that_the_program_closes_is_closed(loop, way):  # R10
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        number = near.fileno()
        if way == "reader":
            loop.add_reader(near, lambda: None)
        elif way == "writer":
            loop.add_writer(near, lambda: None)
        else:
            receiving = loop.create_task(loop.sock_recv(near, 10))
        # Until the driver has waited with it.
        for _ in range(3):
            await pause(loop)
        if way == "cancelled receive":
            receiving.cancel()
            await pause(loop)
        near.close()
        assert far.recv(10) == b""
        loop.remove_reader(number)
        loop.remove_writer(number)


def pause(loop):
    future = loop.create_future()
    loop.call_later(0.001, future.set_result, None)
    return future

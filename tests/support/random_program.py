"""Random programs: thousands of calls of the public API in an order that no programmer would choose.

Run in a child process by `tests/badinput/test_random_programs.py` as `python random_program.py DRIVER SEED STEPS`, so
that an abort or a hang is seen from outside. Invariant: whatever is called in whatever order from whatever callback,
each call returns or raises an `Exception`, the loop goes on, and at the end all descriptors are given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import io
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import warnings

SECONDS = 20
NEVER = ("PanicException", "SystemError", "MemoryError")
JUNK = (None, -1, 0, 7, 2**70, 1.5, float("nan"), float("inf"), "text", b"bytes", [], (), {}, object(), int, print)


# How often an action is taken, where it is not 4: life must go on between the deaths.
WEIGHTS = {
    "do_connect_two": 16,
    "do_connect_server": 12,
    "do_write": 24,
    "do_socket_traffic": 16,
    "do_sendto": 12,
    "do_resume": 12,
    "do_close": 2,
    "do_abort": 1,
    "do_force_close": 1,
    "do_write_eof": 2,
    "do_set_protocol_junk": 1,
    "do_shut_the_socket_of_a_transport": 1,
    "do_close_server": 1,
    "do_close_socket": 2,
    "do_close_loop": 1,
    "do_run_again": 1,
    "do_signal": 1,
}


class Failure(BaseException):
    """What must not happen."""


def check(error: BaseException) -> None:
    if type(error).__name__ in NEVER:
        raise Failure(f"{type(error).__name__}: {error}") from error


class Program:
    """The state of one random program: pools of things to act on, and the actions."""

    def __init__(self, loop, seed: int):
        self.loop = loop
        self.random = random.Random(seed)
        self.transports, self.sockets, self.datagrams, self.servers = [], [], [], []
        self.handles, self.tasks, self.futures, self.pipes = [], [], [], []
        self.folder = tempfile.mkdtemp(prefix="tulipa-random-")
        self.file = tempfile.TemporaryFile(buffering=0)
        self.file.write(bytes(100_000))
        self.depth = 0
        names = [name for name in sorted(dir(self)) if name.startswith("do_")]
        self.actions = [getattr(self, name) for name in names]
        self.weights = [WEIGHTS.get(name, 4) for name in names]
        self.trace = []

    # -- what protocols and callbacks do

    def callback(self, *args):
        """A callback that now and then acts itself."""
        if self.depth < 3 and self.random.random() < 0.25:
            self.depth += 1
            try:
                self.step()
            finally:
                self.depth -= 1
        if self.depth < 3 and self.random.random() < 0.03:
            raise LookupError("raised by a callback")

    def step(self):
        (action,) = self.random.choices(self.actions, self.weights)
        self.trace.append(action.__name__)
        del self.trace[:-50]
        try:
            result = action()
        except Exception as error:
            check(error)
            return
        if asyncio.iscoroutine(result):
            self.tasks.append(self.loop.create_task(self.guard(result)))

    async def guard(self, coroutine):
        try:
            async with asyncio.timeout(self.random.choice((0.0, 0.001, 0.005, 0.05))):
                return await coroutine
        except Exception as error:
            check(error)

    def pick(self, pool):
        if not pool or self.random.random() < 0.01:
            raise LookupError("nothing to act on")
        thing = self.random.choice(pool)
        if self.random.random() < 0.8 and hasattr(thing, "is_closing") and thing.is_closing():
            pool.remove(thing)
            return self.pick(pool)
        return thing

    def data(self):
        size = self.random.choice((0, 1, 10, 1000, 70_000, 500_000))
        make = self.random.choice((bytes, bytearray, lambda size: memoryview(bytes(size))))
        return make(size)

    def junk(self):
        return self.random.choice(JUNK)

    def factory(self):
        kind = self.random.choice((Stream, Stream, Buffered))
        return kind(self)

    def keep(self, pool, thing):
        pool.append(thing)
        if len(pool) > 30:
            old = pool.pop(0)
            for method in ("abort", "close", "cancel"):
                if hasattr(old, method):
                    getattr(old, method)()
                    break

    def pair(self):
        left, right = socket.socketpair()
        left.setblocking(False)
        right.setblocking(False)
        return left, right

    # -- scheduling

    def do_call_soon(self):
        self.keep(self.handles, self.loop.call_soon(self.callback, 1, 2))

    def do_call_later(self):
        delay = self.random.choice((0, -1, 0.001, 0.0001, 1000, float("inf")))
        self.keep(self.handles, self.loop.call_later(delay, self.callback))

    def do_call_junk(self):
        self.keep(self.handles, self.loop.call_later(self.junk(), self.callback))

    def do_call_soon_junk(self):
        self.loop.call_soon(self.junk())

    def do_cancel_handle(self):
        self.pick(self.handles).cancel()

    def do_look_at_handle(self):
        repr(self.pick(self.handles))

    def do_threadsafe(self):
        threading.Thread(target=self.loop.call_soon_threadsafe, args=(self.callback,)).start()

    def do_executor(self):
        return self.in_executor()

    async def in_executor(self):
        await self.loop.run_in_executor(None, int)

    def do_task(self):
        return asyncio.sleep(self.random.choice((0, 0.001)))

    def do_cancel_task(self):
        self.pick(self.tasks).cancel()

    def do_future(self):
        future = self.loop.create_future()
        future.add_done_callback(self.callback)
        self.keep(self.futures, future)

    def do_set_result(self):
        self.pick(self.futures).set_result(None)

    def do_collect(self):
        if self.random.random() < 0.05:
            gc.collect()

    def do_debug(self):
        if self.random.random() < 0.2:
            self.loop.set_debug(not self.loop.get_debug())

    def do_signal(self):
        os.kill(os.getpid(), signal.SIGUSR1)

    def do_signal_handler(self):
        self.loop.add_signal_handler(signal.SIGUSR1, self.callback)

    def do_close_loop(self):
        self.loop.close()

    def do_run_again(self):
        self.loop.run_forever()

    def do_stop(self):
        self.loop.stop()

    def do_ask(self):
        repr(self.loop)
        self.loop.is_running()
        self.loop.time()

    # -- watching

    def do_new_sockets(self):
        for sock in self.pair():
            self.keep(self.sockets, sock)

    def do_close_socket(self):
        self.pick(self.sockets).close()

    def do_add_reader(self):
        self.loop.add_reader(self.pick(self.sockets), self.callback)

    def do_add_writer(self):
        self.loop.add_writer(self.pick(self.sockets), self.callback)

    def do_remove_reader(self):
        self.loop.remove_reader(self.pick(self.sockets))

    def do_remove_writer(self):
        self.loop.remove_writer(self.pick(self.sockets))

    def do_watch_junk(self):
        self.random.choice((self.loop.add_reader, self.loop.add_writer))(self.junk(), self.callback)

    def do_watch_a_transport(self):
        self.loop.add_reader(self.pick(self.transports).get_extra_info("socket"), self.callback)

    def do_socket_traffic(self):
        sock = self.pick(self.sockets)
        with contextlib.suppress(OSError):
            sock.send(b"x" * self.random.choice((1, 1000)))
        with contextlib.suppress(OSError):
            sock.recv(self.random.choice((1, 100_000)))

    # -- socket calls

    def do_sock_recv(self):
        return self.loop.sock_recv(self.pick(self.sockets), self.random.choice((0, 1, 1000)))

    def do_sock_recv_into(self):
        return self.loop.sock_recv_into(self.pick(self.sockets), bytearray(self.random.choice((0, 1, 1000))))

    def do_sock_sendall(self):
        return self.loop.sock_sendall(self.pick(self.sockets), self.data())

    def do_sock_junk(self):
        method = self.random.choice(("sock_recv", "sock_recv_into", "sock_sendall", "sock_connect", "sock_recvfrom"))
        return getattr(self.loop, method)(self.pick(self.sockets), self.junk())

    def do_sock_sendfile(self):
        return self.loop.sock_sendfile(self.pick(self.sockets), self.file, 0, 1000)

    def do_sock_accept(self):
        return self.loop.sock_accept(self.pick(self.sockets))

    # -- streams

    async def do_connect_pair(self):
        left, right = self.pair()
        self.keep(self.sockets, right)
        transport, _ = await self.loop.create_connection(self.factory, sock=left)
        self.keep(self.transports, transport)

    async def do_connect_two(self):
        for sock in self.pair():
            transport, _ = await self.loop.create_connection(self.factory, sock=sock)
            self.keep(self.transports, transport)

    async def do_connect_server(self):
        address = self.pick(self.servers).sockets[0].getsockname()
        if isinstance(address, str):
            transport, _ = await self.loop.create_unix_connection(self.factory, address)
        else:
            transport, _ = await self.loop.create_connection(self.factory, *address)
        self.keep(self.transports, transport)

    async def do_serve(self):
        if self.random.random() < 0.3:
            path = os.path.join(self.folder, str(self.random.random()))
            server = await self.loop.create_unix_server(self.factory, path)
        else:
            server = await self.loop.create_server(self.factory, "127.0.0.1", 0)
        self.keep(self.servers, server)

    def do_close_server(self):
        self.pick(self.servers).close()

    def do_write(self):
        self.pick(self.transports).write(self.data())

    def do_write_junk(self):
        self.pick(self.transports).write(self.junk())

    def do_writelines(self):
        self.pick(self.transports).writelines([self.data() for _ in range(self.random.randrange(4))])

    def do_writelines_junk(self):
        self.pick(self.transports).writelines([b"x", self.junk()])

    def do_write_eof(self):
        self.pick(self.transports).write_eof()

    def do_close(self):
        self.pick(self.transports).close()

    def do_abort(self):
        self.pick(self.transports).abort()

    def do_pause(self):
        self.pick(self.transports).pause_reading()

    def do_resume(self):
        self.pick(self.transports).resume_reading()

    def do_limits(self):
        self.pick(self.transports).set_write_buffer_limits(self.random.choice((None, 0, 1, 1000, 1 << 40, -1)))

    def do_limits_junk(self):
        self.pick(self.transports).set_write_buffer_limits(self.junk(), self.junk())

    def do_set_protocol(self):
        transport = self.pick(self.transports)
        protocol = self.factory()
        protocol.transport = transport
        transport.set_protocol(protocol)

    def do_set_protocol_junk(self):
        if self.random.random() < 0.1:
            self.pick(self.transports).set_protocol(self.junk())

    def do_ask_transport(self):
        transport = self.pick(self.transports)
        repr(transport)
        transport.get_write_buffer_size()
        transport.is_reading()
        transport.is_closing()
        transport.get_extra_info("socket")
        transport.get_extra_info("peername")

    def do_force_close(self):
        transport = self.pick(self.transports)
        transport._force_close(ConnectionError("forced"))

    def do_sendfile(self):
        return self.loop.sendfile(self.pick(self.transports), self.random.choice((self.file, io.BytesIO(bytes(9000)))))

    def do_shut_the_socket_of_a_transport(self):
        self.pick(self.transports).get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    # -- datagrams

    async def do_datagram(self):
        transport, _ = await self.loop.create_datagram_endpoint(lambda: Datagram(self), local_addr=("127.0.0.1", 0))
        self.keep(self.datagrams, transport)

    def do_sendto(self):
        address = self.pick(self.datagrams).get_extra_info("sockname")
        self.pick(self.datagrams).sendto(self.data()[:60_000], address)

    def do_sendto_junk(self):
        self.pick(self.datagrams).sendto(self.random.choice((b"x", self.junk())), self.junk())

    def do_close_datagram(self):
        self.random.choice((self.pick(self.datagrams).close, self.pick(self.datagrams).abort))()

    # -- pipes

    async def do_pipe(self):
        read_end, write_end = os.pipe()
        reader, writer = os.fdopen(read_end, "rb", 0), os.fdopen(write_end, "wb", 0)
        with contextlib.ExitStack() as stack:
            stack.callback(reader.close)
            stack.callback(writer.close)
            first, _ = await self.loop.connect_read_pipe(self.factory, reader)
            self.keep(self.pipes, first)
            second, _ = await self.loop.connect_write_pipe(self.factory, writer)
            self.keep(self.pipes, second)
            stack.pop_all()

    def do_pipe_method(self):
        pipe = self.pick(self.pipes)
        method = self.random.choice(
            ("close", "abort", "pause_reading", "resume_reading", "write_eof", "is_closing", "get_write_buffer_size")
        )
        getattr(pipe, method)()

    def do_pipe_write(self):
        self.pick(self.pipes).write(self.data())

    # -- the run

    async def main(self, steps: int):
        for _ in range(steps):
            self.step()
            if self.random.random() < 0.5:
                await asyncio.sleep(0)

    def run(self, steps: int):
        main = self.loop.create_task(self.main(steps))
        while not main.done():  # `do_stop` stops the loop now and then
            self.turn()
        main.result()

    def turn(self):
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def end(self):
        self.depth = 99  # from here on, callbacks do nothing of their own
        for pool in (self.servers, self.transports, self.datagrams, self.pipes):
            for thing in pool:
                with contextlib.suppress(Exception):
                    (thing.close if pool is self.servers else thing.abort)()
        for sock in self.sockets:
            for remove in (self.loop.remove_reader, self.loop.remove_writer):
                with contextlib.suppress(Exception):
                    remove(sock)
        for handle in self.handles:
            handle.cancel()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        for _ in range(200):
            self.turn()
        left = list(self.loop._transports.values())
        for transport in left:
            transport.abort()
        for _ in range(20):
            self.turn()
        for sock in self.sockets:
            sock.close()
        with contextlib.suppress(Exception):
            self.loop.remove_signal_handler(signal.SIGUSR1)
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.file.close()


class Stream(asyncio.Protocol):
    def __init__(self, program):
        self.program = program

    def connection_made(self, transport):
        self.transport = transport
        self.program.transports.append(transport) if hasattr(transport, "write_eof") else None
        self.program.callback()

    def data_received(self, data):
        if self.program.random.random() < 0.3:
            self.transport.write(data[:1000])
        self.program.callback()

    def eof_received(self):
        self.program.callback()
        return self.program.random.random() < 0.3

    def pause_writing(self):
        self.program.callback()

    def resume_writing(self):
        self.program.callback()

    def connection_lost(self, error):
        if error is not None:
            check(error)
        self.program.callback()


class Buffered(Stream, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint):
        self.program.callback()
        chance = self.program.random.random()
        if chance < 0.02:
            return self.program.junk()
        return bytearray(self.program.random.choice((1, 100, 100_000)))

    def buffer_updated(self, count):
        self.program.callback()


class Datagram(asyncio.DatagramProtocol):
    def __init__(self, program):
        self.program = program

    def datagram_received(self, data, address):
        self.program.callback()

    def error_received(self, error):
        check(error)
        self.program.callback()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def main(driver: str, seed: int, steps: int) -> None:
    faulthandler.enable()
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: check(unraisable.exc_value)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    before = descriptors()
    if driver == "asyncio":
        loop = asyncio.new_event_loop()
    else:
        import tulipa

        loop = tulipa.new_event_loop(driver=driver)
    loop.slow_callback_duration = 60
    bad = []

    def handler(loop, context):
        error = context.get("exception")
        if type(error).__name__ in NEVER:
            bad.append(f"{type(error).__name__}: {error}")

    loop.set_exception_handler(handler)
    program = Program(loop, seed)
    try:
        program.run(steps)
        program.end()
    except BaseException as error:
        print(f"failed after {program.trace}: {type(error).__name__}: {error}", flush=True)
        raise
    assert not bad, bad
    del program, loop
    for _ in range(3):
        gc.collect()
    left = {
        number: os.readlink(f"/proc/self/fd/{number}")
        for number in descriptors() - before
        if os.path.exists(f"/proc/self/fd/{number}")
    }
    if left and driver != "asyncio":
        print(f"descriptors left: {left}", flush=True)
        sys.exit(5)
    print("survived", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

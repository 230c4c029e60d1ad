"""Runs a program on a loop, and writes down what can be observed: one trace per actor.

Actors are the ends, the main task, each task and each callback's scheduler: a callback is noted where it was scheduled,
since that is where asyncio promises an order. Between ends there is no order but what the poller reports.

Nothing sleeps. The main task lets turns pass until nothing has happened for some of them, and the loop's clock is the
program's own (`loop.time` replaced), so timers are due when an operation says so.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import tempfile
import warnings
from collections import defaultdict

from tests.differential.ends import PROTOCOLS, RawEnd, TransportEnd, family
from tests.differential.program import Program
from tests.support.certificates import NAME, client_context, server_context
from tests.support.descriptors import small_buffers
from tests.support.streams import raw_pair

TICK = 0.001
QUIET_TURNS = 6
MOST_TURNS = 4000
KERNEL_BUFFER = 16384
"""So small that a large write never fits, whatever the kernel adds. For Unix sockets: TCP with full buffers of this
size waits for its own timers."""

Traces = dict[str, list[str]]


def run(program: Program, new_loop, *, patience: int = 1) -> Traces:
    """The traces of one program on one loop. `patience` multiplies the turns that count as rest."""
    loop = new_loop()
    world = World(loop, patience)
    loop.set_debug(program.debug)
    loop.slow_callback_duration = 3600
    loop.set_exception_handler(world.reported)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loop.run_until_complete(world.main(program))
        finally:
            for end in world.ends.values():
                if isinstance(end, RawEnd):
                    end.abandon()
            loop.close()
    return {name: trace for name, trace in world.traces.items() if trace}


@functools.cache
def contexts():
    return client_context(), server_context()


class World:
    def __init__(self, loop, patience: int):
        self.loop = loop
        self.patience = patience
        self.traces: Traces = defaultdict(list)
        self.ends = {}
        self.handles = {}
        self.tasks = {}
        self.futures = defaultdict(loop.create_future)
        self.now = 1000.0
        self.timers = 0
        self.stirred = 0
        self.resting = 0
        loop.time = lambda: self.now

    # -- notes

    def note(self, actor: str, event: str) -> None:
        self.traces[actor].append(event)
        self.stir()

    def stir(self) -> None:
        self.stirred += 1

    def reported(self, loop, context) -> None:
        error = context.get("exception")
        self.note("exception handler", family(error) if error else context["message"])

    # -- the run

    async def main(self, program: Program) -> None:
        self.prompt = program.prompt
        for number, link in enumerate(program.links):
            await self.connect(number, link)
        await self.settle()
        for number, acts in enumerate(program.rounds):
            for index, act in enumerate(acts):
                self.begin(f"{number}.{index}", act)
            await self.settle()
            self.look(f"after round {number}")
        for end in self.ends.values():
            if isinstance(end, TransportEnd) and not (end.lost or end.aborted or end.is_ending_pipe):
                self.cut(end)
                # A reading end of a pipe can be closed only, on asyncio.
                getattr(end.transport, "abort", end.transport.close)()
        for task in self.tasks.values():
            task.cancel()
        await self.settle()
        self.look("at the end")

    async def settle(self) -> None:
        """Let turns pass until nothing happens any more, and no task has a next operation at hand."""
        await self.rest()
        while self.resting:
            await self.rest()

    async def rest(self) -> None:
        """Let turns pass until nothing happens. How many turns something takes is not compared."""
        quiet = turns = 0
        seen = self.stirred
        while quiet < QUIET_TURNS * self.patience:
            await asyncio.sleep(0)
            quiet = quiet + 1 if seen == self.stirred else 0
            seen = self.stirred
            turns += 1
            if turns > MOST_TURNS:
                self.note("main", "never comes to rest")
                return

    def look(self, when: str) -> None:
        """Note the state of everything, at rest."""
        for name, end in self.ends.items():
            self.note(name, f"{when}: {end.state()}")
        for name, task in self.tasks.items():
            self.note(name, f"{when}: {'done' if task.done() else 'waits'}")
        self.traces["exception handler"].sort()

    def begin(self, name: str, act) -> None:
        if act.where == "now":
            self.do_all("main", act.operations)
        elif act.where == "soon":
            self.loop.call_soon(self.do_all, f"callback {name}", act.operations)
        else:
            self.start(f"task {name}", self.in_task, f"task {name}", act.operations)

    def start(self, name: str, function, *arguments) -> None:
        self.tasks[name] = self.loop.create_task(self.watched(name, function, *arguments))

    async def watched(self, name: str, function, *arguments) -> None:
        try:
            result = await function(*arguments)
        except asyncio.CancelledError:
            self.note(name, "cancelled")
            raise
        except Exception as error:
            self.note(name, f"raised {family(error)}")
        else:
            self.note(name, f"returned {result}")

    async def in_task(self, name: str, operations) -> None:
        for operation in operations:
            result = self.do(name, operation)
            self.let_written_leave()
            if result is not None:
                await result
                continue
            self.resting += 1
            try:
                await self.rest()
            finally:
                self.resting -= 1

    def do_all(self, actor: str, operations) -> None:
        for operation in operations:
            self.do(actor, operation)
        self.let_written_leave()

    def let_written_leave(self) -> None:
        """What was written leaves at the end of the turn, or when its size is asked for; on asyncio at once. Whoever
        closes the other end within the turn sees the difference, which is documented (docs/compatibility.md); so in
        programs with such ends each callback sends what it wrote."""
        if self.prompt:
            for end in self.ends.values():
                if isinstance(end, TransportEnd):
                    end.unsent()

    def do(self, actor: str, operation, me=None):
        """Do one operation. What only a task can await is returned."""
        name, *arguments = operation
        if arguments and arguments[0] == "me":
            arguments[0] = me
        elif arguments and arguments[0] in self.ends:
            arguments[0] = self.ends[arguments[0]]
        if name != "close" and arguments and isinstance(arguments[0], TransportEnd) and arguments[0].is_over:
            # Most methods of asyncio's transports of TLS and datagrams raise AttributeError when they have ended, and
            # so do those of a stream that was closed with bytes in its buffer.
            self.note(actor, f"{name}: too late")
            return None
        if actor in self.ends and name in ("pause", "close", "abort", "raise"):
            # How much had come by then depends on which end the poller names first.
            self.ends[actor].is_cut = True
        if name == "raise":
            if me.wrote_to_the_dead:
                # Which of the two errors ends the connection depends on when written bytes leave.
                return None
            me.closed = True
            raise LookupError("raised by the program")
        try:
            result = getattr(self, name)(actor, *arguments)
        except Exception as error:
            self.note(actor, f"{name}: {family(error)}")
            return None
        if isinstance(result, str):
            self.note(actor, f"{name}: {result}")
            return None
        return result

    # -- making links

    async def connect(self, number: int, link) -> None:
        names = f"a{number}", f"b{number}"
        if link.kind == "udp":
            await self.connect_datagrams(names, link)
        elif link.kind == "pipe":
            await self.connect_pipe(names, link)
        elif link.kind.startswith("served"):
            await self.connect_to_server(names, link)
        elif link.kind == "upgraded":
            await self.connect_and_upgrade(names, link)
        else:
            await self.connect_sockets(names, link)

    async def connect_sockets(self, names, link) -> None:
        socks = raw_pair("unix" if link.kind == "unix" else "tcp")
        for sock in socks:
            self.send_at_once(sock, link.kind)
        made = []
        for name, sock, spec in zip(names, socks, (link.a, link.b), strict=True):
            if spec.protocol == "raw":
                self.ends[name] = RawEnd(self, name, link, spec, sock)
            elif link.kind != "tls":
                made.append(self.loop.create_connection(self.factory(name, link, spec), sock=sock))
            elif sock is socks[0]:
                options = {"ssl": contexts()[0], "server_hostname": NAME}
                made.append(self.loop.create_connection(self.factory(name, link, spec), sock=sock, **options))
            else:
                made.append(self.loop.connect_accepted_socket(self.factory(name, link, spec), sock, ssl=contexts()[1]))
        await asyncio.gather(*made)

    async def connect_datagrams(self, names, link) -> None:
        """`a` is connected to `b`; `b` is not."""
        factory = self.factory(names[1], link, link.b)
        transport, _ = await self.loop.create_datagram_endpoint(factory, local_addr=("127.0.0.1", 0))
        address = transport.get_extra_info("sockname")
        factory = self.factory(names[0], link, link.a)
        transport, _ = await self.loop.create_datagram_endpoint(factory, remote_addr=address)
        self.ends[names[0]].address = None
        self.ends[names[1]].address = transport.get_extra_info("sockname")

    async def connect_pipe(self, names, link) -> None:
        reader, writer = os.pipe()
        await self.loop.connect_write_pipe(self.factory(names[0], link, link.a), os.fdopen(writer, "wb", 0))
        await self.loop.connect_read_pipe(self.factory(names[1], link, link.b), os.fdopen(reader, "rb", 0))

    async def connect_to_server(self, names, link) -> None:
        """`b` is what a server accepts, which listens no longer then."""
        factories = [self.factory(name, link, spec) for name, spec in zip(names, (link.a, link.b), strict=True)]
        if link.kind == "served":
            server = await self.loop.create_server(factories[1], "127.0.0.1", 0)
            await self.loop.create_connection(factories[0], *server.sockets[0].getsockname())
        else:
            with tempfile.TemporaryDirectory() as folder:
                server = await self.loop.create_unix_server(factories[1], f"{folder}/socket")
                await self.loop.create_unix_connection(factories[0], f"{folder}/socket")
        while self.ends[names[1]].transport is None:
            await asyncio.sleep(0)
        self.note("main", f"{names[1]} is served: {server.is_serving()}, {len(server.sockets)}")
        server.close()
        self.note("main", f"{names[1]} is served: {server.is_serving()}, {len(server.sockets)}")

    async def connect_and_upgrade(self, names, link) -> None:
        socks = raw_pair("tcp")
        for sock in socks:
            self.send_at_once(sock, "tcp")
        plain = [await self.loop.create_connection(asyncio.Protocol, sock=sock) for sock in socks]
        made = []
        for number, (transport, _) in enumerate(plain):
            protocol = self.factory(names[number], link, (link.a, link.b)[number])()
            made.append(
                self.loop.start_tls(
                    transport,
                    protocol,
                    contexts()[number],
                    server_side=number == 1,
                    server_hostname=NAME if number == 0 else None,
                )
            )
        # `connection_made` is the program's own business here, as whoever upgrades does it.
        for name, transport in zip(names, await asyncio.gather(*made), strict=True):
            self.ends[name].made(transport)

    def send_at_once(self, sock, kind) -> None:
        """asyncio does so with sockets that name their protocol alone. # T32"""
        if kind == "unix":
            small_buffers(sock, size=KERNEL_BUFFER)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def factory(self, name, link, spec):
        end = self.ends[name] = TransportEnd(self, name, link, spec)
        return lambda: PROTOCOLS[spec.protocol](end)

    # -- operations: scheduling

    # What a protocol's method schedules is noted apart from the protocol's own events: when a read has filled its
    # buffer, tulipa reads again in the next turn before such a callback, and asyncio after it.

    def soon(self, actor, name, operations=()):
        self.hold(actor, name, self.loop.call_soon(self.called, actor, name, operations))

    def threadsafe(self, actor, name):
        """A call for other threads to make: no order between it and the loop's own calls is promised."""
        self.loop.call_soon_threadsafe(self.note, f"{actor}, threadsafe", f"callback {name}")

    def later(self, actor, name, ticks, operations=()):
        # asyncio promises no order of equal times; so each timer is a little later than the one before.
        self.timers += 1
        delay = ticks * TICK + self.timers * 1e-6
        self.hold(actor, name, self.loop.call_later(delay, self.called, actor, name, operations))

    def at(self, actor, name, ticks, operations=()):
        self.timers += 1
        when = 1000 + ticks * TICK + self.timers * 1e-6
        self.hold(actor, name, self.loop.call_at(when, self.called, actor, name, operations))

    def hold(self, actor, name, handle):
        """Each end has names of its own, for who of two ends comes first is the poller's."""
        self.handles[actor if actor in self.ends else "", name] = handle

    def called(self, actor, name, operations):
        if actor in self.ends:
            actor += ", scheduled"
        self.note(actor, f"callback {name}")
        self.do_all(actor, operations)

    def cancel(self, actor, name):
        handle = self.handles.get((actor if actor in self.ends else "", name))
        if handle is None:
            return "nothing to cancel"
        handle.cancel()
        return "cancelled"

    def advance(self, actor, ticks):
        self.now += ticks * TICK

    def cancel_task(self, actor, name):
        if name not in self.tasks:
            return "nothing to cancel"
        return f"{self.tasks[name].cancel()}"

    def nap(self, actor, ticks):
        return asyncio.sleep(ticks * TICK) if actor.startswith("task") else None

    def wait(self, actor, name):
        return asyncio.shield(self.futures[name]) if actor.startswith("task") else None

    def wake(self, actor, name):
        future = self.futures[name]
        if future.done():
            return "woken before"
        future.set_result(None)
        return "woken"

    # -- operations: transports

    def write(self, actor, end, count):
        if actor == end.name and end.transport.is_closing():
            # asyncio (3.13) loses its way over what `resume_writing` writes to a transport that closes: it reports
            # "'NoneType' object is not callable" in each turn from then on.
            return
        if self.peer_gone(end):
            # The first write to a dead TCP peer succeeds, and brings the reset that the second one meets. asyncio
            # makes two system calls where tulipa makes one.
            if end.wrote_to_the_dead:
                return
            end.wrote_to_the_dead = True
        with end.sending(count) as data:
            end.transport.write(data)

    def writelines(self, actor, end, *counts):
        if self.peer_gone(end):
            return "too late"
        with end.sending(sum(counts)) as data:
            pieces = []
            for count in counts:
                pieces.append(data[:count])
                data = data[count:]
            end.transport.writelines(pieces)

    def write_eof(self, actor, end):
        if end.link.kind in ("tcp", "served") and (actor == end.name or self.peer_gone(end)):
            # Of a TCP connection that is gone asyncio's `write_eof` raises; tulipa tells `connection_lost`. At rest one
            # can tell whether it has gone, in a reaction not.
            return "too late"
        end.transport.write_eof()

    def peer(self, end):
        return self.ends[("b" if end.name.startswith("a") else "a") + end.name[1:]]

    def cut(self, end) -> None:
        """How many bytes the kernel took of a write that was broken off is not compared."""
        if end.unsent():
            self.peer(end).is_cut = True

    def peer_gone(self, end) -> bool:
        peer = self.peer(end)
        return peer.sock.fileno() < 0 if isinstance(peer, RawEnd) else peer.lost

    def close(self, actor, end):
        if end.resuming or (end.closed and end.is_secure):
            # A TLS transport of asyncio that is closed twice forgets its parts.
            return "later"
        end.closed = True
        end.transport.close()

    def abort(self, actor, end):
        if end.resuming or end.is_ending_pipe:
            return "later"
        self.cut(end)
        end.aborted = True
        end.transport.abort()

    def pause(self, actor, end):
        if end.ended or end.resuming:
            # asyncio says `eof_received` once more to who pauses and resumes after the end.
            return "later"
        end.transport.pause_reading()

    def resume(self, actor, end):
        end.transport.resume_reading()
        # Whether the next read comes in this turn or in the next is left open; so nothing that would prevent it is
        # done within two turns.
        end.resuming = True
        self.loop.call_soon(self.loop.call_soon, setattr, end, "resuming", False)

    def limits(self, actor, end, high, low=None):
        if high == 0 and end.is_secure:
            # asyncio's TLS pauses an empty buffer at that, and nothing resumes it.
            return "not with TLS"
        end.transport.set_write_buffer_limits(high, low)
        return f"{end.transport.get_write_buffer_limits()}"

    def set_protocol(self, actor, end, kind):
        end.transport.set_protocol(PROTOCOLS[kind](end))

    def sendto(self, actor, end, count):
        end.transport.sendto(bytes(count), end.address)

    # -- operations: plain sockets

    def send(self, actor, end, count):
        if not end.is_free("write"):
            return "busy"
        sent = end.sock.send(end.next_data(count))
        end.sent += sent
        return f"{sent}"

    def recv(self, actor, end, count):
        if not end.is_free("read"):
            return "busy"
        self.let_written_leave()
        data = end.sock.recv(count)
        end.got(data)
        return f"{len(data)}"

    def shutdown(self, actor, end):
        if not end.is_free("write"):
            return "busy"
        self.let_written_leave()
        return end.sock.shutdown(socket.SHUT_WR)

    def close_socket(self, actor, end):
        if not end.is_free("read", "write"):
            return "busy"
        self.let_written_leave()
        return end.sock.close()

    def sock_recv(self, actor, end, count, name):
        return self.in_background(actor, end, "read", name, lambda: self.sock_recv_(end, count))

    async def sock_recv_(self, end, count):
        data = await self.loop.sock_recv(end.sock, count)
        end.got(data)
        return len(data)

    def sock_recv_into(self, actor, end, count, name):
        return self.in_background(actor, end, "read", name, lambda: self.sock_recv_into_(end, count))

    async def sock_recv_into_(self, end, count):
        buffer = bytearray(count)
        got = await self.loop.sock_recv_into(end.sock, buffer)
        end.got(bytes(buffer[:got]))
        return got

    def sock_sendall(self, actor, end, count, name):
        return self.in_background(actor, end, "write", name, lambda: self.sock_sendall_(end, count))

    async def sock_sendall_(self, end, count):
        await self.loop.sock_sendall(end.sock, end.next_data(count))
        end.sent += count
        return count

    def in_background(self, actor, end, direction, name, call):
        if not end.is_free(direction):
            return "busy"

        async def operate():
            try:
                result = await call()
            except BaseException:
                # How much was sent is not known now, so nothing more can be; reading goes on.
                if direction == "write":
                    end.busy[direction] = "spent"
                else:
                    del end.busy[direction]
                raise
            del end.busy[direction]
            return result

        end.busy[direction] = name
        self.start(name, operate)
        return None

    def add_reader(self, actor, end):
        if not end.is_free("read"):
            return "busy"
        end.busy["read"] = "add_reader"
        self.loop.add_reader(end.sock, end.readable)
        return None

    def remove_reader(self, actor, end):
        if end.busy.get("read", "add_reader") != "add_reader" or end.sock.fileno() < 0:
            return "busy"
        end.busy.pop("read", None)
        return f"{self.loop.remove_reader(end.sock)}"

    def add_writer(self, actor, end):
        if not end.is_free("write"):
            return "busy"
        end.busy["write"] = "add_writer"
        self.loop.add_writer(end.sock, end.writable)
        return None

    def remove_writer(self, actor, end):
        if end.busy.get("write", "add_writer") != "add_writer" or end.sock.fileno() < 0:
            return "busy"
        end.busy.pop("write", None)
        return f"{self.loop.remove_writer(end.sock)}"

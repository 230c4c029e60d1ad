"""In which context the callbacks of connections run. # T18

Python 3.15's rule, on all versions: a server captures the context in which it was made, each accepted connection gets
a copy of it, and all callbacks of its protocol run there.
"""

import asyncio
import contextvars
import socket

from tests.support.recorders import Recorder
from tests.support.streams import raw_pair, turns

variable = contextvars.ContextVar("variable", default="unset")


class Noting(Recorder):
    """Notes the value of the variable in each callback, and sets it in the first."""

    def __init__(self, set_to=None):
        super().__init__()
        self.set_to = set_to
        self.seen = []

    def note(self, event):
        self.seen.append((event, variable.get()))
        if event == "connection_made" and self.set_to:
            variable.set(self.set_to)
        super().note(event)


async def test_connection_made_sees_the_context_of_create_connection(loop):
    left, right = raw_pair("tcp")
    variable.set("caller")
    with right:
        transport, protocol = await loop.create_connection(Noting, sock=left)
        transport.abort()
        await protocol.until("connection_lost")
    assert protocol.seen[0] == ("connection_made", "caller")


async def test_all_callbacks_of_a_connection_see_its_context(loop):
    left, right = raw_pair("tcp")
    variable.set("caller")
    with right:
        transport, protocol = await loop.create_connection(Noting, sock=left)
        variable.set("changed later")
        right.send(b"x")
        await protocol.until_data(1)
        right.shutdown(socket.SHUT_WR)
        await protocol.until("connection_lost")
    assert {value for _, value in protocol.seen} == {"caller"}


async def test_who_resumes_reading_does_not_leak_his_context(loop):
    """Before 3.15, asyncio runs `data_received` in the context of whoever called `resume_reading` last."""
    left, right = raw_pair("tcp")
    variable.set("caller")
    with right:
        transport, protocol = await loop.create_connection(Noting, sock=left)
        transport.pause_reading()
        right.send(b"x")

        async def somebody():
            variable.set("somebody else")
            transport.resume_reading()
            await turns(3)

        await loop.create_task(somebody())
        await protocol.until_data(1)
        transport.abort()
        await protocol.until("connection_lost")
    assert ("data_received", "caller") in protocol.seen


async def test_a_server_captures_the_context_in_which_it_was_made(loop):
    made = []

    def factory():
        made.append(Noting())
        return made[-1]

    variable.set("server")
    server = await loop.create_server(factory, "127.0.0.1", 0)
    variable.set("changed later")
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.send(b"x")
        while not (made and made[0].data):
            await asyncio.sleep(0.001)
    await made[0].until("connection_lost")
    server.close()
    assert {value for _, value in made[0].seen} == {"server"}


async def test_each_accepted_connection_has_a_context_of_its_own(loop):
    made = []

    def factory():
        made.append(Noting(set_to=f"connection {len(made)}"))
        return made[-1]

    variable.set("server")
    server = await loop.create_server(factory, "127.0.0.1", 0)
    clients = []
    for number in range(3):
        clients.append(socket.create_connection(server.sockets[0].getsockname()))
        clients[-1].send(b"x")
        while not (len(made) > number and made[number].data):
            await asyncio.sleep(0.001)
    for client in clients:
        client.close()
    for protocol in made:
        await protocol.until("connection_lost")
    server.close()
    for number, protocol in enumerate(made):
        assert protocol.seen[0] == ("connection_made", "server")
        assert {value for _, value in protocol.seen[1:]} == {f"connection {number}"}


async def test_datagram_callbacks_see_the_context_of_their_endpoint(loop):
    seen = []

    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data, address):
            seen.append(variable.get())

    variable.set("endpoint")
    transport, _ = await loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
    variable.set("changed later")
    transport.sendto(b"x", transport.get_extra_info("sockname"))
    while not seen:
        await asyncio.sleep(0.001)
    transport.close()
    await turns(2)
    assert seen == ["endpoint"]


async def test_readers_run_in_the_context_of_add_reader(loop):
    left, right = socket.socketpair()
    with left, right:
        seen = loop.create_future()
        variable.set("adder")
        loop.add_reader(left, lambda: seen.done() or seen.set_result(variable.get()))
        variable.set("changed later")
        right.send(b"x")
        assert await seen == "adder"
        loop.remove_reader(left)


async def test_a_task_started_in_a_protocol_inherits_the_connections_context(loop):
    values = []

    class Starter(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            variable.set("of the connection")

        def data_received(self, data):
            super().data_received(data)
            loop.create_task(self.work())

        async def work(self):
            values.append(variable.get())

    server = await loop.create_server(Starter, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.send(b"x")
        while not values:
            await asyncio.sleep(0.001)
    server.close()
    await asyncio.sleep(0.005)
    assert values == ["of the connection"]

"""Datagrams that have arrived together: each comes as if it had come alone, whatever its predecessors did."""

import asyncio
import socket

import pytest

from tests.support.streams import turns, until

pytestmark = pytest.mark.all_drivers


class Acting(asyncio.DatagramProtocol):
    """Notes each datagram and does something with it."""

    def __init__(self, act=lambda transport, data, address: None):
        self.act = act
        self.log = []
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.log.append(data)
        self.act(self.transport, data, addr)

    def connection_lost(self, exc):
        self.ended.set_result(exc)


async def listening(loop, act=None, host="127.0.0.1"):
    arguments = () if act is None else (act,)
    transport, protocol = await loop.create_datagram_endpoint(lambda: Acting(*arguments), local_addr=(host, 0))
    return transport, protocol


@pytest.fixture
def senders():
    """Makes plain sockets that are closed at the end."""
    with_care = []

    def make(family=socket.AF_INET):
        with_care.append(socket.socket(family, socket.SOCK_DGRAM))
        with_care[-1].bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return with_care[-1]

    yield make
    for sock in with_care:
        sock.close()


def crowd(sender, transport, count):
    """So many datagrams are there before the loop looks."""
    for number in range(count):
        sender.sendto(b"%d" % number, transport.get_extra_info("sockname"))


def numbers(*span):
    return [b"%d" % number for number in range(*span)]


async def test_a_crowd_arrives_whole_and_in_order(loop, senders):
    transport, protocol = await listening(loop)
    for _ in range(3):
        crowd(senders(), transport, 100)
        await until(lambda: len(protocol.log) >= 100)
        assert protocol.log == numbers(100)
        protocol.log.clear()
    transport.abort()
    await protocol.ended


async def test_what_a_datagram_schedules_comes_before_the_next_one(loop, senders):  # T16
    """Many protocols set a future here, whose waiter then sets up the next one."""
    waiting = []

    def act(transport, data, address):
        waiting.pop().set_result(data)

    transport, protocol = await listening(loop, act)
    crowd(senders(), transport, 50)
    received = []
    async with asyncio.timeout(10):
        while len(received) < 50:
            waiting.append(loop.create_future())
            received.append(await waiting[-1])
    assert received == numbers(50)
    transport.abort()
    await protocol.ended


async def test_a_task_that_a_datagram_starts_begins_before_the_next_one(loop, senders):  # T16
    begun = []
    tasks = []

    async def answer(data):
        begun.append(data)

    def act(transport, data, address):
        assert len(begun) == len(tasks)
        tasks.append(loop.create_task(answer(data)))

    transport, protocol = await listening(loop, act)
    crowd(senders(), transport, 50)
    await until(lambda: len(tasks) == 50)
    await asyncio.gather(*tasks)
    assert begun == numbers(50)
    transport.abort()
    await protocol.ended


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_nothing_comes_after_the_end(loop, senders, end):  # R3
    transport, protocol = await listening(
        loop, lambda transport, data, address: getattr(transport, end)() if data == b"1" else None
    )
    crowd(senders(), transport, 5)
    await until(protocol.ended.done)
    assert protocol.log == numbers(2)


async def test_nothing_comes_while_reading_is_paused(loop, senders):  # R3
    transport, protocol = await listening(
        loop, lambda transport, data, address: transport.pause_reading() if data == b"1" else None
    )
    crowd(senders(), transport, 5)
    await until(lambda: len(protocol.log) >= 2)
    # The rest is there, and would come with the next turn.
    await turns(5)
    assert protocol.log == numbers(2)
    transport.resume_reading()
    await until(lambda: len(protocol.log) >= 5)
    assert protocol.log == numbers(5)
    transport.abort()
    await protocol.ended


async def test_the_next_datagram_is_for_the_next_protocol(loop, senders):  # R3
    heirs = []

    def act(transport, data, address):
        if data == b"1":
            heirs.append(Acting())
            heirs[0].connection_made(transport)
            transport.set_protocol(heirs[0])

    transport, protocol = await listening(loop, act)
    crowd(senders(), transport, 5)
    await until(lambda: heirs and len(heirs[0].log) >= 3)
    assert (protocol.log, heirs[0].log) == (numbers(2), numbers(2, 5))
    transport.abort()
    await heirs[0].ended


def test_stop_leaves_the_rest_for_the_next_run(loop, senders):
    transport, protocol = loop.run_until_complete(
        listening(loop, lambda transport, data, address: loop.stop() if data == b"1" else None)
    )
    crowd(senders(), transport, 5)
    loop.run_forever()
    assert protocol.log == numbers(2)
    loop.run_until_complete(until(lambda: len(protocol.log) >= 5))
    transport.abort()
    loop.run_until_complete(protocol.ended)


async def test_a_datagram_that_ends_the_run_is_the_last_of_it(loop, senders):
    """Whoever waits for it sees no later one."""

    def act(transport, data, address):
        if not first.done():
            first.set_result(len(protocol.log))

    first = loop.create_future()
    transport, protocol = await listening(loop, act)
    crowd(senders(), transport, 5)
    assert await first == 1
    assert protocol.log == numbers(1)
    transport.abort()
    await protocol.ended


async def test_a_datagram_that_is_not_taken_well_is_reported_and_the_next_one_comes(loop, senders, reported):  # R8
    def act(transport, data, address):
        raise ValueError(data)

    transport, protocol = await listening(loop, act)
    crowd(senders(), transport, 3)
    await until(lambda: len(protocol.log) >= 3)
    assert [str(context["exception"]) for context in reported] == [str(data) for data in numbers(3)]
    reported.clear()
    transport.abort()
    await protocol.ended


async def test_a_crowd_does_not_keep_others_waiting(loop, senders):
    """A socket that always has something, beside timers and another socket."""
    sender = senders()

    def again(transport, data, address):
        sender.sendto(data, transport.get_extra_info("sockname"))

    busy, protocol = await listening(loop, again)
    other, neighbour = await listening(loop)
    crowd(sender, busy, 10)
    await until(lambda: len(protocol.log) > 100)
    crowd(sender, other, 3)
    await until(lambda: len(neighbour.log) >= 3)
    busy.abort()
    other.abort()
    await asyncio.gather(protocol.ended, neighbour.ended)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["inet", "inet6"])
async def test_many_senders_are_told_apart_and_answered(loop, senders, family):
    """Their addresses are remembered, and there are more of them than are."""
    addresses = {}

    def act(transport, data, address):
        assert addresses.setdefault(data, address) == address
        transport.sendto(data, address)

    transport, protocol = await listening(loop, act, "::1" if family == socket.AF_INET6 else "127.0.0.1")
    ends = [senders(family) for _ in range(200)]
    target = transport.get_extra_info("sockname")
    for _ in range(2):
        for number, end in enumerate(ends):
            end.sendto(b"%d" % number, target)
            if number % 50 == 49:
                # Before the socket's buffer is full.
                await until(lambda last=number: len(protocol.log) > last)
        for number, end in enumerate(ends):
            end.settimeout(10)
            assert end.recv(100) == b"%d" % number
            assert addresses[b"%d" % number] == end.getsockname()
        protocol.log.clear()
    transport.abort()
    await protocol.ended


async def test_a_receiver_is_what_its_address_says_at_the_time(loop, senders):
    """An address that can change, or whose parts can, is looked at anew."""

    class Port(int):
        """One that says something else each time it is asked."""

    first, second = senders(), senders()
    transport, protocol = await listening(loop)
    for end in (first, second, first):
        host, port = end.getsockname()
        transport.sendto(b"plain", (host, port))
        transport.sendto(b"subclass", (host, Port(port)))
        end.settimeout(10)
        assert [end.recv(100), end.recv(100)] == [b"plain", b"subclass"]
    transport.abort()
    await protocol.ended

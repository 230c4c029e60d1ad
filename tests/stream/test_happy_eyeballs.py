"""Connecting to a name with several addresses, in turn and in a race (Happy Eyeballs, RFC 8305). # T8 # T20 # R5

The addresses of the name are what the test says: one that answers, one that refuses, one that lets the caller hang.
That every descriptor is closed is asserted for each test by a fixture; that it is closed once, by descriptors that take
over the numbers as they become free, and must stay what they are.
"""

import asyncio
import contextlib
import os
import socket
import sys
import time

import pytest

from tests.support.recorders import Recorder
from tests.support.streams import turns

LONG = 60
STEPS = range(30)


def entry(address):
    family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)


def resolve_to(loop, *addresses):
    async def resolve(*_args, **_options):
        return [entry(address) for address in addresses]

    loop.getaddrinfo = resolve


@contextlib.contextmanager
def hanging(family=socket.AF_INET6, count=1):
    """Addresses where connecting waits, since the queue is full and nobody empties it."""
    with contextlib.ExitStack() as opened:
        addresses = []
        for _ in range(count):
            listener = opened.enter_context(socket.socket(family))
            listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
            listener.listen(0)
            for _ in range(3):
                filler = opened.enter_context(socket.socket(family))
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            addresses.append(listener.getsockname())
        yield addresses if count > 1 else addresses[0]


def refusing(family=socket.AF_INET6):
    """An address where nobody listens."""
    with socket.socket(family) as sock:
        sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return sock.getsockname()


@contextlib.asynccontextmanager
async def answering(loop, host="127.0.0.1"):
    accepted = []

    def accept():
        accepted.append(Recorder())
        return accepted[-1]

    server = await loop.create_server(accept, host, 0)
    async with server:
        yield server.sockets[0].getsockname(), accepted
        for protocol in accepted:
            protocol.transport.abort()
        await turns(3)


async def connect(loop, **options):
    return await loop.create_connection(Recorder, "name.test", 1, **options)


async def drop(transport, protocol):
    transport.abort()
    await protocol.until("connection_lost")


async def test_an_address_that_hangs_is_passed_after_the_delay(loop):
    with hanging() as hung:
        async with answering(loop) as (address, _):
            resolve_to(loop, hung, address)
            begun = time.monotonic()
            transport, protocol = await connect(loop, happy_eyeballs_delay=0.05)
            assert time.monotonic() - begun >= 0.05
            assert transport.get_extra_info("peername") == address
            await drop(transport, protocol)


async def test_an_address_that_refuses_is_passed_at_once(loop):
    async with answering(loop) as (address, _):
        resolve_to(loop, refusing(), address)
        transport, protocol = await connect(loop, happy_eyeballs_delay=LONG)
        assert transport.get_extra_info("peername") == address
        await drop(transport, protocol)


async def test_without_a_delay_one_address_is_tried_after_the_other(loop):
    with hanging() as hung:
        async with answering(loop) as (address, _):
            resolve_to(loop, refusing(), hung, address)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connect(loop)
            resolve_to(loop, refusing(), address, hung)
            await drop(*await connect(loop))


async def test_the_first_address_wins_if_it_answers_within_the_delay(loop):
    async with answering(loop) as (first, taken), answering(loop) as (second, untouched):
        resolve_to(loop, first, second)
        transport, protocol = await connect(loop, happy_eyeballs_delay=LONG)
        assert transport.get_extra_info("peername") == first
        await drop(transport, protocol)
        await asyncio.sleep(0.01)
        assert len(taken) == 1
        assert untouched == []


async def test_of_two_that_answer_together_one_is_kept(loop):
    async with answering(loop) as (first, one), answering(loop) as (second, other):
        resolve_to(loop, first, second)
        transport, protocol = await connect(loop, happy_eyeballs_delay=0)
        transport.write(b"the one")
        winner = one if transport.get_extra_info("peername") == first else other
        await winner[0].until_data(7)
        for loser in other if winner is one else one:
            await loser.until("connection_lost")
        assert "connection_lost" not in winner[0].events
        await drop(transport, protocol)


V6, V4 = [("::1", port, 0, 0) for port in (1, 2, 3)], [("127.0.0.1", port) for port in (4, 5, 6)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [*V6, *V4]),
        ({"interleave": 1}, [V6[0], V4[0], V6[1], V4[1], V6[2], V4[2]]),
        ({"interleave": 2}, [V6[0], V6[1], V4[0], V6[2], V4[1], V4[2]]),
        ({"happy_eyeballs_delay": LONG}, [V6[0], V4[0], V6[1], V4[1], V6[2], V4[2]]),
        ({"happy_eyeballs_delay": 0}, [V6[0], V4[0], V6[1], V4[1], V6[2], V4[2]]),
        ({"happy_eyeballs_delay": LONG, "interleave": 0}, [*V6, *V4]),
        ({"happy_eyeballs_delay": LONG, "interleave": 3}, [*V6, *V4]),
    ],
    ids=str,
)
async def test_the_order_of_families_is_as_documented(loop, options, expected):
    tried = []

    async def refuse(_sock, address):
        tried.append(address)
        raise ConnectionRefusedError(f"refused by {address}")

    loop.sock_connect = refuse
    resolve_to(loop, *V6, *V4)
    with pytest.raises(OSError, match="Multiple exceptions") as caught:
        await connect(loop, **options)
    assert tried == expected
    assert all(str(address) in str(caught.value) for address in expected)


@pytest.mark.parametrize("delay", [None, 0, LONG])
async def test_all_that_failed_are_reported(loop, delay):
    addresses = [refusing(), refusing(socket.AF_INET), refusing()]
    resolve_to(loop, *addresses)
    with pytest.raises(OSError, match="Multiple exceptions") as caught:
        await connect(loop, happy_eyeballs_delay=delay)
    assert all(str(address[1]) in str(caught.value) for address in addresses)
    if sys.version_info >= (3, 12):
        with pytest.raises(ExceptionGroup) as group:
            await connect(loop, happy_eyeballs_delay=delay, all_errors=True)
        assert len(group.value.exceptions) == 3
        assert all(isinstance(error, ConnectionRefusedError) for error in group.value.exceptions)


async def test_a_race_that_nobody_wins_can_be_given_up(loop):
    with hanging(count=3) as hung, hanging(socket.AF_INET) as other:
        resolve_to(loop, *hung, other)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connect(loop, happy_eyeballs_delay=0.001)


class Watch:
    """Takes the numbers that become free, and sees whether they are taken away."""

    def __init__(self):
        self.nothing = os.open("/dev/null", os.O_RDONLY)
        self.same = os.fstat(self.nothing)
        self.taken = [self.nothing]

    def take(self, count=8):
        self.taken += [os.dup(self.nothing) for _ in range(count)]

    def end(self):
        for number in self.taken:
            assert os.path.sameopenfile(number, self.nothing), f"{number} was closed, and is another file now"
        for number in self.taken:
            os.close(number)


@pytest.mark.parametrize("delay", [None, 0, 0.001, LONG])
@pytest.mark.parametrize("names", ["refuse answer", "hang answer", "answer answer", "hang hang refuse answer"])
async def test_cancelled_at_any_point_each_socket_is_closed_once(loop, delay, names):  # uvloop#738
    with hanging(count=2) as hung:
        async with answering(loop) as (first, _), answering(loop) as (second, _):
            choices = {"answer": iter((first, second)), "hang": iter(hung), "refuse": iter((refusing(),))}
            resolve_to(loop, *(next(choices[name]) for name in names.split()))
            for steps in STEPS:
                watch = Watch()
                task = loop.create_task(connect(loop, happy_eyeballs_delay=delay))
                await turns(steps)
                task.cancel()
                await asyncio.wait([task])
                watch.take()
                if not task.cancelled():
                    task.result()[0].abort()
                for _ in range(4):
                    await turns(1)
                    watch.take()
                watch.end()


@pytest.mark.parametrize("steps", STEPS)
async def test_cancelled_while_the_name_is_looked_up_nothing_is_left(loop, steps):
    async with answering(loop) as (address, _):
        task = loop.create_task(loop.create_connection(Recorder, "localhost", address[1], family=socket.AF_INET))
        await turns(steps)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()[0].abort()
        await turns(4)

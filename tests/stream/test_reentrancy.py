"""Every callback may close, abort, write to, pause, or replace the protocol of any transport, or raise. # R2 # R3"""

import asyncio
import contextlib
import gc
import socket

import pytest

from tests.support.recorders import Recorder
from tests.support.streams import raw_pair, turns

CALLBACKS = (
    "connection_made",
    "data_received",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
)


def replace_protocol(transport, other):
    fresh = Recorder()
    fresh.transport = transport
    transport.set_protocol(fresh)


ACTIONS = {
    "close": lambda transport, other: transport.close(),
    "abort": lambda transport, other: transport.abort(),
    "write": lambda transport, other: transport.write(b"x" * 10),
    "write much": lambda transport, other: transport.write(b"x" * 3_000_000),
    "writelines": lambda transport, other: transport.writelines([b"x"] * 10),
    "write_eof": lambda transport, other: transport.write_eof(),
    "pause_reading": lambda transport, other: transport.pause_reading(),
    "pause and resume": lambda transport, other: (transport.pause_reading(), transport.resume_reading()),
    "set_protocol": replace_protocol,
    "ask": lambda transport, other: (
        transport.get_write_buffer_size(),
        transport.get_write_buffer_limits(),
        transport.is_closing(),
        transport.is_reading(),
        transport.get_protocol(),
        transport.get_extra_info("socket").fileno(),
        repr(transport),
    ),
    "lower the marks": lambda transport, other: transport.set_write_buffer_limits(0),
    "raise the marks": lambda transport, other: transport.set_write_buffer_limits(1 << 30),
    "close the other": lambda transport, other: other.close(),
    "abort the other": lambda transport, other: other.abort(),
    "write to the other": lambda transport, other: other.write(b"y" * 10),
    "collect garbage": lambda transport, other: gc.collect(),
    "raise": lambda transport, other: broken(),
}


def broken():
    raise LookupError("raised by the callback")


class Acting(Recorder):
    """Acts once, inside one callback."""

    def __init__(self, callback, action, other):
        super().__init__()
        self.callback, self.action, self.other = callback, action, other
        self.acted = 0

    def act(self, callback):
        if callback == self.callback and not self.acted:
            self.acted += 1
            self.action(self.transport, self.other)


def with_action(name):
    def method(self, *args):
        result = getattr(Recorder, name)(self, *args)
        self.act(name)
        return result

    return method


for name in CALLBACKS:
    setattr(Acting, name, with_action(name))


@pytest.mark.only_tulipa  # asyncio fails in a dozen of these, others in each version
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("callback", CALLBACKS)
async def test_a_callback_may_do_what_it_likes(loop, reported, callback, action):
    other_left, other_right = raw_pair("unix")
    other, other_protocol = await loop.create_connection(Recorder, sock=other_left)
    left, right = raw_pair("unix")
    with right, other_right:
        transport, protocol = await loop.create_connection(lambda: Acting(callback, ACTIONS[action], other), sock=left)
        with contextlib.suppress(BrokenPipeError):
            right.send(b"some data")
        if not transport.is_closing():
            try:
                transport.write(bytes(1_000_000))
            except RuntimeError:  # after write_eof
                pass
        await turns(3)
        received = 0
        right.shutdown(socket.SHUT_WR)
        for _ in range(50):
            try:
                while data := right.recv(1 << 20):
                    received += len(data)
            except (BlockingIOError, ConnectionResetError):
                pass
            await asyncio.sleep(0)
        transport.resume_reading()
        await turns(3)
        transport.abort() if not transport.is_closing() else transport.close()
        right.close()
        for _ in range(10):
            await asyncio.sleep(0)
            if "connection_lost" in transport.get_protocol().events if transport.get_protocol() else True:
                break
        if action != "set_protocol":
            await protocol.until("connection_lost")
            assert protocol.events.count("connection_made") == 1
            assert protocol.events.count("connection_lost") == 1
            assert protocol.events[-1] == "connection_lost"
        other.abort() if not other.is_closing() else None
        await other_protocol.until("connection_lost")
        assert all(isinstance(context.get("exception"), (LookupError, RuntimeError)) for context in reported), reported
        reported.clear()
        await turns(2)
        reported.clear()


@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_callback_may_stop_the_loop(loop, callback):
    left, right = raw_pair("unix")

    async def connect():
        return await loop.create_connection(
            lambda: Acting(callback, lambda transport, other: loop.stop(), None), sock=left
        )

    with right:
        task = loop.create_task(connect())
        if callback == "connection_made":
            loop.run_forever()
        transport, protocol = loop.run_until_complete(task)
        right.send(b"x")
        transport.write(bytes(3_000_000))
        right.shutdown(socket.SHUT_WR)

        def drain():
            try:
                while right.recv(1 << 20):
                    pass
            except BlockingIOError:
                loop.call_soon(drain)

        loop.call_soon(drain)
        for _ in range(3):
            if protocol.acted:
                break
            loop.run_forever()
        assert protocol.acted
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.run_until_complete(protocol.until("connection_lost"))
        loop.run_until_complete(turns(2))


@pytest.mark.parametrize("callback", CALLBACKS)
def test_closing_the_running_loop_in_a_callback_is_refused_and_harmless(loop, callback):
    errors = []
    left, right = raw_pair("unix")

    def close_loop(transport, other):
        try:
            loop.close()
        except RuntimeError as error:
            errors.append(str(error))

    async def main():
        transport, protocol = await loop.create_connection(lambda: Acting(callback, close_loop, None), sock=left)
        right.send(b"x")
        transport.write(bytes(3_000_000))
        right.shutdown(socket.SHUT_WR)
        while "connection_lost" not in protocol.events:
            try:
                while right.recv(1 << 20):
                    pass
            except BlockingIOError:
                pass
            await asyncio.sleep(0)

    with right:
        loop.run_until_complete(main())
    assert len(errors) == 1
    assert "running" in errors[0]


@pytest.mark.parametrize("callback", ["connection_made", "data_received", "pause_writing"])
def test_a_loop_stopped_in_a_callback_and_closed_with_open_transports(loop_factory, callback):
    """The program gives up from within a callback: no crash, no hang, and the descriptors are given back."""
    import warnings

    loop = loop_factory()
    left, right = raw_pair("unix")

    async def connect(sock):
        return await loop.create_connection(
            lambda: Acting(callback, lambda transport, other: loop.stop(), None), sock=sock
        )

    with right, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = loop.create_task(connect(left))
        if callback == "connection_made":
            loop.run_forever()
        transport, protocol = loop.run_until_complete(task)
        right.send(b"x")
        transport.write(bytes(3_000_000))
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        del transport, protocol, task, left
        gc.collect()


async def test_data_received_may_replace_the_protocol_for_what_follows(loop):
    second = Recorder()

    class First(Recorder):
        def data_received(self, data):
            super().data_received(data)
            second.transport = self.transport
            self.transport.set_protocol(second)

    left, right = raw_pair("tcp")
    with right:
        transport, first = await loop.create_connection(First, sock=left)
        await loop.sock_sendall(right, b"first")
        await first.until_data(5)
        await loop.sock_sendall(right, b"second")
        await second.until_data(6)
        right.close()
        await second.until("connection_lost")
        assert first.events == ["connection_made", "data_received"]
        assert second.events == ["data_received", "eof_received", "connection_lost"]


async def test_two_transports_that_close_each_other_in_data_received(loop):
    one_left, one_right = raw_pair("tcp")
    two_left, two_right = raw_pair("tcp")

    class Closer(Recorder):
        victim = None

        def data_received(self, data):
            super().data_received(data)
            self.victim.abort()

    one, first = await loop.create_connection(Closer, sock=one_left)
    two, second = await loop.create_connection(Closer, sock=two_left)
    first.victim, second.victim = two, one
    with one_right, two_right:
        one_right.send(b"x")
        two_right.send(b"x")
        await asyncio.sleep(0.001)
        assert len(first.data) + len(second.data) == 1, "an aborted transport received data"
        for transport in (one, two):
            transport.abort() if not transport.is_closing() else None
        await first.until("connection_lost")
        await second.until("connection_lost")


async def test_an_exception_in_data_received_closes_the_connection_and_is_reported(loop, reported):
    class Broken(Recorder):
        def data_received(self, data):
            raise LookupError("data_received")

    left, right = raw_pair("tcp")
    with right:
        transport, protocol = await loop.create_connection(Broken, sock=left)
        right.send(b"x")
        await protocol.until("connection_lost")
        assert isinstance(protocol.error, LookupError)
    context = reported.pop()
    assert str(context["exception"]) == "data_received"
    assert context["transport"] is transport
    assert context["protocol"] is protocol


async def test_an_exception_in_connection_made_is_reported_and_the_connection_stays(loop, reported):
    class Broken(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise LookupError("connection_made")

    left, right = raw_pair("tcp")
    with right:
        transport, protocol = await loop.create_connection(Broken, sock=left)
        right.send(b"x")
        await protocol.until_data(1)
        transport.close()
        await protocol.until("connection_lost")
    assert str(reported.pop()["exception"]) == "connection_made"


async def test_an_exception_in_connection_lost_is_reported_and_the_descriptor_closed(loop, reported):
    class Broken(Recorder):
        def connection_lost(self, error):
            super().connection_lost(error)
            raise LookupError("connection_lost")

    left, right = raw_pair("tcp")
    with right:
        transport, protocol = await loop.create_connection(Broken, sock=left)
        transport.close()
        await protocol.until("connection_lost")
        await turns(2)
        assert await loop.sock_recv(right, 1) == b""
    assert str(reported.pop()["exception"]) == "connection_lost"

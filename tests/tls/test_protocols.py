"""Protocols on TLS: both kinds, changed in mid-stream, misbehaving, ending things from their callbacks. # T43 # T46"""

import asyncio
import contextvars

import pytest

from tests.support.recorders import BufferedRecorder, Recorder
from tests.support.streams import turns
from tests.support.tls import abandon, end_and_peer, handshake, lost, sides, tls_pair, write_until_paused

CALLBACKS = ["connection_made", "data_received", "eof_received", "pause_writing", "resume_writing", "connection_lost"]


class Viewing(BufferedRecorder):
    """`ssl` slices what it gets, and the slice of a bytearray is a copy; so asyncio needs a view."""

    def get_buffer(self, sizehint):
        assert isinstance(sizehint, int)
        return memoryview(self.buffer)


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
async def test_buffered_protocols(loop, size):
    data = bytes(range(256)) * (4 if size == 1 else 400)
    async with tls_pair(loop, factory=lambda: Viewing(size)) as pair:
        for near, far in (pair.seen_from("client"), pair.seen_from("server")):
            near.transport.write(data)
            await far.protocol.until_data(len(data))
            assert far.protocol.data == data
        pair.client.transport.close()
        await lost(pair.client.protocol, pair.server.protocol)
        assert pair.server.protocol.events == ["connection_made", "buffer_updated", "eof_received", "connection_lost"]


async def test_a_buffered_protocol_may_give_a_bytearray(loop):
    data = bytes(range(256)) * 400
    async with tls_pair(loop, factory=lambda: BufferedRecorder(1000)) as pair:
        pair.client.transport.write(data)
        await pair.server.protocol.until_data(len(data))
        assert pair.server.protocol.data == data


@pytest.mark.parametrize("what", [b"", b"read-only", None, 5], ids=["empty", "read-only", "none", "number"])
async def test_a_buffered_protocol_that_gives_no_buffer(loop, reported, what):
    class Giving(Recorder, asyncio.BufferedProtocol):
        def get_buffer(self, sizehint):
            return what

        def buffer_updated(self, count):
            raise AssertionError("there is no buffer")

    outcomes = await handshake(loop, factory=Recorder, server_factory=Giving)
    transports = [outcome[0] for outcome in outcomes]
    transports[0].write(b"hello")
    if what != b"":  # which asyncio takes for an end of file
        await lost(outcomes[1][1])
        assert isinstance(outcomes[1][1].error, (TypeError, BufferError, RuntimeError))
    await abandon(*transports)
    assert outcomes[1][1].events.count("connection_lost") == 1
    reported.clear()


@pytest.mark.parametrize("buffered", [False, True], ids=["to the same kind", "to the other kind"])
async def test_another_protocol_in_mid_stream(loop, buffered):
    async with end_and_peer(loop) as (end, peer):
        await peer.write(b"first")
        await end.protocol.until_data(5)
        second = Viewing(100) if buffered else Recorder()
        end.transport.set_protocol(second)
        assert end.transport.get_protocol() is second
        await peer.write(b"second")
        await second.until_data(6)
        assert (end.protocol.data, second.data) == (b"first", b"second")
        peer.say_goodbye()
        await peer.send()
        await lost(second)
        assert "connection_made" not in second.events
        assert "connection_lost" not in end.protocol.events


async def test_another_protocol_from_a_callback_gets_the_next_record(loop):
    """What was decrypted together is one piece and belongs to the first; what comes later is the second's."""
    second = Recorder()

    class Changing(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.set_protocol(second)

    async with end_and_peer(loop, factory=Changing) as (end, peer):
        await peer.write(b"first")
        await end.protocol.until_data(5)
        await peer.write(b"second")
        await second.until_data(6)
        assert (end.protocol.data, second.data) == (b"first", b"second")


async def test_another_protocol_of_the_other_kind_from_a_callback(loop):
    second = Recorder()

    class Changing(Viewing):
        def buffer_updated(self, count):
            super().buffer_updated(count)
            self.transport.set_protocol(second)

    async with end_and_peer(loop, factory=lambda: Changing(100)) as (end, peer):
        await peer.write(b"first")
        await end.protocol.until_data(5)
        await peer.write(b"second")
        await second.until_data(6)


@sides
async def test_data_received_that_raises_ends_the_connection(loop, side, reported):
    class Failing(Recorder):
        def data_received(self, data):
            raise LookupError("in data_received")

    async with end_and_peer(loop, side, factory=Failing) as (end, peer):
        await peer.write(b"x")
        await lost(end.protocol)
        assert isinstance(end.protocol.error, LookupError)
        assert not await ended_properly(peer)
    (report,) = reported
    reported.clear()
    assert isinstance(report["exception"], LookupError)


async def ended_properly(peer):
    try:
        await peer.goodbye_comes()
    except ConnectionError:
        return False
    return True


async def test_buffer_updated_that_raises_ends_the_connection(loop, reported):
    class Failing(Viewing):
        def buffer_updated(self, count):
            raise LookupError("in buffer_updated")

    async with end_and_peer(loop, factory=lambda: Failing(100)) as (end, peer):
        await peer.write(b"x")
        await lost(end.protocol)
        assert isinstance(end.protocol.error, LookupError)
    (report,) = reported
    reported.clear()
    assert isinstance(report["exception"], LookupError)


async def test_eof_received_that_raises_ends_the_connection(loop, reported):
    class Failing(Recorder):
        def eof_received(self):
            raise LookupError("in eof_received")

    async with end_and_peer(loop, factory=Failing) as (end, peer):
        peer.say_goodbye()
        await peer.send()
        await lost(end.protocol)
        assert isinstance(end.protocol.error, LookupError)
        assert end.protocol.events.count("connection_lost") == 1
    (report,) = reported
    reported.clear()
    assert isinstance(report["exception"], LookupError)


@sides
async def test_connection_made_that_raises(loop, side, reported):
    """Somebody hears of it, and nothing stays open."""

    class Failing(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise LookupError("in connection_made")

    class Plain(Recorder):
        pass

    factories = {"factory": Failing, "server_factory": Plain} if side == "client" else {
        "factory": Plain, "server_factory": Failing,
    }  # fmt: skip
    task = asyncio.ensure_future(
        handshake(
            loop,
            **factories,
            client_options={"ssl_handshake_timeout": 0.2},
            server_options={"ssl_handshake_timeout": 0.2},
        )
    )
    done, _ = await asyncio.wait([task], timeout=2)
    assert done
    outcomes = task.result()
    heard = [*(report["exception"] for report in reported), *outcomes]
    reported.clear()
    await abandon(*(outcome[0] for outcome in outcomes if isinstance(outcome, tuple)))
    assert any(isinstance(error, LookupError) for error in heard)


async def test_connection_lost_that_raises_is_reported(loop, reported):
    class Failing(Recorder):
        def connection_lost(self, error):
            super().connection_lost(error)
            raise LookupError("in connection_lost")

    async with tls_pair(loop, factory=Failing, server_factory=Recorder) as pair:
        pair.client.transport.close()
        await lost(pair.client.protocol, pair.server.protocol)
        await turns(2)
    (report,) = reported
    reported.clear()
    assert isinstance(report["exception"], LookupError)


@pytest.mark.parametrize("which", ["pause_writing", "resume_writing"])
async def test_flow_control_callbacks_that_raise_are_reported_and_no_more(loop, reported, which):
    class Failing(Recorder):
        def note(self, event):
            super().note(event)
            if event == which:
                raise LookupError(which)

    async with tls_pair(loop, factory=Failing, server_factory=Recorder) as pair:
        pair.server.transport.pause_reading()
        await write_until_paused(pair.client)
        pair.server.transport.resume_reading()
        await pair.client.protocol.until("resume_writing")
        await turns(2)
        reports = [report["exception"] for report in reported]
        reported.clear()
        assert reports
        assert all(isinstance(error, LookupError) for error in reports)
        pair.server.transport.write(b"still there")
        await pair.client.protocol.until_data(11)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["connection_made", "data_received", "eof_received", "connection_lost"])
def test_an_interrupt_in_a_callback_comes_out_of_the_run(loop, run, reported, kind, where):  # T43
    """It goes through to who runs the loop; the connection can still be ended, once."""

    made = []

    class Kept(Recorder):
        def __init__(self):
            super().__init__()
            made.append(self)

    class Interrupted(Kept):
        armed = True

        def note(self, event):
            super().note(event)
            if event == where and self.armed:
                type(self).armed = False
                raise kind(where)

    async def provoke():
        outcomes = await handshake(loop, factory=Interrupted, server_factory=Kept)
        (_, protocol), (transport, _) = outcomes
        transport.write(b"x")
        await protocol.until_data(1)
        transport.close()
        await lost(protocol)
        await turns(5)

    task = loop.create_task(provoke())
    with pytest.raises(kind, match=where):
        loop.run_until_complete(task)

    async def finish():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await turns(5)
        await abandon(*(protocol.transport for protocol in made if protocol.transport is not None))

    run(finish())
    reported.clear()


@pytest.mark.parametrize("action", ["close", "abort", "write", "write and close", "write and abort", "pause", "resume"])
@pytest.mark.parametrize("where", CALLBACKS)
async def test_any_action_in_any_callback(loop, where, action):
    """Each callback may do anything with its transport: no crash, no hang, connection_lost once."""

    class Acting(Recorder):
        def note(self, event):
            super().note(event)
            if event != where or self.events.count(where) > 1:
                return
            if "write" in action:
                self.transport.write(b"from the callback")
            if "close" in action:
                self.transport.close()
            elif "abort" in action:
                self.transport.abort()
            elif action == "pause":
                self.transport.pause_reading()
                asyncio.get_running_loop().call_soon(self.transport.resume_reading)
            elif action == "resume":
                self.transport.resume_reading()

    async with end_and_peer(loop, "server", factory=Acting) as (end, peer):
        if "connection_lost" not in end.protocol.events:
            end.transport.write(bytes(2_000_000))
        reading = asyncio.ensure_future(read_all(peer))
        if not end.transport.is_closing():
            peer.object.write(b"hello")
            peer.say_goodbye()
            try:
                await peer.send()
            except ConnectionError:
                assert end.transport.is_closing()
        await reading
        peer.sock.close()
        await lost(end.protocol)
        await turns(3)
        assert end.protocol.events.count("connection_lost") == 1
        assert end.protocol.events[-1] == "connection_lost"


async def read_all(peer):
    """Whatever comes, until the other end is gone or has said goodbye."""
    try:
        return len(await peer.read(1 << 30))
    except (ConnectionError, OSError):
        return 0


async def test_pausing_in_data_received_stops_the_data(loop):
    class Pausing(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async with end_and_peer(loop, factory=Pausing) as (end, peer):
        await peer.write(b"one")
        await end.protocol.until_data(3)
        await peer.write(b"two")
        await asyncio.sleep(0.01)
        assert end.protocol.data == b"one"
        end.transport.resume_reading()
        await end.protocol.until_data(6)


async def test_echoing_from_the_callback(loop):
    class Echo(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(data)

    async with tls_pair(loop, factory=Recorder, server_factory=Echo) as pair:
        data = bytes(range(256)) * 20_000
        pair.client.transport.write(data)
        await pair.client.protocol.until_data(len(data))
        assert pair.client.protocol.data == data


@sides
async def test_callbacks_run_in_the_context_of_the_connection(loop, side):  # T18
    """A context variable that was set where the connection was made is seen in connection_made."""
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    class Looking(Recorder):
        def connection_made(self, transport):
            seen.append(variable.get())
            super().connection_made(transport)

    variable.set("set")
    async with end_and_peer(loop, side, factory=Looking):
        assert seen == ["set"]

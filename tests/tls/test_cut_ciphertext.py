"""Properties: however the ciphertext is cut, merged and delayed, what arrives is what was sent. # G8 # R4 # T43

The wire is a pair of transports in memory, whose deliveries hypothesis chooses; nothing depends on time.
"""

import asyncio
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.certificates import NAME
from tests.support.memory_transport import CompatibleTransport, memory_pair
from tests.support.properties import contexts, property_test
from tests.support.recorders import BufferedRecorder, Recorder
from tests.support.streams import turns
from tests.support.tls import TLS13, abandon, versions

# How many bytes each delivery carries: 0 lets a turn pass without one.
cuts = st.lists(st.one_of(st.integers(0, 7), st.integers(0, 300), st.just(1 << 20)), min_size=1, max_size=12)
sizes_of_messages = st.lists(st.integers(0, 40) | st.integers(1, 40_000), max_size=6)


def messages(sizes):
    """Messages of these sizes; no two pieces of them look the same."""
    flow = b"".join(b"%d," % number for number in range(sum(sizes) // 2 + 1))
    return [flow[sum(sizes[:at]) :][:size] for at, size in enumerate(sizes)]


class Cutting:
    """Carries as many bytes as the list says, over and over; at least one in each round, and twice as many after some.

    So it ends soon, however much there is to carry.
    """

    def __init__(self, sizes):
        self._sizes = [*sizes, 1]
        self._count = 0

    def __call__(self, available):
        rounds, at = divmod(self._count, len(self._sizes))
        self._count += 1
        return self._sizes[at] << (rounds // 8)


class Viewing(BufferedRecorder):
    def get_buffer(self, sizehint):
        return memoryview(self.buffer)


async def connect(loop, version, there, back, factory=Recorder):
    """Both ends of TLS over a wire: ((transport, protocol), (transport, protocol)), and the ends of the wire."""
    protocols = factory(), factory()
    wire = memory_pair(loop, *protocols, CompatibleTransport, Cutting(there), Cutting(back))
    client, server = contexts(version)
    transports = await asyncio.gather(
        loop.start_tls(wire[0], protocols[0], client, server_hostname=NAME),
        loop.start_tls(wire[1], protocols[1], server, server_side=True),
    )
    return list(zip(transports, protocols, strict=True)), wire


@versions
@pytest.mark.parametrize("factory", [Recorder, Viewing], ids=["data_received", "get_buffer"])
def test_what_arrives_is_what_was_sent(loop, run, version, factory):
    @property_test
    @given(cuts, cuts, sizes_of_messages, sizes_of_messages, st.booleans())
    def holds(there, back, said, answered, merged):
        said, answered = messages(said), messages(answered)

        async def scenario():
            (client, server), wire = await connect(loop, version, there, back, factory)
            for message in said:
                client[0].write(message)
                await turns(0 if merged else 1)
            for message in answered:
                server[0].write(message)
            await server[1].until_data(len(b"".join(said)))
            await client[1].until_data(len(b"".join(answered)))
            server[0].close()
            await client[1].until("connection_lost")
            await server[1].until("connection_lost")
            assert server[1].data == b"".join(said)
            assert client[1].data == b"".join(answered)
            assert client[1].error is server[1].error is None
            assert all(end.is_closing() for end in wire)

        run(scenario())

    holds()


@versions
def test_every_place_to_cut_the_stream_once(loop, run, version):
    """The whole conversation, from the hello to the goodbye, cut in two pieces at each byte in turn."""

    async def conversation(there, back):
        (client, server), wire = await connect(loop, version, [1 << 20], [1 << 20])
        client[0].write(b"question")
        await server[1].until_data(8)
        server[0].write(b"answer")
        server[0].close()
        await client[1].until("connection_lost")
        await server[1].until("connection_lost")
        return wire[0].carried, wire[1].carried

    class CutAt:
        def __init__(self, place):
            self.left = place

        def __call__(self, available):
            if self.left is None or available < self.left:
                if self.left is not None:
                    self.left -= available
                return available
            count, self.left = self.left, None
            return count

    async def cut(direction, place):
        protocols = Recorder(), Recorder()
        carry = [lambda available: available, lambda available: available]
        carry[direction] = CutAt(place)
        wire = memory_pair(loop, *protocols, CompatibleTransport, *carry)
        client, server = contexts(version)
        transports = await asyncio.gather(
            loop.start_tls(wire[0], protocols[0], client, server_hostname=NAME),
            loop.start_tls(wire[1], protocols[1], server, server_side=True),
        )
        transports[0].write(b"question")
        await protocols[1].until_data(8)
        transports[1].write(b"answer")
        transports[1].close()
        for protocol in protocols:
            await protocol.until("connection_lost")
            assert protocol.error is None
        assert (protocols[0].data, protocols[1].data) == (b"answer", b"question")

    lengths = run(conversation(None, None))
    # Each byte where small records follow each other; of the certificates, one in a while is enough.
    for direction, length in enumerate(lengths):
        for place in sorted({*range(1, length, 41), *range(1, 20), *range(max(1, length - 90), length)}):
            run(cut(direction, place))


def test_closing_at_any_point_hangs_nobody(loop, run):
    """One end closes or aborts after some turns, whatever is under way: both protocols hear of the end, once."""

    @property_test
    @given(
        cuts,
        cuts,
        sizes_of_messages,
        sizes_of_messages,
        st.integers(0, 40),
        st.sampled_from(["close", "abort"]),
        st.integers(0, 1),
    )
    def holds(there, back, said, answered, delay, method, who):
        said, answered = messages(said), messages(answered)

        async def scenario():
            ends, wire = await connect(loop, TLS13, there, back)
            (client, server) = ends
            for message in said:
                client[0].write(message)
            for message in answered:
                server[0].write(message)
            await turns(delay)
            getattr(ends[who][0], method)()
            for _, protocol in ends:
                await protocol.until("connection_lost")
            await turns(3)
            for (_, protocol), sent in zip(ends, (answered, said), strict=True):
                assert protocol.events.count("connection_lost") == 1
                assert b"".join(sent).startswith(protocol.data)
            if method == "close":
                assert ends[1 - who][1].data == b"".join((said, answered)[who])

        run(scenario())

    holds()


def test_a_wire_that_is_cut_during_the_handshake_hangs_nobody(loop, run, reported):
    """The wire ends after so many bytes in one direction: `start_tls` fails on both ends, or what was made ends."""

    @property_test
    @given(st.integers(0, 2000), st.integers(0, 1), cuts)
    def holds(limit, direction, sizes):
        async def scenario():
            protocols = Recorder(), Recorder()
            wire = memory_pair(loop, *protocols, CompatibleTransport, Cutting(sizes), Cutting(sizes))
            left = limit

            def cutting(data):
                nonlocal left
                kept, left = data[:left], max(0, left - len(data))
                if not left:
                    loop.call_soon(wire[direction].write_eof)
                return kept

            wire[direction].touch = cutting
            client, server = contexts(TLS13)
            outcomes = await asyncio.gather(
                loop.start_tls(wire[0], protocols[0], client, server_hostname=NAME),
                loop.start_tls(wire[1], protocols[1], server, server_side=True),
                return_exceptions=True,
            )
            for outcome in outcomes:
                assert isinstance(outcome, (asyncio.Transport, OSError))
            await abandon(*(outcome for outcome in outcomes if isinstance(outcome, asyncio.Transport)))
            for end, protocol in zip(wire, protocols, strict=True):
                assert end.is_closing()
                assert protocol.events.count("connection_lost") <= 1

        run(scenario())

    holds()
    reported.clear()


def test_readers_that_pause_get_everything(loop, run):
    @property_test
    @given(cuts, st.lists(st.integers(0, 5), min_size=1, max_size=6), sizes_of_messages)
    def holds(there, pauses, said):
        said = messages(said)

        class Pausing(Recorder):
            waits = cycle(pauses)

            def data_received(self, data):
                super().data_received(data)
                self.transport.pause_reading()
                loop.create_task(self.resume(next(self.waits)))

            async def resume(self, wait):
                await turns(wait)
                self.transport.resume_reading()

        async def scenario():
            (client, server), _ = await connect(loop, TLS13, there, [1 << 20], Pausing)
            for transport, protocol in (client, server):
                protocol.transport = transport
            for message in said:
                client[0].write(message)
            client[0].close()
            await server[1].until("connection_lost")
            await client[1].until("connection_lost")
            assert server[1].data == b"".join(said)

        run(scenario())

    holds()

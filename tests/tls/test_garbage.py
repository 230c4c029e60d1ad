"""Properties: garbage and changed bits at every state give an error, never a hang, a crash or false data. # R8 # G8"""

import asyncio
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.certificates import NAME
from tests.support.memory_transport import CompatibleTransport, memory_pair
from tests.support.properties import contexts, property_test
from tests.support.recorders import Recorder
from tests.support.streams import turns
from tests.support.tls import abandon, versions

QUIET_TURNS = 60


class Harm:
    """Changes what passes from one place of the stream on: flips a bit, or puts something in."""

    def __init__(self, place, change):
        self.place, self.change, self.passed, self.done = place, change, 0, False

    def __call__(self, data):
        at = self.place - self.passed
        self.passed += len(data)
        if self.done or at >= len(data):
            return data
        self.done = True
        if isinstance(self.change, int):
            changed = bytearray(data)
            changed[at] ^= 1 << self.change
            return bytes(changed)
        return data[:at] + self.change + data[at:]


changes = st.one_of(
    st.integers(0, 7),
    st.binary(min_size=1, max_size=50),
    # Well-formed records of each type, in the clear where they do not belong.
    st.sampled_from([20, 21, 22, 23, 24, 99]).flatmap(
        lambda kind: st.binary(max_size=20).map(lambda body: bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body)
    ),
)


async def conversation(loop, version, direction, harm):
    """Hello to goodbye over a wire that does harm; at last the wire ends, so that nobody waits for what is lost."""
    protocols = Recorder(), Recorder()
    wire = memory_pair(loop, *protocols, CompatibleTransport)
    wire[direction].touch = harm
    client, server = contexts(version)
    upgrades = [
        asyncio.ensure_future(loop.start_tls(wire[0], protocols[0], client, server_hostname=NAME)),
        asyncio.ensure_future(loop.start_tls(wire[1], protocols[1], server, server_side=True)),
    ]
    talk = asyncio.ensure_future(speak(upgrades, protocols))
    await turns(QUIET_TURNS)
    for end in wire:
        end.write_eof()
    outcomes = await asyncio.gather(*upgrades, return_exceptions=True)
    await talk
    return wire, protocols, outcomes


async def speak(upgrades, protocols):
    outcomes = await asyncio.gather(*upgrades, return_exceptions=True)
    if all(isinstance(outcome, asyncio.Transport) for outcome in outcomes):
        outcomes[0].write(b"question")
        outcomes[1].write(b"answer")
        await turns(10)
        outcomes[0].close()


def is_proper(error):
    return isinstance(error, (ssl.SSLError, ConnectionError))


@versions
@pytest.mark.parametrize("direction", [0, 1], ids=["to the server", "to the client"])
def test_harm_anywhere(loop, run, reported, version, direction):
    @property_test
    @given(st.integers(0, 2500), changes)
    def holds(place, change):
        async def scenario():
            harm = Harm(place, change)
            wire, protocols, outcomes = await conversation(loop, version, direction, harm)
            for outcome, protocol in zip(outcomes, protocols, strict=True):
                assert isinstance(outcome, asyncio.Transport) or is_proper(outcome), outcome
                if isinstance(outcome, asyncio.Transport):
                    await protocol.until("connection_lost")
                    assert protocol.error is None or is_proper(protocol.error), protocol.error
            await turns(5)
            for protocol in protocols:
                assert protocol.events.count("connection_lost") <= 1
            # What was delivered is what was sent, or the beginning of it.
            assert b"answer".startswith(protocols[0].data)
            assert b"question".startswith(protocols[1].data)
            for end in wire:
                assert end.is_closing()
            await abandon(*(outcome for outcome in outcomes if isinstance(outcome, asyncio.Transport)))

        run(scenario())
        assert all(is_proper(report.get("exception")) for report in reported), reported
        reported.clear()

    holds()


@pytest.mark.parametrize("side", ["client", "server"])
def test_garbage_instead_of_a_handshake(loop, run, reported, side):
    """Any bytes, whole or in pieces, then the end: an SSLError or a ConnectionError."""

    @property_test
    @given(st.lists(st.binary(min_size=1, max_size=200), max_size=5))
    def holds(pieces):
        async def scenario():
            protocol, stranger = Recorder(), Recorder()
            near, far = memory_pair(loop, protocol, stranger, CompatibleTransport)
            client, server = contexts(ssl.TLSVersion.TLSv1_3)
            upgrade = asyncio.ensure_future(
                loop.start_tls(near, protocol, client, server_hostname=NAME)
                if side == "client"
                else loop.start_tls(near, protocol, server, server_side=True)
            )
            for piece in pieces:
                await turns(2)
                far.write(piece)
            far.close()
            (outcome,) = await asyncio.gather(upgrade, return_exceptions=True)
            assert is_proper(outcome), outcome
            await turns(5)
            assert near.is_closing()
            assert protocol.events.count("connection_lost") <= 1

        run(scenario())

    holds()
    assert reported == []


@versions
@pytest.mark.parametrize("state", ["open", "paused", "closing", "closing with data"])
def test_garbage_in_each_state(loop, run, reported, version, state):
    @property_test
    @given(st.binary(min_size=1, max_size=100))
    def holds(garbage):
        async def scenario():
            protocols = Recorder(), Recorder()
            wire = memory_pair(loop, *protocols, CompatibleTransport)
            client, server = contexts(version)
            transports = await asyncio.gather(
                loop.start_tls(wire[0], protocols[0], client, server_hostname=NAME),
                loop.start_tls(wire[1], protocols[1], server, server_side=True),
            )
            transports[1].write(b"said")
            await protocols[0].until_data(4)
            # From here on the server's words are replaced.
            if state == "paused":
                transports[0].pause_reading()
            elif state.startswith("closing"):
                wire[1].pause_reading()
                if "data" in state:
                    transports[0].write(bytes(100_000))
                transports[0].close()
            wire[1].write(garbage)
            await turns(4)
            if state == "paused":
                transports[0].resume_reading()
            wire[1].write_eof()
            wire[1].resume_reading()
            await protocols[0].until("connection_lost")
            assert protocols[0].error is None or is_proper(protocols[0].error)
            assert protocols[0].data == b"said"
            assert protocols[0].events.count("connection_lost") == 1
            await abandon(*transports)

        run(scenario())
        assert all(is_proper(report.get("exception")) for report in reported), reported
        reported.clear()

    holds()

"""What arrives in large pieces, and in large and small ones by turns. # G10 # T13"""

import asyncio
import socket
import sys

import pytest

from tests.support.recorders import Recorder
from tests.support.streams import KINDS, transport_and_peer, turns, until

pytestmark = pytest.mark.all_drivers
kinds = pytest.mark.parametrize("kind", KINDS)

KIB = 1024
# On both sides of each size at which reading goes another way, up and down.
SIZES = [1, 16 * KIB - 1] + [size * KIB for size in (16, 20, 112, 119, 120, 121, 256, 257, 700)]
SIZES += SIZES[::-1] + [100 * KIB, 3, 130 * KIB, 70 * KIB, 300 * KIB, 5]


def pattern(size, seed):
    """So many bytes, in which no stretch is like another."""
    return bytes((seed + number * number % 251) % 256 for number in range(997)) * (size // 997 + 1)


class Pieces(asyncio.Protocol):
    def __init__(self):
        self.pieces = []
        self.size = 0

    def data_received(self, data):
        self.pieces.append(data)
        self.size += len(data)


@kinds
async def test_what_arrives_is_what_was_sent(loop, kind):
    async with transport_and_peer(loop, kind, factory=Pieces) as (_, protocol, peer):
        for seed, size in enumerate(SIZES):
            message = pattern(size, seed)[:size]
            before = protocol.size
            await loop.sock_sendall(peer, message)
            await until(lambda before=before, size=size: protocol.size == before + size)
            assert b"".join(protocol.pieces) == message
            assert all(type(piece) is bytes for piece in protocol.pieces)
            protocol.pieces.clear()


@kinds
async def test_an_object_of_what_arrived_is_no_greater_than_that(loop, kind):
    """What was made too large beforehand is given back."""
    async with transport_and_peer(loop, kind, factory=Pieces) as (_, protocol, peer):
        for size in SIZES:
            before = protocol.size
            await loop.sock_sendall(peer, bytes(size))
            await until(lambda before=before, size=size: protocol.size == before + size)
        empty = sys.getsizeof(b"")
        assert all(sys.getsizeof(piece) == empty + len(piece) for piece in protocol.pieces)


@kinds
async def test_the_end_and_a_pause_behind_large_pieces(loop, kind):
    async with transport_and_peer(loop, kind, factory=Recorder) as (transport, protocol, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        for size in (100 * KIB, 200 * KIB, 100 * KIB):
            before = len(protocol.data)
            transport.pause_reading()
            sending = asyncio.ensure_future(loop.sock_sendall(peer, b"x" * size))
            await turns(5)
            assert len(protocol.data) == before
            transport.resume_reading()
            await sending
            await until(lambda before=before, size=size: len(protocol.data) == before + size)
        peer.shutdown(socket.SHUT_WR)
        await protocol.until("eof_received")
        assert len(protocol.data) == 400 * KIB

"""A socket under two numbers: what one reader takes the other never sees, so two are refused. # G12 # R6"""

import asyncio
import contextlib
import os
import socket

import pytest

from tests.support.descriptors import socket_pair
from tests.support.recorders import Recorder
from tests.support.streams import end, transport_and_peer, turns

pytestmark = pytest.mark.all_drivers
only_tulipa = pytest.mark.only_tulipa


@contextlib.contextmanager
def copy_of(transport):
    with transport.get_extra_info("socket").dup() as copy:
        copy.setblocking(False)
        yield copy


@only_tulipa
@pytest.mark.parametrize(
    "read",
    [
        lambda loop, sock: loop.add_reader(sock, print),
        lambda loop, sock: loop.add_reader(sock.fileno(), print),
        lambda loop, sock: loop.sock_recv(sock, 1),
        lambda loop, sock: loop.sock_recv_into(sock, bytearray(1)),
        lambda loop, sock: loop.create_connection(asyncio.Protocol, sock=sock),
        lambda loop, sock: loop.connect_accepted_socket(asyncio.Protocol, sock),
    ],
    ids=["add_reader", "add_reader by number", "sock_recv", "sock_recv_into", "create_connection", "accepted"],
)
async def test_a_second_reader_of_a_transports_socket_is_refused_by_name(loop, read):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        with copy_of(transport) as copy:
            number = copy.fileno()  # a connection that fails may close its socket
            with pytest.raises(RuntimeError, match="is read by transport") as caught:
                if (reading := read(loop, copy)) is not None:
                    await reading
            assert str(number) in str(caught.value)
            assert repr(transport) in str(caught.value)
            assert not loop.remove_reader(number)
            # And the transport goes on.
            peer.send(b"all for the transport")
            await protocol.until_data(21)


@only_tulipa
@pytest.mark.parametrize("into", [False, True], ids=["sock_recv", "sock_recv_into"])
async def test_nothing_is_stolen_even_by_a_call_that_would_not_wait(loop, into):
    async with transport_and_peer(loop) as (transport, protocol, peer):
        with copy_of(transport) as copy:
            peer.send(b"all for the transport")
            with pytest.raises(RuntimeError, match="is read by transport"):
                await (loop.sock_recv_into(copy, bytearray(99)) if into else loop.sock_recv(copy, 99))
            await protocol.until_data(21)
            transport.pause_reading()
            peer.send(b"for whoever reads beside")
            assert await loop.sock_recv(copy, 99) == b"for whoever reads beside"


@only_tulipa
async def test_a_datagram_socket_has_one_reader(loop):
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    with copy_of(transport) as copy:
        with pytest.raises(RuntimeError, match="is read by transport"):
            loop.add_reader(copy, print)
        with pytest.raises(RuntimeError, match="is read by transport"):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=copy)
    await end(transport)


@only_tulipa
@pytest.mark.parametrize("by", ["add_reader", "sock_recv"])
async def test_a_transport_for_a_socket_that_the_program_reads_is_refused(loop, by):
    with socket_pair() as (left, right), left.dup() as copy:
        copy.setblocking(False)
        if by == "add_reader":
            loop.add_reader(copy, print)
        else:
            reading = asyncio.ensure_future(loop.sock_recv(copy, 100))
            await asyncio.sleep(0)
        # A connection that fails may close its socket.
        with left.dup() as refused, pytest.raises(RuntimeError, match=f"file descriptor {copy.fileno()}"):
            await loop.create_connection(asyncio.Protocol, sock=refused)
        if by == "add_reader":
            loop.remove_reader(copy)
        else:
            right.send(b"for the program")
            assert await reading == b"for the program"
        # Once it reads no more, the socket is free.
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        await end(transport)


@pytest.mark.parametrize("how", ["paused", "closing"])
async def test_a_transport_that_does_not_read_may_be_read_beside(loop, how):
    """As those do who take a connection over from its transport."""
    async with transport_and_peer(loop) as (transport, protocol, peer):
        with copy_of(transport) as copy:
            if how == "paused":
                transport.pause_reading()
            else:
                transport.close()
            peer.send(b"for the copy")
            assert await loop.sock_recv(copy, 100) == b"for the copy"
            reading = asyncio.ensure_future(loop.sock_recv(copy, 100))
            await asyncio.sleep(0)
            peer.send(b"again")
            assert await reading == b"again"
            taken_over, new_protocol = await loop.create_connection(Recorder, sock=copy.dup())
            peer.send(b"and again")
            await new_protocol.until_data(9)
            assert not protocol.data
            await end(taken_over)


async def test_writing_through_a_copy_is_the_programs_business(loop):
    async with transport_and_peer(loop) as (transport, _, peer):
        with copy_of(transport) as copy:
            writable = loop.create_future()
            loop.add_writer(copy, lambda: writable.done() or writable.set_result(None))
            await writable
            loop.remove_writer(copy)
            await loop.sock_sendall(copy, b"beside")
            assert await loop.sock_recv(peer, 100) == b"beside"


async def test_the_two_directions_may_have_a_transport_each(loop):
    """One number for reading, one for writing."""
    left, right = socket.socketpair()
    right.setblocking(False)
    with right:
        writer, _ = await loop.connect_write_pipe(asyncio.Protocol, left.dup())
        reader, _ = await loop.connect_read_pipe(Recorder, left)
        writer.write(b"out")
        assert await loop.sock_recv(right, 100) == b"out"
        writer.abort()
        reader.close()
        await turns(3)


async def test_a_number_that_is_used_again_is_no_copy(loop):
    """The transport's socket is closed behind its back, and the next socket gets its number."""
    async with transport_and_peer(loop) as (transport, _, _):
        with copy_of(transport):
            sock = transport._sock
            number = sock.fileno()
            transport.pause_reading()
            os.close(sock.detach())
            with socket_pair() as (left, right):
                assert number in (left.fileno(), right.fileno())
                with left.dup() as third:
                    third.setblocking(False)
                    reading = asyncio.ensure_future(loop.sock_recv(third, 10))
                    await asyncio.sleep(0)
                    right.send(b"x")
                    assert await reading == b"x"

"""The datagram transport: types, flow control, protocols that misbehave. # T2 # T3 # T15"""

import asyncio
import asyncio.trsock
import gc
import socket
import weakref

import pytest

from tests.support.descriptors import open_descriptors
from tests.support.recorders import DatagramRecorder


async def unix_pair(loop, factory=DatagramRecorder):
    """A transport on one end of a pair of Unix datagram sockets, and the other end: it can be filled."""
    left, right = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (left, right):
        sock.bind("")  # the kernel invents a name
        sock.setblocking(False)
    left.connect(right.getsockname())
    right.connect(left.getsockname())
    transport, protocol = await loop.create_datagram_endpoint(factory, sock=left)
    return transport, protocol, right


def send_until(transport, data, condition):
    """Send one datagram again and again until a condition holds; how many it took."""
    for count in range(1, 20_000):
        transport.sendto(data)
        if condition():
            return count
    raise AssertionError("it never came to that")


@pytest.fixture(autouse=True)
def close_what_is_open(loop):
    """A failing test leaves no transport to the next one."""
    yield
    for transport in list(loop._transports.values()):
        transport.abort()
    loop.run_until_complete(asyncio.sleep(0))


async def gone(transport):
    transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_its_types(loop):  # T2 T3 T4
    transport, protocol, right = await unix_pair(loop)
    with right:
        assert isinstance(transport, asyncio.DatagramTransport)
        assert isinstance(transport, asyncio.BaseTransport)
        assert isinstance(transport.get_extra_info("socket"), asyncio.trsock.TransportSocket)
        assert transport.get_extra_info("sockname") is not None
        assert transport.get_extra_info("nothing") is None
        assert transport.get_extra_info("nothing", 5) == 5
        assert transport.get_protocol() is protocol
        await gone(transport)


async def test_datagrams_over_unix_addresses(loop, tmp_path):
    path = str(tmp_path / "socket")
    receiver, protocol = await loop.create_datagram_endpoint(DatagramRecorder, local_addr=path, family=socket.AF_UNIX)
    sender, _ = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=path, family=socket.AF_UNIX)
    sender.sendto(b"unix")
    await protocol.until_count(1)
    assert protocol.received[0][0] == b"unix"
    receiver.close()
    await gone(sender)


async def test_a_stale_unix_address_is_taken_over(loop, tmp_path):
    path = str(tmp_path / "socket")
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    stale.bind(path)
    stale.close()
    receiver, _ = await loop.create_datagram_endpoint(DatagramRecorder, local_addr=path, family=socket.AF_UNIX)
    await gone(receiver)


async def test_what_the_kernel_refuses_is_buffered_and_sent_in_order(loop):
    transport, protocol, right = await unix_pair(loop)
    with right:
        sent = [b"%d" % number for number in range(2000)]
        for data in sent:
            transport.sendto(data)
        assert transport.get_write_buffer_size() > 0
        got = []
        while len(got) < len(sent):
            got.append(await loop.sock_recv(right, 100))
        assert got == sent
        await asyncio.sleep(0)
        left = transport.get_write_buffer_size()
        await gone(transport)
        assert left == 0


async def test_close_waits_for_the_buffer(loop):
    transport, protocol, right = await unix_pair(loop)
    with right:
        sent = [b"%d" % number for number in range(1000)]
        for data in sent:
            transport.sendto(data)
        transport.close()
        await asyncio.sleep(0.001)
        assert "connection_lost" not in protocol.events
        got = []
        while len(got) < len(sent):
            got.append(await loop.sock_recv(right, 100))
        assert got == sent
        await protocol.until("connection_lost")


async def test_abort_drops_the_buffer(loop):
    transport, protocol, right = await unix_pair(loop)
    with right:
        for number in range(1000):
            transport.sendto(b"%d" % number)
        transport.abort()
        await protocol.until("connection_lost")
        assert protocol.error is None


async def test_writing_is_paused_and_resumed_at_the_marks(loop):  # T15 G17
    transport, protocol, right = await unix_pair(loop)
    with right:
        transport.set_write_buffer_limits(high=5000, low=1000)
        assert transport.get_write_buffer_limits() == (1000, 5000)
        sent = send_until(transport, bytes(100), lambda: "pause_writing" in protocol.events)
        assert transport.get_write_buffer_size() > 5000
        while sent:
            await loop.sock_recv(right, 200)
            sent -= 1
            if "resume_writing" in protocol.events:
                break
        await protocol.until("resume_writing")
        assert transport.get_write_buffer_size() <= 1000
        assert protocol.events == ["connection_made", "pause_writing", "resume_writing"]
        await gone(transport)


async def test_a_limit_of_zero_pauses_with_the_first_buffered_datagram(loop):  # T15
    transport, protocol, right = await unix_pair(loop)
    with right:
        transport.set_write_buffer_limits(0)
        assert transport.get_write_buffer_limits() == (0, 0)
        send_until(transport, b"x", transport.get_write_buffer_size)
        assert protocol.events[-1] == "pause_writing"
        async with asyncio.timeout(0.5):
            while protocol.events[-1] != "resume_writing":
                await loop.sock_recv(right, 10)
        assert transport.get_write_buffer_size() == 0
        await gone(transport)


async def test_wrong_limits_are_refused(loop):
    transport, protocol, right = await unix_pair(loop)
    with right:
        for wrong in ({"high": -1}, {"high": 1, "low": 2}, {"low": -1}):
            with pytest.raises(ValueError):
                transport.set_write_buffer_limits(**wrong)
        await gone(transport)


async def test_datagrams_of_any_buffer_type_survive_being_buffered(loop):  # T14
    transport, protocol, right = await unix_pair(loop)
    with right:
        send_until(transport, b"filler", transport.get_write_buffer_size)
        data = bytearray(b"mutable")
        transport.sendto(data)
        data[:] = b"changed"
        got = b"filler"
        while got == b"filler":
            got = await loop.sock_recv(right, 100)
        assert got == b"mutable"
        await gone(transport)


@pytest.mark.parametrize("method", ["connection_made", "datagram_received", "connection_lost"])
async def test_a_protocol_method_that_raises_is_reported(loop, reported, method):  # R8
    def broken(self, *args):
        raise LookupError(method)

    protocol_class = type("Broken", (DatagramRecorder,), {method: broken})
    transport, protocol, right = await unix_pair(loop, protocol_class)
    with right:
        right.send(b"x")
        while not reported and method != "connection_lost":
            await asyncio.sleep(0)
        transport.abort()
        while not reported:
            await asyncio.sleep(0)
        assert str(reported[0]["exception"]) == method
        reported.clear()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reported.clear()


async def test_every_callback_may_close_the_transport(loop):  # R3
    class Closer(DatagramRecorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.abort()

    transport, protocol, right = await unix_pair(loop, Closer)
    with right:
        for _ in range(10):
            right.send(b"x")
        await protocol.until("connection_lost")
        assert len(protocol.received) == 1, "a closed transport receives nothing more"


async def test_connection_made_may_close(loop):  # R3
    class Closer(DatagramRecorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.close()

    transport, protocol, right = await unix_pair(loop, Closer)
    with right:
        await protocol.until("connection_lost")
        assert protocol.events == ["connection_made", "connection_lost"]


async def test_pause_writing_may_write_and_ask_for_the_size(loop):  # R2
    class Curious(DatagramRecorder):
        def pause_writing(self):
            super().pause_writing()
            self.size = self.transport.get_write_buffer_size()
            self.transport.sendto(b"from pause_writing")
            self.transport.get_write_buffer_limits()

    transport, protocol, right = await unix_pair(loop, Curious)
    with right:
        transport.set_write_buffer_limits(high=100)
        send_until(transport, bytes(50), lambda: "pause_writing" in protocol.events)
        assert protocol.size > 100
        await gone(transport)


async def test_an_error_received_that_raises_is_reported(loop, reported):
    class Broken(DatagramRecorder):
        def error_received(self, exc):
            super().error_received(exc)
            raise LookupError("error_received")

    receiver, _ = await loop.create_datagram_endpoint(DatagramRecorder, local_addr=("127.0.0.1", 0))
    address = receiver.get_extra_info("sockname")
    await gone(receiver)
    sender, protocol = await loop.create_datagram_endpoint(Broken, remote_addr=address)
    try:
        sender.sendto(b"x")
        await protocol.until("error_received")
        await asyncio.sleep(0)
    except LookupError:
        pass
    await gone(sender)
    assert all(str(context["exception"]) == "error_received" for context in reported)
    reported.clear()


async def test_nothing_is_left_after_the_end(loop):  # R9
    before = open_descriptors()
    references = []
    for _ in range(10):
        transport, protocol, right = await unix_pair(loop)
        right.close()
        transport.cycle = transport
        references += [weakref.ref(transport), weakref.ref(protocol)]
        await gone(transport)
        del transport, protocol
    gc.collect()
    assert [reference() for reference in references] == [None] * 20
    assert open_descriptors().keys() == before.keys()


async def test_it_can_be_told_in_a_list_by_its_repr(loop):
    transport, protocol, right = await unix_pair(loop)
    with right:
        number = transport.get_extra_info("socket").fileno()
        assert str(number) in repr(transport)
        await gone(transport)
        assert "clos" in repr(transport)


async def test_many_endpoints_echo_to_each_other(loop):
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(data, addr)

    server, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    address = server.get_extra_info("sockname")
    clients = [await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address) for _ in range(50)]
    for number, (transport, _) in enumerate(clients):
        transport.sendto(b"%d" % number)
    for number, (_, protocol) in enumerate(clients):
        await protocol.until_count(1)
        assert protocol.received == [(b"%d" % number, address)]
    for transport, _ in clients:
        transport.close()
    await gone(server)

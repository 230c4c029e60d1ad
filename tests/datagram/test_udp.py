"""`create_datagram_endpoint`: UDP over both versions of IP, connected or not, and Unix datagrams."""

import asyncio
import errno
import os
import socket

import pytest

from tests.support.recorders import DatagramRecorder

pytestmark = pytest.mark.all_drivers
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
BOTH = pytest.mark.parametrize("family", LOOPBACK, ids=["inet", "inet6"])


async def receiver_on(loop, host="127.0.0.1", **options):
    transport, protocol = await loop.create_datagram_endpoint(DatagramRecorder, local_addr=(host, 0), **options)
    return transport, protocol, transport.get_extra_info("sockname")


async def closed(*transports):
    for transport in transports:
        transport.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@BOTH
async def test_datagrams_go_to_an_address_and_tell_where_they_came_from(loop, family):
    receiver, protocol, address = await receiver_on(loop, LOOPBACK[family])
    sender, _, origin = await receiver_on(loop, LOOPBACK[family])
    sender.sendto(b"hello", address)
    await protocol.until_count(1)
    assert protocol.received == [(b"hello", origin)]
    await closed(receiver, sender)


async def test_the_zone_of_a_sender_is_a_number_behind_its_address(loop):
    """To itself: what is sent to an address of this machine does not leave it."""
    try:
        with open("/proc/net/if_inet6") as table:
            address, *_, interface = next(line.split() for line in table if line.startswith("fe80"))
    except (FileNotFoundError, StopIteration):
        pytest.skip("no interface has a link-local address")
    host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))
    receiver, protocol, address = await receiver_on(loop, f"{host}%{interface}")
    receiver.sendto(b"hello", address)
    await protocol.until_count(1)
    assert protocol.received == [(b"hello", (host, address[1], 0, socket.if_nametoindex(interface)))]
    await closed(receiver)


@BOTH
async def test_a_connected_endpoint_needs_no_address(loop, family):
    receiver, protocol, address = await receiver_on(loop, LOOPBACK[family])
    sender, answers = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address[:2])
    sender.sendto(b"one")
    sender.sendto(b"two", None)
    await protocol.until_count(2)
    assert [data for data, _ in protocol.received] == [b"one", b"two"]
    assert sender.get_extra_info("peername")[:2] == address[:2]
    receiver.sendto(b"back", protocol.received[0][1])
    await answers.until_count(1)
    assert answers.received[0][0] == b"back"
    assert answers.received[0][1][:2] == address[:2]
    await closed(receiver, sender)


async def test_a_connected_endpoint_refuses_other_addresses(loop):
    receiver, protocol, address = await receiver_on(loop)
    sender, _ = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address)
    sender.sendto(b"its own address", address)
    with pytest.raises(ValueError, match="address"):
        sender.sendto(b"another", ("127.0.0.1", 1))
    await protocol.until_count(1)
    await closed(receiver, sender)


async def test_local_and_remote_address_together(loop):
    receiver, protocol, address = await receiver_on(loop)
    sender, _ = await loop.create_datagram_endpoint(DatagramRecorder, local_addr=("127.0.0.1", 0), remote_addr=address)
    sender.sendto(b"x")
    await protocol.until_count(1)
    assert protocol.received[0][1] == sender.get_extra_info("sockname")
    await closed(receiver, sender)


async def test_boundaries_and_order_are_kept(loop):
    receiver, protocol, address = await receiver_on(loop)
    receiver.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sender, _ = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address)
    sent = [b"%d" % number * (1 + number % 50) for number in range(100)]
    for data in sent:
        sender.sendto(data)
    await protocol.until_count(100)
    assert [data for data, _ in protocol.received] == sent
    await closed(receiver, sender)


async def test_empty_datagrams_are_sent(loop):
    receiver, protocol, address = await receiver_on(loop)
    sender, _ = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address)
    sender.sendto(b"")
    sender.sendto(b"after")
    await protocol.until(lambda: b"after" in [data for data, _ in protocol.received])
    await closed(receiver, sender)
    assert [data for data, _ in protocol.received] == [b"", b"after"]


async def test_the_largest_datagram_arrives_whole(loop):
    receiver, protocol, address = await receiver_on(loop)
    sender, _ = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address)
    data = os.urandom(65_507)
    sender.sendto(data)
    await protocol.until_count(1)
    assert protocol.received[0][0] == data
    await closed(receiver, sender)


async def test_an_oversized_datagram_is_an_error_for_the_protocol(loop):
    receiver, _, address = await receiver_on(loop)
    sender, protocol = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address)
    sender.sendto(bytes(70_000))
    await protocol.until("error_received")
    assert protocol.errors[0].errno == errno.EMSGSIZE
    assert not sender.is_closing()
    await closed(receiver, sender)


async def test_a_refused_datagram_is_told_to_a_connected_protocol(loop):
    receiver, _, address = await receiver_on(loop)
    await closed(receiver)
    sender, protocol = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address)
    sender.sendto(b"to nobody")
    await protocol.until("error_received")
    assert isinstance(protocol.errors[0], ConnectionRefusedError)
    assert "connection_lost" not in protocol.events
    await closed(sender)


async def test_connection_made_comes_first_and_lost_last(loop):
    receiver, protocol, address = await receiver_on(loop)
    sender, _ = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address)
    sender.sendto(b"x")
    await protocol.until_count(1)
    await closed(receiver, sender)
    assert protocol.events == ["connection_made", "datagram_received", "connection_lost"]
    assert protocol.error is None


async def test_close_sends_what_is_buffered_and_abort_does_not_wait(loop):
    receiver, protocol, address = await receiver_on(loop)
    sender, recorder = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address)
    sender.sendto(b"last")
    sender.close()
    assert sender.is_closing()
    await protocol.until_count(1)
    await recorder.until("connection_lost")
    other, recorder = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address)
    other.abort()
    await recorder.until("connection_lost")
    assert recorder.error is None
    await closed(receiver)


async def test_sendto_after_close_is_quiet(loop):  # T13
    receiver, _, address = await receiver_on(loop)
    sender, _ = await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=address)
    await closed(sender)
    sender.sendto(b"dropped")
    sender.close()
    sender.abort()
    await closed(receiver)


@pytest.mark.parametrize("wrong", ["text", None, 1, [1], object()])
async def test_what_is_no_buffer_is_a_type_error(loop, wrong):
    receiver, _, address = await receiver_on(loop)
    with pytest.raises(TypeError):
        receiver.sendto(wrong, address)
    await closed(receiver)


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview], ids=["bytes", "bytearray", "memoryview"])
async def test_any_buffer_can_be_sent(loop, make):
    receiver, protocol, address = await receiver_on(loop)
    receiver.sendto(make(b"buffer"), address)
    await protocol.until_count(1)
    assert protocol.received[0][0] == b"buffer"
    await closed(receiver)


async def test_a_buffer_changed_after_sendto_is_sent_as_it_was(loop):  # T14
    receiver, protocol, address = await receiver_on(loop)
    data = bytearray(b"before")
    receiver.sendto(data, address)
    data[:] = b"after!"
    data.clear()
    await protocol.until_count(1)
    assert protocol.received[0][0] == b"before"
    await closed(receiver)


async def test_an_endpoint_without_addresses_by_family(loop):
    receiver, protocol, address = await receiver_on(loop)
    sender, _ = await loop.create_datagram_endpoint(DatagramRecorder, family=socket.AF_INET)
    sender.sendto(b"x", address)
    await protocol.until_count(1)
    await closed(receiver, sender)


async def test_a_ready_made_socket(loop):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    receiver, protocol = await loop.create_datagram_endpoint(DatagramRecorder, sock=sock)
    assert receiver.get_extra_info("socket").fileno() == sock.fileno()
    receiver.sendto(b"to myself", sock.getsockname())
    await protocol.until_count(1)
    await closed(receiver)
    assert sock.fileno() == -1


async def test_a_host_name_as_address_of_sendto_is_no_crash(loop):  # T46
    """asyncio hands it to the socket, which resolves it; what must not happen is an abort."""
    receiver, protocol, address = await receiver_on(loop)
    receiver.sendto(b"by name", ("localhost", address[1]))
    await protocol.until(lambda: protocol.received or protocol.errors)
    await closed(receiver)


@pytest.mark.parametrize(
    "address",
    [("127.0.0.1", 70_000), ("127.0.0.1", -1), ("127.0.0.1",), "127.0.0.1", (1, 2), ("127.0.0.1", "80"), ()],
    ids=repr,
)
async def test_wrong_addresses_reach_caller_or_handler(loop, address, reported):
    receiver, protocol, _ = await receiver_on(loop)
    try:
        receiver.sendto(b"x", address)
    except (TypeError, OverflowError, OSError, ValueError) as error:
        assert str(error)
    else:
        async with asyncio.timeout(1):
            await protocol.until(lambda: protocol.errors or "connection_lost" in protocol.events)
        assert protocol.errors or protocol.error
    finally:
        reported.clear()
        await closed(receiver)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"local_addr": ("127.0.0.1",)},
        {"local_addr": "127.0.0.1"},
        {"local_addr": ("127.0.0.1", 0), "remote_addr": ("::1", 1)},
        {"family": socket.AF_UNIX, "local_addr": ("127.0.0.1", 0)},
    ],
    ids=["nothing", "short", "text", "mixed", "unix"],
)
async def test_wrong_arguments_are_refused(loop, options):
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        await loop.create_datagram_endpoint(DatagramRecorder, **options)
    assert str(caught.value)


async def test_a_stream_socket_is_refused(loop):
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="expected"):
            await loop.create_datagram_endpoint(DatagramRecorder, sock=sock)


async def test_a_socket_and_an_address_together_are_refused(loop):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError):
            await loop.create_datagram_endpoint(DatagramRecorder, sock=sock, local_addr=("127.0.0.1", 0))


async def test_a_taken_address_is_an_error_that_names_it(loop):
    receiver, _, address = await receiver_on(loop)
    with pytest.raises(OSError) as caught:
        await loop.create_datagram_endpoint(DatagramRecorder, local_addr=address)
    assert caught.value.errno == errno.EADDRINUSE
    await closed(receiver)


async def test_reuse_port_lets_two_share_an_address(loop):
    receiver, _, address = await receiver_on(loop, reuse_port=True)
    other, _ = await loop.create_datagram_endpoint(DatagramRecorder, local_addr=address, reuse_port=True)
    await closed(receiver, other)


async def test_allow_broadcast_sets_the_option(loop):
    receiver, _, _ = await receiver_on(loop, allow_broadcast=True)
    assert receiver.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    plain, protocol, _ = await receiver_on(loop)
    assert not plain.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    plain.sendto(b"x", ("255.255.255.255", 9))
    await protocol.until("error_received")
    assert isinstance(protocol.errors[0], PermissionError)
    await closed(receiver, plain)


async def test_a_factory_that_raises_leaves_nothing_behind(loop):
    def broken():
        raise LookupError("factory")

    with pytest.raises(LookupError, match="factory"):
        await loop.create_datagram_endpoint(broken, local_addr=("127.0.0.1", 0))


async def test_cancelling_the_creation_leaves_nothing_behind(loop):  # R5
    for steps in range(6):
        task = loop.create_task(loop.create_datagram_endpoint(DatagramRecorder, local_addr=("127.0.0.1", 0)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            transport, _ = await task
        except asyncio.CancelledError:
            continue
        transport.close()
    await asyncio.sleep(0.001)

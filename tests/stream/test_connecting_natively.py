"""A connection to a numeric address is made without a socket object, and nobody can tell. # T3 # T20 # R5

Whatever a program or a test puts in the way of sockets is obeyed all the same: it then has asyncio's own way.
"""

import asyncio
import contextlib
import gc
import socket
import weakref

import pytest

from tests.support.auditing import Refused, listening_to_sockets
from tests.support.recorders import Recorder
from tests.support.streams import turns

HOSTS = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


@contextlib.asynccontextmanager
async def serving(loop, host="127.0.0.1"):
    """A server's address, with everything that has connected to it gone at the end."""
    served = []

    def factory():
        served.append(Recorder())
        return served[-1]

    server = await loop.create_server(factory, host, 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await turns(3)
        for protocol in served:
            await protocol.until("connection_lost")
        await turns(2)


async def gone(transport, protocol):
    transport.abort()
    await protocol.until("connection_lost")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("options", [{}, {"local_addr": None, "family": 0, "sock": None}, "own family"], ids=str)
async def test_the_socket_and_the_names_are_there(loop, host, options):  # T3 T4
    options = {"family": HOSTS[host]} if options == "own family" else options
    async with serving(loop, host) as address:
        transport, protocol = await loop.create_connection(Recorder, host, address[1], **options)
        sock = transport.get_extra_info("socket")
        assert type(sock) is asyncio.trsock.TransportSocket
        assert (sock.family, sock.type, sock.gettimeout()) == (HOSTS[host], socket.SOCK_STREAM, 0)
        names = {"peername": sock.getpeername(), "sockname": sock.getsockname()}
        assert names["peername"] == address
        assert {name: transport.get_extra_info(name) for name in names} == names
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)  # T32
        await gone(transport, protocol)
        assert {name: transport.get_extra_info(name) for name in names} == names
        assert sock.fileno() == -1


async def test_names_of_one_server_are_equal_and_those_of_two_are_not(loop):
    async with serving(loop) as one, serving(loop) as other:
        for address in (one, one, other, one):
            transport, protocol = await loop.create_connection(Recorder, *address)
            assert transport.get_extra_info("peername") == address
            await gone(transport, protocol)


@pytest.mark.parametrize("host", HOSTS)
async def test_a_refusal_is_in_asyncios_words(loop, host):  # G11
    with socket.socket(HOSTS[host]) as sock:
        sock.bind((host, 0))
        address = sock.getsockname()
        with pytest.raises(ConnectionRefusedError) as caught:
            await loop.create_connection(Recorder, host, address[1])
    assert str(caught.value) == f"[Errno 111] Connect call failed {address}"


async def test_what_the_kernel_refuses_at_once_is_in_its_words(loop):
    with pytest.raises(OSError) as caught:
        await loop.create_connection(Recorder, "255.255.255.255", 80)
    assert "Connect call failed" not in str(caught.value)
    assert caught.value.errno


@pytest.mark.parametrize("port", [-1, 65536])
async def test_a_port_out_of_range(loop, port):
    with pytest.raises(OverflowError):
        await loop.create_connection(Recorder, "127.0.0.1", port)


async def test_an_unknown_option_is_refused_whatever_its_value(loop):
    async with serving(loop) as address:
        for value in (None, 0, False):
            with pytest.raises(TypeError):
                await loop.create_connection(Recorder, *address, no_such_option=value)


async def test_an_option_that_means_something_although_it_is_false(loop):
    async with serving(loop) as address:
        for option in ({"server_hostname": ""}, {"ssl_handshake_timeout": 0}):
            with pytest.raises(ValueError):
                await loop.create_connection(Recorder, *address, **option)


@contextlib.contextmanager
def hanging():
    """An address where connecting waits, since the queue is full; and what empties it."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        listener.setblocking(False)
        for _ in range(3):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())

        def accept_all():
            with contextlib.suppress(BlockingIOError):
                while True:
                    opened.enter_context(listener.accept()[0])

        yield listener.getsockname(), accept_all


@pytest.mark.parametrize("steps", range(4))
async def test_cancelled_on_the_way_it_is_closed(loop, steps):  # R5
    with hanging() as (address, _):
        task = loop.create_task(loop.create_connection(Recorder, *address))
        await turns(steps)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_one_that_waits_is_there_in_the_end(loop):
    with hanging() as (address, accept_all):
        task = loop.create_task(loop.create_connection(Recorder, *address))
        await turns(3)
        assert not task.done()
        while not task.done():
            accept_all()
            await asyncio.sleep(0.01)
        transport, protocol = task.result()
        assert transport.get_extra_info("peername") == address
        await gone(transport, protocol)
        await turns(2)


@pytest.mark.parametrize("steps", range(4))
async def test_cancelled_at_any_turn_it_ends_once(loop, steps):  # R5
    made = []

    def factory():
        made.append(Recorder())
        return made[-1]

    async with serving(loop) as address:
        task = loop.create_task(loop.create_connection(factory, *address))
        await turns(steps)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            task.result()[0].abort()
        await turns(4)
        assert all(protocol.events.count("connection_lost") == 1 for protocol in made)


@pytest.mark.only_tulipa  # asyncio goes on without telling anybody, and leaves the connection open
async def test_no_protocol_is_refused_and_nothing_is_left(loop):
    async with serving(loop) as address:
        with pytest.raises((AttributeError, TypeError)):
            transport, _ = await loop.create_connection(lambda: None, *address)
        await turns(3)


@pytest.mark.only_tulipa  # asyncio leaves the socket open up to 3.13
async def test_nothing_keeps_a_failed_attempts_protocol(loop):  # R9
    class Refused(Exception):
        pass

    def factory():
        raise Refused

    async with serving(loop) as address:
        try:
            await loop.create_connection(factory, *address)
        except Refused as exc:
            error = weakref.ref(exc)
        gc.disable()
        try:
            assert error() is None
        finally:
            gc.enable()


# -- what is in the way is obeyed -------------------------------------------------------------


async def test_a_loops_own_sock_connect_is_called(loop):
    connected = []
    original = loop.sock_connect

    async def sock_connect(sock, address):
        connected.append(address)
        await original(sock, address)

    async with serving(loop) as address:
        await gone(*await loop.create_connection(Recorder, *address))
        loop.sock_connect = sock_connect
        await gone(*await loop.create_connection(Recorder, *address))
        assert connected == [address]
        del loop.sock_connect
        await gone(*await loop.create_connection(Recorder, *address))
        assert connected == [address]


def test_a_class_of_loops_may_override_sock_connect(loop_factory):
    plain = loop_factory()
    connected = []

    class Loop(type(plain)):
        async def sock_connect(self, sock, address):
            connected.append((type(sock), address))
            await super().sock_connect(sock, address)

    plain.close()

    async def main():
        loop = asyncio.get_running_loop()
        async with serving(loop) as address:
            await gone(*await loop.create_connection(Recorder, *address))
            assert connected == [(socket.socket, address)]

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())


async def test_a_replaced_class_of_sockets_is_used(loop, monkeypatch):
    class Refusing(socket.socket):
        def __new__(cls, *args, **kwargs):
            raise RuntimeError("no network in this test")

    async with serving(loop) as address:
        with monkeypatch.context() as patched:
            patched.setattr(socket, "socket", Refusing)
            with pytest.raises(RuntimeError, match="no network"):
                await loop.create_connection(Recorder, *address)
        await gone(*await loop.create_connection(Recorder, *address))


async def test_a_replaced_connect_of_sockets_is_called(loop, monkeypatch):
    connected = []
    original = socket.socket.connect

    def connect(self, address):
        connected.append(address)
        return original(self, address)

    async with serving(loop) as address:
        await gone(*await loop.create_connection(Recorder, *address))
        with monkeypatch.context() as patched:
            patched.setattr(socket.socket, "connect", connect, raising=False)
            await gone(*await loop.create_connection(Recorder, *address))
        assert connected == [address]
        await gone(*await loop.create_connection(Recorder, *address))
        assert connected == [address]


async def test_audit_hooks_hear_of_it_and_may_refuse(loop):
    async with serving(loop) as address:
        with listening_to_sockets() as ear:
            for ear.refused in (None, "socket.connect"):
                ear.seen.clear()
                with pytest.raises(Refused) if ear.refused else contextlib.nullcontext():
                    await gone(*await loop.create_connection(Recorder, *address))
                family, kind = socket.AF_INET, socket.SOCK_STREAM
                assert ear.seen[:2] == [
                    ("socket.__new__", family, kind, socket.IPPROTO_TCP),
                    ("socket.connect", address),
                ]


async def test_a_class_of_sockets_tells_its_own_names(loop):
    class Named(socket.socket):
        def getsockname(self):
            return ("near", 1)

        def getpeername(self):
            return ("far", 2)

    async with serving(loop) as address:
        sock = Named()
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        transport, protocol = await loop.create_connection(Recorder, sock=sock)
        assert transport.get_extra_info("sockname") == ("near", 1)
        assert transport.get_extra_info("peername") == ("far", 2)
        await gone(transport, protocol)


async def test_a_socket_of_the_callers_has_its_names_and_sends_at_once(loop):  # T4 T32
    async with serving(loop) as address:
        sock = socket.socket(proto=0)
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        names = sock.getsockname(), sock.getpeername()
        transport, protocol = await loop.create_connection(Recorder, sock=sock)
        assert (transport.get_extra_info("sockname"), transport.get_extra_info("peername")) == names
        await gone(transport, protocol)


@pytest.mark.parametrize("way", ["literal", "name", "own socket", "raw socket"])
async def test_a_server_of_the_same_loop_has_its_end_before_the_client(loop, way):
    made = []

    class Served(asyncio.Protocol):
        def connection_made(self, transport):
            made.append(transport)

    server = await loop.create_server(Served, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    sock = socket.socket()
    sock.setblocking(False)
    ends = [sock]
    if way == "literal":
        ends.append((await loop.create_connection(asyncio.Protocol, *address))[0])
    elif way == "name":
        options = {"family": socket.AF_INET}
        ends.append((await loop.create_connection(asyncio.Protocol, "localhost", address[1], **options))[0])
    else:
        await loop.sock_connect(sock, address)
        if way == "own socket":
            ends.append((await loop.create_connection(asyncio.Protocol, sock=sock))[0])
        else:
            # What is called next is one turn away at least, in any program.
            await turns(1)
    assert len(made) == 1
    for end in (*ends, *made):
        end.close()
    server.close()
    await turns(5)

"""Cycles through a loop are visible to the garbage collector. # R9 # T26"""

import asyncio
import gc
import socket
import warnings
import weakref

import pytest

from tests.support.descriptors import open_descriptors


class Node:
    pass


def collected(reference):
    for _ in range(3):
        gc.collect()
    return reference() is None


def test_a_callback_that_refers_to_its_closed_loop_is_collected(backend):
    loop = backend.new_loop()
    node = Node()
    node.loop = loop
    loop.node = node
    loop.call_soon(lambda: node)
    loop.call_later(100, lambda: node)
    reference = weakref.ref(node)
    loop.close()
    del loop, node
    assert collected(reference)


async def talk():
    async def answer(reader, writer):
        writer.write(await reader.read(10))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"x")
    assert await reader.read() == b"x"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def run_a_child():
    process = await asyncio.create_subprocess_exec("true")
    assert await process.wait() == 0


async def use_a_thread():
    asyncio.get_running_loop().call_later(100, int)
    assert await asyncio.to_thread(int) == 0


@pytest.mark.parametrize("work", [talk, run_a_child, use_a_thread], ids=lambda work: work.__name__)
def test_a_closed_loop_is_freed_without_the_collector(backend, work):
    with asyncio.Runner(loop_factory=backend.new_loop) as runner:
        gc.collect()
        gc.disable()
        try:
            runner.run(work())
            reference = weakref.ref(runner.get_loop())
            runner.close()
            del runner
            assert reference() is None
        finally:
            gc.enable()


def test_an_abandoned_loop_warns_and_closes_its_descriptors(backend):
    before = open_descriptors()
    loop = backend.new_loop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.me = loop
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del loop
        gc.collect()
    assert any(isinstance(warning.message, ResourceWarning) for warning in caught)
    assert open_descriptors().keys() == before.keys()


def test_an_abandoned_loop_with_pending_work_is_collected(backend):
    """Callbacks, timers, readers and tasks that refer back to the loop must not keep it."""
    loop = backend.new_loop()
    node = Node()
    left, right = socket.socketpair()
    with left, right:
        node.loop = loop
        loop.call_soon(lambda: node)
        loop.call_later(100, lambda: node)
        loop.add_reader(left, lambda: node)
        loop.add_writer(right, lambda: node)
        node.future = loop.create_future()
        node.future.add_done_callback(lambda _: node)
        reference = weakref.ref(node)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            del loop, node
            assert collected(reference)


def test_an_abandoned_transport_of_a_closed_loop_is_collected(backend):
    loop = backend.new_loop()
    left, right = socket.socketpair()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

    async def connect():
        return await loop.create_connection(Protocol, sock=left)

    transport, protocol = loop.run_until_complete(connect())
    references = [weakref.ref(transport), weakref.ref(protocol)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loop.close()
        del loop, transport, protocol
        assert all(collected(reference) for reference in references)
        del left
        gc.collect()
    right.close()


def test_an_unclosed_transport_warns(loop):  # T26
    left, right = socket.socketpair()

    async def connect():
        return await loop.create_connection(asyncio.Protocol, sock=left)

    transport, _ = loop.run_until_complete(connect())
    left = None
    loop._transports.clear()
    loop.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del transport, _
        gc.collect()
    right.close()
    assert any("unclosed transport" in str(warning.message) for warning in caught)


def test_a_protocol_is_freed_after_the_connection(loop):
    references = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            references.append(weakref.ref(self))
            references.append(weakref.ref(transport))

    async def main():
        server = await loop.create_server(Protocol, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        for _ in range(5):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"x")
            writer.close()
            await writer.wait_closed()
        server.close()
        await asyncio.sleep(0.02)

    loop.run_until_complete(main())
    gc.collect()
    assert len(references) == 10
    assert [reference() for reference in references] == [None] * 10


def test_handles_in_cycles_are_collected(loop):
    node = Node()
    node.handle = loop.call_soon(lambda: node)
    node.timer = loop.call_later(0, lambda: node)
    reference = weakref.ref(node)
    loop.run_until_complete(asyncio.sleep(0.01))
    del node
    assert collected(reference)


def test_errors_do_not_keep_their_frames_alive(loop, reported):
    def broken():
        node = Node()
        references.append(weakref.ref(node))
        raise LookupError

    references = []
    loop.call_soon(broken)
    loop.run_until_complete(asyncio.sleep(0))
    reported.clear()
    assert collected(references[0])


def test_collecting_garbage_inside_callbacks_is_safe(loop):
    """A collection may run anywhere, also while the loop's own objects are half-way through something."""
    old = gc.get_threshold()
    gc.set_threshold(1)
    try:

        async def main():
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(*address)
            for _ in range(20):
                writer.write(b"x" * 100)
                await reader.readexactly(100)
                loop.call_later(0, int).cancel()
            writer.close()
            await writer.wait_closed()
            server.close()
            await asyncio.sleep(0.01)

        async def echo(reader, writer):
            while data := await reader.read(1000):
                writer.write(data)
            writer.close()

        loop.run_until_complete(main())
    finally:
        gc.set_threshold(*old)

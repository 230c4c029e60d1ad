"""A reader is as asyncio's own to whoever looks at it, changes it or replaces parts of it. # T2 # T39 # R5"""

import asyncio
import contextlib
import gc
import inspect
import weakref
from unittest import mock

import pytest

from tests.support.streams import raw_pair, turns


@contextlib.asynccontextmanager
async def fed_reader(
    loop, reader_class=asyncio.StreamReader, protocol_class=asyncio.StreamReaderProtocol, first=b"first", **options
):
    """A reader that has had bytes already, its protocol, and its peer."""
    left, right = raw_pair("unix")
    reader = reader_class(loop=loop, **options)
    protocol = protocol_class(reader, loop=loop)
    with right:
        transport, _ = await loop.create_connection(lambda: protocol, sock=left)
        right.send(first)
        assert await reader.readexactly(len(first)) == first
        try:
            yield reader, protocol, right
        finally:
            transport.abort()
            await turns(2)


async def test_its_class_has_asyncios_name_and_methods(loop):
    async with fed_reader(loop) as (reader, _, _peer):
        assert isinstance(reader, asyncio.StreamReader)
        assert type(reader).__name__ == type(reader).__qualname__ == "StreamReader"
        assert type(reader).__module__ == "asyncio.streams"
        assert repr(reader).startswith("<StreamReader transport=")
        for name in ("read", "readline", "readexactly", "readuntil"):
            method, plain = getattr(reader, name), getattr(asyncio.StreamReader, name)
            assert inspect.iscoroutinefunction(method)
            assert method.__qualname__ == plain.__qualname__
            assert method.__doc__ == plain.__doc__
            assert list(inspect.signature(method).parameters) == list(inspect.signature(plain).parameters)[1:]


async def test_it_keeps_attributes_of_the_programs(loop):
    async with fed_reader(loop) as (reader, _, peer):
        reader.note = "kept"
        peer.send(b"second")
        assert await reader.read(100) == b"second"
        assert reader.note == "kept"
        own = {"_buffer", "_eof", "_exception", "_limit", "_loop", "_paused", "_transport", "_waiter"}
        assert own < set(vars(reader))


async def test_a_read_is_a_coroutine(loop):
    async with fed_reader(loop) as (reader, _, peer):
        reading = reader.readline()
        assert inspect.iscoroutine(reading)
        assert asyncio.iscoroutine(reading)
        task = loop.create_task(reading)
        await turns(1)
        assert "StreamReader.readline" in repr(task)
        peer.send(b"line\n")
        assert await asyncio.wait_for(task, 5) == b"line\n"
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await reading


async def test_a_read_that_is_never_awaited_is_warned_of(loop):
    async with fed_reader(loop) as (reader, _, _peer):
        with pytest.warns(RuntimeWarning, match="'StreamReader.read' was never awaited"):
            reader.read(1)


async def test_lines_can_be_iterated_over(loop):
    async with fed_reader(loop) as (reader, _, peer):
        peer.send(b"a\nb\nrest")
        peer.close()
        assert [line async for line in reader] == [b"a\n", b"b\n", b"rest"]


async def test_the_second_who_waits_is_refused(loop):
    async with fed_reader(loop) as (reader, _, peer):
        first = loop.create_task(reader.readexactly(2))
        await turns(1)
        for name, args in {"read": (1,), "readexactly": (1,), "readuntil": (), "readline": ()}.items():
            called = "readuntil" if name == "readline" else name
            with pytest.raises(RuntimeError, match=rf"{called}\(\) called while another coroutine is already waiting"):
                await getattr(reader, name)(*args)
        peer.send(b"ab")
        assert await first == b"ab"


@pytest.mark.parametrize("way", ["task", "waiter", "close"])
async def test_a_cancelled_read_leaves_the_reader_free(loop, way):
    async with fed_reader(loop) as (reader, _, peer):
        reading = reader.readexactly(4)
        if way == "close":
            reading.send(None)
            reading.close()
        else:
            task = loop.create_task(reading)
            await turns(1)
            (task if way == "task" else reader._waiter).cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert reader._waiter is None
        peer.send(b"abcd")
        assert await reader.readexactly(4) == b"abcd"


async def test_a_read_may_only_be_driven_as_futures_want_it(loop):
    async with fed_reader(loop) as (reader, _, _peer):
        reading = reader.read(1)
        assert asyncio.isfuture(reading.send(None))
        with pytest.raises(RuntimeError, match="await wasn't used with future"):
            reading.send(None)
        assert reader._waiter is None


async def test_a_forgotten_read_is_collected(loop):
    async with fed_reader(loop) as (reader, _, _peer):
        messages = []

        def note(context):
            # The context has the task, and would keep it.
            messages.append(context["message"])

        with mock.patch.object(loop, "call_exception_handler", note):
            task = weakref.ref(asyncio.Task(reader.read(1), loop=loop))
            await turns(1)
            reader._waiter = None  # whatever held the wait lets go
            gc.collect()
            gc.collect()
            assert task() is None
        assert messages == ["Task was destroyed but it is pending!"]


async def test_a_method_that_is_replaced_on_the_class_is_called(loop):
    async with fed_reader(loop) as (reader, _, peer):
        with mock.patch.object(asyncio.StreamReader, "feed_data", autospec=True) as feed_data:
            peer.send(b"swallowed")
            await turns(3)
            feed_data.assert_called_once_with(reader, b"swallowed")
        with mock.patch.object(asyncio.StreamReaderProtocol, "data_received", autospec=True) as data_received:
            peer.send(b"swallowed")
            await turns(3)
            data_received.assert_called_once_with(mock.ANY, b"swallowed")
        with mock.patch.object(asyncio.StreamReader, "_wait_for_data", side_effect=ZeroDivisionError):
            with pytest.raises(ZeroDivisionError):
                await reader.readexactly(1)
        with mock.patch.object(asyncio.StreamReader, "readline", return_value=b"replaced"):
            assert await reader.readline() == b"replaced"
        peer.send(b"as before")
        assert await reader.readexactly(9) == b"as before"


async def test_a_method_that_is_replaced_on_the_instance_is_called(loop):
    async with fed_reader(loop) as (reader, protocol, peer):
        reader.feed_data = mock.Mock()
        peer.send(b"swallowed")
        await turns(3)
        reader.feed_data.assert_called_once_with(b"swallowed")
        del reader.feed_data
        protocol.data_received = mock.Mock()
        peer.send(b"swallowed")
        await turns(3)
        protocol.data_received.assert_called_once_with(b"swallowed")
        del protocol.data_received
        reader._wait_for_data = mock.Mock(side_effect=ZeroDivisionError)
        with pytest.raises(ZeroDivisionError):
            await reader.read(1)
        del reader._wait_for_data
        peer.send(b"as before")
        assert await reader.readexactly(9) == b"as before"


async def test_subclasses_are_asked(loop):
    class Reader(asyncio.StreamReader):
        def feed_data(self, data):
            super().feed_data(data.upper())

    class Protocol(asyncio.StreamReaderProtocol):
        def data_received(self, data):
            super().data_received(data.replace(b"i", b"1"))

    for classes, expected in (
        ({"reader_class": Reader}, b"HI"),
        ({"protocol_class": Protocol}, b"h1"),
    ):
        async with fed_reader(loop, first=b"", **classes) as (reader, _, peer):
            for _ in range(3):
                peer.send(b"hi")
                assert await reader.readexactly(2) == expected
            assert type(reader) is classes.get("reader_class", asyncio.StreamReader)


async def test_a_buffer_that_somebody_looks_at_ends_the_connection_as_on_asyncio(loop, reported):
    async with fed_reader(loop) as (reader, protocol, peer):
        with memoryview(reader._buffer):
            peer.send(b"more")
            await turns(3)
        assert isinstance(reported.pop()["exception"], BufferError)
        with pytest.raises(BufferError):
            await reader.read(1)


@pytest.mark.parametrize("length", [100, 1000])
async def test_a_long_message_stops_and_starts_the_transport(loop, length):
    async with fed_reader(loop, limit=16) as (reader, protocol, peer):
        data = bytes(range(100)) * (length // 100)
        reading = loop.create_task(reader.readexactly(length))
        for start in range(0, length, 50):
            peer.send(data[start : start + 50])
            await turns(1)
        assert await reading == data
        peer.send(bytes(50))
        await turns(3)
        assert reader._paused
        assert not reader._transport.is_reading()
        await reader.readexactly(34)
        assert not reader._paused
        assert reader._transport.is_reading()


async def test_a_transport_that_cannot_be_paused_is_not_asked_again(loop):
    class Stubborn(asyncio.Transport):
        asked = 0

        def pause_reading(self):
            self.asked += 1
            raise NotImplementedError

    async with fed_reader(loop, limit=2) as (reader, _, peer):
        own, reader._transport = reader._transport, Stubborn()
        stubborn = reader._transport
        for _ in range(2):
            peer.send(b"too many bytes")
            await turns(3)
        assert stubborn.asked == 1
        assert reader._transport is None
        reader._transport = own
        assert await reader.read(100) == b"too many bytestoo many bytes"


async def test_a_reader_that_is_gone_swallows_what_comes(loop):
    left, right = raw_pair("unix")
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    with right:
        transport, _ = await loop.create_connection(lambda: protocol, sock=left)
        right.send(b"first")
        await reader.readexactly(5)
        gone = weakref.ref(reader)
        del reader
        gc.collect()
        assert gone() is None
        right.send(b"second")
        await turns(3)
        assert not transport.is_closing()
        transport.abort()
        await turns(2)


async def test_futures_of_the_programs_own_are_waited_for(loop):
    made = []

    class Future(asyncio.Future):
        pass

    def create_future():
        made.append(Future(loop=loop))
        return made[-1]

    async with fed_reader(loop) as (reader, _, peer):
        with mock.patch.object(loop, "create_future", create_future):
            reading = loop.create_task(reader.readexactly(2))
            await turns(1)
            assert reader._waiter is made[-1]
            peer.send(b"ab")
            assert await reading == b"ab"


READS = {"read": (10,), "readexactly": (10,), "readuntil": (b"!",), "readline": ()}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("bytes_before", [b"", b"part"])
async def test_an_end_is_found_before_an_error_that_came_after_it(loop, name, bytes_before):
    async with fed_reader(loop) as (reader, _, _peer):
        plain = asyncio.StreamReader(loop=loop)
        tasks = [loop.create_task(getattr(each, name)(*READS[name])) for each in (reader, plain)]
        await turns(2)
        for each in (reader, plain):
            each.feed_data(bytes_before)
            each.feed_eof()
            each.set_exception(ConnectionResetError("afterwards"))
        ours, theirs = await asyncio.gather(*tasks, return_exceptions=True)
        assert repr(ours) == repr(theirs)
        assert getattr(ours, "partial", None) == getattr(theirs, "partial", None)
        for each in (reader, plain):
            with pytest.raises(ConnectionResetError, match="afterwards"):
                await each.read(1)


@pytest.mark.parametrize("name", ["readuntil", "readline"])
async def test_a_long_line_is_found_before_an_error_that_came_after_it(loop, name):
    async with fed_reader(loop, limit=8) as (reader, _, _peer):
        plain = asyncio.StreamReader(limit=8, loop=loop)
        tasks = [loop.create_task(getattr(each, name)(*READS[name])) for each in (reader, plain)]
        await turns(2)
        for each in (reader, plain):
            each.feed_data(b"far too long a line")
            each.set_exception(ConnectionResetError("afterwards"))
        ours, theirs = await asyncio.gather(*tasks, return_exceptions=True)
        assert repr(ours) == repr(theirs)
        assert isinstance(ours, (ValueError, asyncio.LimitOverrunError))
        assert reader.exception() is not None

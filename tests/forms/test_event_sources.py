"""`tulipa.EventSource`: events that do not come from descriptors. # G5 # T4"""

import asyncio
import contextvars
import gc
import queue
import threading
import weakref

import pytest

import tulipa
from tests.support.streams import turns

pytestmark = pytest.mark.only_tulipa


class Messages(tulipa.EventSource):
    """A queue that any thread may put something into."""

    def __init__(self, **options):
        super().__init__(**options)
        self.waiting = queue.SimpleQueue()
        self.got = []
        self.polls = 0
        self.ended = 0

    def put(self, message):
        self.waiting.put(message)
        return self.wake()

    def poll(self):
        self.polls += 1
        while not self.waiting.empty():
            self.got.append(self.waiting.get())

    def source_closed(self):
        self.ended += 1


@pytest.mark.all_drivers
async def test_a_thread_wakes_the_loop_and_nothing_is_lost(loop):
    source = Messages()
    threads = [
        threading.Thread(target=lambda name=name: [source.put((name, number)) for number in range(1000)])
        for name in range(4)
    ]
    for thread in threads:
        thread.start()
    while len(source.got) < 4000:
        await asyncio.sleep(0.001)
    for thread in threads:
        thread.join()
    for name in range(4):
        assert [number for who, number in source.got if who == name] == list(range(1000))
    source.close()


def test_a_loop_that_sleeps_is_woken(loop):
    source = Messages(loop=loop)
    source.poll = lambda: (Messages.poll(source), source.close())
    thread = threading.Timer(0.02, source.put, ["late"])
    thread.start()
    loop.run_until_idle()
    thread.join()
    assert source.got == ["late"]


@pytest.fixture
def source(loop):
    made = []

    def make(kind=Messages, **options):
        made.append(kind(loop=loop, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def test_many_wakes_are_one_poll_and_one_during_a_poll_is_another(source):
    messages = source()
    await turns(2)
    for number in range(10):
        assert messages.put(number)
    assert messages.polls == 0, "never within the one who wakes"
    await turns(2)
    assert (messages.polls, messages.got) == (1, list(range(10)))

    def poll_and_wake():
        Messages.poll(messages)
        if messages.polls < 5:
            messages.wake()

    messages.poll = poll_and_wake
    messages.wake()
    await turns(10)
    assert messages.polls == 5


async def test_what_poll_raises_is_reported_and_the_source_goes_on(source, reported):  # R8
    messages = source()

    def broken():
        messages.polls += 1
        raise LookupError("poll")

    messages.poll = broken
    messages.wake()
    await turns(2)
    messages.wake()
    await turns(2)
    assert messages.polls == 2
    assert [str(context["exception"]) for context in reported] == ["poll", "poll"]
    assert reported[0]["source"] is messages
    reported.clear()


async def test_a_toolkit_that_cannot_wake_is_looked_at_when_it_says(loop, source):
    class Toolkit(tulipa.EventSource):
        due = iter([0, 0.001, 0, 0.001])
        polls = 0

        def prepare(self):
            return next(self.due, None)

        def poll(self):
            self.polls += 1

    toolkit = source(Toolkit)
    while toolkit.polls < 4:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.005)
    assert toolkit.polls == 4
    toolkit.wake()
    await turns(2)
    assert toolkit.polls == 5


async def test_a_source_that_wants_every_turn_starves_nobody(loop, source):
    class Busy(tulipa.EventSource):
        def prepare(self):
            return 0

        def poll(self):
            pass

    source(Busy)
    await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", await echo_port(loop))
    writer.write(b"through\n")
    assert await reader.readline() == b"through\n"
    writer.close()
    await writer.wait_closed()


async def echo_port(loop):
    async def serve(reader, writer):
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()
        server.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server.sockets[0].getsockname()[1]


async def test_poll_runs_in_the_context_of_its_source(loop, source):  # T18
    word = contextvars.ContextVar("word", default="none")
    word.set("made")
    messages = source()
    word.set("later")
    seen = []
    messages.poll = lambda: seen.append(word.get())
    threading.Thread(target=messages.wake).start()
    while not seen:
        await asyncio.sleep(0.001)
    assert seen == ["made"]


# -- what the loop has left to do ---------------------------------------------------------------


def test_an_open_source_is_something_left_to_do_unless_it_is_not_referenced(loop, source):  # N2
    source(referenced=False)
    loop.run_until_idle()
    messages = source()
    loop.call_later(0.01, messages.close)
    loop.run_until_idle()
    assert messages.closed
    messages = source()
    loop.call_later(0.01, setattr, messages, "referenced", False)
    loop.run_until_idle()
    assert not messages.closed


def test_the_timer_of_a_source_that_is_not_referenced_is_nothing_to_wait_for(loop, source):  # N2
    class Toolkit(tulipa.EventSource):
        def prepare(self):
            return 3600

        def poll(self):
            pass

    loop.run_until_complete(turns(1))
    before = loop._background, loop._held
    toolkit = source(Toolkit, referenced=False)
    loop.run_until_idle()
    toolkit.referenced = True
    toolkit.referenced = False
    toolkit.wake()
    loop.run_until_idle()
    toolkit.close()
    loop.run_until_idle()
    assert (loop._background, loop._held) == before


# -- the end ------------------------------------------------------------------------------------


def test_it_is_closed_with_its_loop_and_then_wakes_nobody(loop_factory):
    loop = loop_factory()
    messages = Messages(loop=loop)
    messages.put("never delivered")
    loop.close()
    assert messages.closed
    assert messages.ended == 1
    assert not messages.put("late")
    messages.close()
    assert messages.ended == 1
    assert messages.got == []


async def test_after_closing_nothing_is_delivered(source):
    messages = source()
    messages.put("too late")
    messages.close()
    await turns(3)
    assert (messages.got, messages.polls) == ([], 0)
    assert "closed" in repr(messages)


async def test_what_the_hook_of_the_end_raises_is_reported(source, reported):  # R8
    messages = source()

    def broken():
        raise LookupError("end")

    messages.source_closed = broken
    messages.close()
    assert str(reported.pop()["exception"]) == "end"


def test_without_a_loop_it_says_so():
    with pytest.raises(RuntimeError, match="no tulipa loop here"):
        Messages()


async def test_a_closed_source_is_collected(source):  # R9
    messages = Messages()
    reference = weakref.ref(messages)
    messages.close()
    await turns(3)
    del messages
    gc.collect()
    assert reference() is None

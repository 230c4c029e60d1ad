"""Programs drawn by hypothesis. What asyncio leaves open, or tulipa does otherwise on purpose, is not drawn; each time
with the reason.

The strategies are made once: making them costs more than drawing from them.
"""

from __future__ import annotations

import asyncio.selector_events
import functools
import inspect

from hypothesis import strategies as st

from tests.differential.program import Act, End, Link, Program

SMALL = (0, 1, 10, 500, 1000, 1001, 4000)
LARGE = (1, 1000, 300_000, 1_000_000)
"""Nothing in between: whether 100 kB fit into a socket depends on how they were cut."""

TIMERS = st.sampled_from("xyz")
TASKS = st.sampled_from(["o1", "o2", "o3", "task 0.0", "task 0.1", "task 1.0"])
OPERATIONS = st.sampled_from(["o1", "o2", "o3"])
TICKS = st.integers(0, 3)
STREAM_EVENTS = ("connection_made", "data", "eof_received", "pause_writing", "resume_writing", "connection_lost")
DATAGRAM_EVENTS = ("connection_made", "datagram", "error_received", "connection_lost")

# Some CPythons never pause the protocol in `writelines` (CVE-2024-12254), nor look whether the transport is closed.
WRITELINES = "_maybe_pause_protocol" in inspect.getsource(asyncio.selector_events._SelectorSocketTransport.writelines)


def operation(name, *arguments):
    """A tuple of a name and what is drawn for the arguments."""
    return st.tuples(st.just(name), *arguments)


def writing(end, sizes):
    amount = st.sampled_from(sizes)
    yield operation("write", end, amount)
    yield operation("write", end, amount)
    if WRITELINES:
        for count in range(3):
            yield operation("writelines", end, *[amount] * count)


def of_transports(end, sizes, deaths=True):
    yield from writing(end, sizes)
    if deaths:
        yield operation("close", end)
        yield operation("abort", end)
    yield operation("pause", end)
    yield operation("resume", end)
    yield operation("limits", end, st.sampled_from((0, 1, 1000, 65536)))
    yield operation("set_protocol", end, st.sampled_from(("stream", "buffered")))


def of_writing_pipes(end, sizes):
    yield from writing(end, sizes)
    yield operation("close", end)
    yield operation("abort", end)
    yield operation("limits", end, st.sampled_from((0, 1, 1000, 65536)))


def of_reading_pipes(end):
    yield operation("pause", end)
    yield operation("resume", end)
    yield operation("close", end)


def of_sockets(end):
    yield operation("send", end, st.sampled_from((1, 500, 2000)))
    yield operation("recv", end, st.sampled_from((1, 1000)))
    yield operation("shutdown", end)
    yield operation("close_socket", end)
    yield operation("sock_recv", end, st.sampled_from((1, 1000)), OPERATIONS)
    yield operation("sock_recv_into", end, st.sampled_from((1, 1000)), OPERATIONS)
    yield operation("sock_sendall", end, st.sampled_from((1, 1000, 100_000)), OPERATIONS)
    for name in ("add_reader", "remove_reader", "add_writer", "remove_writer"):
        yield operation(name, end)


def of_datagrams(end):
    for _ in range(3):
        yield operation("sendto", end, st.sampled_from((1, 100, 9000)))
    yield operation("close", end)
    yield operation("abort", end)


def of_schedules(operations):
    yield operation("soon", TIMERS, operations)
    yield operation("threadsafe", TIMERS)
    yield operation("later", TIMERS, TICKS, operations)
    yield operation("at", TIMERS, TICKS, operations)
    yield operation("cancel", TIMERS)


OF_TASKS = (
    operation("advance", TICKS),
    operation("cancel_task", TASKS),
    operation("nap", TICKS),
    operation("wait", TIMERS),
    operation("wake", TIMERS),
)


@functools.cache
def upon(name, protocol, sizes, deaths=True):
    """Operations upon one end."""
    end = st.just(name)
    if protocol == "raw":
        return st.one_of(*of_sockets(end))
    if protocol == "datagram":
        return st.one_of(*of_datagrams(end))
    if protocol == "writer":
        return st.one_of(*of_writing_pipes(end, sizes))
    if protocol == "reader":
        return st.one_of(*of_reading_pipes(end))
    return st.one_of(*of_transports(end, sizes, deaths))


@functools.cache
def reactions(events, protocol, sizes, deaths):
    """An end acts on itself when something happens to it. On others it does not: which of two connections hears first
    is the poller's."""
    scheduling = tuple(of_schedules(st.just(())))

    def some(inner):
        return st.lists(inner, min_size=1, max_size=3).map(tuple)

    raising = [st.just(("raise",))] if deaths else []
    anything = some(st.one_of(upon("me", protocol, sizes, deaths), *raising, *scheduling))
    # asyncio ends a transport twice that is closed in `resume_writing`, and reports its own error.
    no_end = some(st.one_of(upon("me", protocol, sizes, deaths=False), *scheduling))
    each = [st.tuples(st.just(event), no_end if event == "resume_writing" else anything) for event in events]
    if protocol in ("writer", "reader"):
        return st.lists(st.one_of(*each), max_size=2, unique_by=lambda reaction: reaction[0]).map(tuple)
    ending = st.tuples(operation("write", st.just("me"), st.sampled_from(sizes)), operation("write_eof", st.just("me")))
    late = [event for event in events if event in ("data", "eof_received", "resume_writing")]
    each += [st.tuples(st.just(event), ending) for event in late]
    return st.lists(st.one_of(*each), max_size=2, unique_by=lambda reaction: reaction[0]).map(tuple)


def pipe_end(protocol):
    """asyncio knows no buffered protocol at a pipe. What a writing end does when it resumes is its own business; which
    of the two ends hears of the other's end first is the poller's."""
    events = {"writer": ("pause_writing",), "reader": ("data",)}[protocol]
    return st.builds(End, st.just(protocol), st.just(False), reactions(events, protocol, SMALL, False))


@functools.cache
def links(kinds, sizes, raw, events, deaths):
    end = st.builds(
        End, st.sampled_from(("stream", "buffered")), st.booleans(), reactions(events, "stream", sizes, deaths)
    )
    datagram = st.builds(
        End, st.just("datagram"), st.just(False), reactions(DATAGRAM_EVENTS, "datagram", sizes, deaths)
    )
    each = []
    for kind in kinds:
        if kind == "udp":
            each.append(st.builds(Link, st.just(kind), datagram, datagram))
        elif kind == "pipe":
            each.append(st.builds(Link, st.just(kind), *map(pipe_end, ("writer", "reader"))))
        else:
            each.append(st.builds(Link, st.just(kind), end, st.one_of(end, st.just(End("raw"))) if raw else end))
    return st.lists(st.one_of(*each), min_size=1, max_size=2).map(tuple)


@functools.cache
def rounds(protocols, sizes, deaths, one_by_one):
    """Rounds of acts upon the ends of links with these protocols."""
    acting = st.one_of(
        *(
            upon(f"{side}{number}", protocol, sizes, deaths)
            for number, pair in enumerate(protocols)
            for side, protocol in zip("ab", pair, strict=True)
        )
    )
    scheduling = st.one_of(*of_schedules(st.lists(acting, max_size=2).map(tuple)))
    anything = st.one_of(acting, acting, scheduling, st.one_of(*OF_TASKS))
    acts = st.builds(
        Act, st.sampled_from(("now", "soon", "task")), st.lists(anything, min_size=1, max_size=4).map(tuple)
    )
    if one_by_one:
        return st.lists(
            st.builds(Act, st.just("task"), st.lists(acting, min_size=1, max_size=6).map(tuple)).map(
                lambda act: (act,)
            ),
            min_size=1,
            max_size=3,
        ).map(tuple)
    ends = half_closes(protocols, sizes) if deaths else ()
    return st.lists(
        st.one_of(st.lists(acts, min_size=1, max_size=3).map(tuple), *ends),
        min_size=1,
        max_size=4,
    ).map(tuple)


def half_closes(protocols, sizes):
    """Rounds of `write_eof` alone. When the buffer is empty already, asyncio closes the half within the call and tulipa
    with the next step of the batch, and who does more in the same turn sees that."""
    for number, pair in enumerate(protocols):
        for side, protocol in zip("ab", pair, strict=True):
            if protocol == "stream":
                end = st.just(f"{side}{number}")
                operations = st.tuples(operation("write", end, st.sampled_from(sizes)), operation("write_eof", end))
                yield st.builds(Act, st.sampled_from(("now", "soon", "task")), operations).map(lambda act: (act,))


@st.composite
def programs(draw, kinds, sizes=SMALL, raw=False, events=STREAM_EVENTS, deaths=True, one_by_one=False):
    made = draw(links(kinds, sizes, raw, events, deaths))
    # A buffered protocol can do what a stream protocol can: they share their strategies.
    protocols = tuple(tuple(end.protocol.replace("buffered", "stream") for end in (link.a, link.b)) for link in made)
    return Program(made, draw(rounds(protocols, sizes, deaths, one_by_one)), debug=draw(st.booleans()), prompt=deaths)


SMALL_PROGRAMS = programs(("unix", "tcp"), raw=True)
SERVED_PROGRAMS = programs(("served", "served unix"))
PIPE_PROGRAMS = programs(("pipe",), (1, 10, 1000, 4000, 100_000))
# How far a large transfer has come when something else happens is the kernel's, so `data` brings no reaction here.
LARGE_PROGRAMS = programs(("unix",), LARGE, events=("pause_writing", "resume_writing", "connection_lost"))
# Nothing dies, so what is written may leave when the turn ends.
LASTING_PROGRAMS = programs(
    ("unix", "tcp"), events=("connection_made", "pause_writing", "resume_writing"), deaths=False
)
# Layers take turns of their own, as many as they have parts; so one thing happens at a time.
TLS_PROGRAMS = programs(("tls", "upgraded"), events=("data", "connection_lost"), one_by_one=True)
DATAGRAM_PROGRAMS = programs(("udp",))

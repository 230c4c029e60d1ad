"""`getaddrinfo` and `getnameinfo`, away from the executor.

Lives here: which questions go to the native resolver, and who waits for which answer. Not here: the
resolver's threads and its calls of the C library, which are native. Rules:

1. What a call gives is what the `socket` module gives for the same arguments, errors included.
2. What needs no look-up is answered at once; an address in figures for a named kind of socket, without a word with
   the C library, which has nothing to add.
3. Equal questions that are asked while one of them is being looked up share its answer. Cancelling
   one asker does not touch the others; with the last one the look-up is forgotten (R5).
4. Whatever is out of the ordinary goes asyncio's way, through `socket` in the default executor:
   arguments that only `socket` can judge, and a `socket.getaddrinfo` that somebody has replaced.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio import base_events
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from ._compat import getaddrinfo_is_pythons_own, getnameinfo_is_pythons_own
from ._host import Host
from ._native import Question, numeric_address

__all__ = ["NameMixin"]

# Looked at when it is used: programs and tests replace the logger in that module.
_base_events: Any = base_events

# What is just a number, and is not some class that might behave in any way.
_NUMBERS = frozenset({int, socket.AddressFamily, socket.SocketKind, type(socket.IPPROTO_TCP)})

# The kinds of sockets that go with one protocol each.
_KINDS: dict[int, tuple[socket.SocketKind | None, int]] = {
    socket.SOCK_STREAM: (socket.SOCK_STREAM, int(socket.IPPROTO_TCP)),
    socket.SOCK_DGRAM: (socket.SOCK_DGRAM, int(socket.IPPROTO_UDP)),
}

_PORT_MAX = 0xFFFF
_FLOW_MAX = 0xFFFFF
_SCOPE_MAX = 0xFFFFFFFF


class NameMixin(Host):
    """Adds the two coroutines."""

    def __init__(self) -> None:
        super().__init__()
        self._flights: dict[Question, _Flight] = {}

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Look up the addresses of a host and service; see asyncio.loop.getaddrinfo."""
        self._check_closed()
        if flags.__class__ is int and not flags and not self._debug:
            entry = _entry_in_figures(host, port, family, type, proto)
            if entry is not None and getaddrinfo_is_pythons_own():
                sys.audit("socket.getaddrinfo", host, port, int(family), int(type), int(proto))
                return [entry]
        question = _address_question(host, port, family, type, proto, flags) if getaddrinfo_is_pythons_own() else None
        if question is None:
            return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        sys.audit("socket.getaddrinfo", host, port, *map(int.__index__, (family, type, proto)))
        report = self._begin_report(host, port, family, type, proto, flags) if self._debug else None
        found = [
            (_member(socket.AddressFamily, number), _member(socket.SocketKind, kind), protocol, name, address)
            for number, kind, protocol, name, address in await self._answer(question)
        ]
        if report is not None:
            report(found)
        return found

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Look up the names of an address and its port; see asyncio.loop.getnameinfo."""
        self._check_closed()
        question = _name_question(sockaddr, flags) if getnameinfo_is_pythons_own() else None
        if question is None:
            return await super().getnameinfo(sockaddr, flags)
        sys.audit("socket.getnameinfo", sockaddr)
        names: tuple[str, str] = await self._answer(question)
        return names

    async def _answer(self, question: Question) -> Any:
        answer = question.answer_at_once()
        if answer is not None:
            return answer
        flight = self._flights.get(question)
        if flight is None:
            flight = _Flight(self, question)
            self._flights[question] = flight
        return await flight.join()

    def _begin_report(
        self, host: object, port: object, family: int, type: int, proto: int, flags: int
    ) -> Callable[[list[Any]], None]:
        """In debug mode, log the question; return what logs the answer and the time that it took.

        Follows asyncio.BaseEventLoop._getaddrinfo_debug.
        """
        words = [f"{host}:{port!r}"]
        given = {"family": family, "type": type, "proto": proto, "flags": flags}
        words += [f"{name}={value!r}" for name, value in given.items() if value]
        asked = ", ".join(words)
        logger = _base_events.logger
        logger.debug("Get address info %s", asked)
        begun = self.time()

        def report(found: list[Any]) -> None:
            seconds = self.time() - begun
            log = logger.info if seconds >= self.slow_callback_duration else logger.debug
            log(f"Getting address info {asked} took {seconds * 1e3:.3f}ms: {found!r}")

        return report


class _Flight:
    """One look-up, and those who wait for its answer."""

    def __init__(self, loop: NameMixin, question: Question) -> None:
        self._loop = loop
        self._question = question
        self._askers: set[asyncio.Future[None]] = set()
        self._lookup = loop._look_up(question, self._land)
        loop._hold()

    async def join(self) -> Any:
        asker = self._loop.create_future()
        self._askers.add(asker)
        try:
            await asker
        finally:
            self._askers.discard(asker)
            if not self._askers:
                self._end()
        return self._lookup.result()

    def _land(self) -> None:
        self._end()
        for asker in self._askers:
            if not asker.done():
                asker.set_result(None)

    def _end(self) -> None:
        """Take no more askers; forget the look-up if nobody has its answer yet."""
        if self._loop._flights.get(self._question) is self:
            del self._loop._flights[self._question]
            self._loop._drop_lookup(self._lookup)
            self._loop._release()


def _entry_in_figures(host: Any, port: Any, family: Any, kind: Any, protocol: Any) -> tuple[Any, ...] | None:
    """The one entry for an address in figures, if its kind is named and so leaves nothing to choose."""
    if not (
        _is_just(host, str)
        and _is_just(port, int)
        and 0 <= port <= _PORT_MAX
        and kind.__class__ in _NUMBERS
        and protocol.__class__ in _NUMBERS
        and family.__class__ in _NUMBERS
    ):
        return None
    member, usual = _KINDS.get(kind, (None, 0))
    if member is None or protocol not in (0, usual):
        return None
    found = numeric_address(host, port)
    if found is None or family not in (0, found[0]):
        return None
    version = socket.AF_INET if found[0] == socket.AF_INET else socket.AF_INET6
    return version, member, usual, "", found[1]


def _address_question(host: Any, port: Any, family: Any, kind: Any, protocol: Any, flags: Any) -> Question | None:
    """Return what `socket.getaddrinfo` would ask the C library, or None if only it can tell.

    Raises UnicodeError for a host that is no name.
    """
    numbers = (family, kind, protocol, flags)
    if not all(isinstance(number, int) and -(2**31) <= number < 2**31 for number in numbers):
        return None
    if _is_just(port, int) and 0 <= port <= _PORT_MAX:
        service: bytes | None = b"%d" % port
    elif _is_just(port, str) and port.isascii():
        service = port.encode()
    elif port is None or _is_just(port, bytes):
        service = port
    else:
        return None
    if _is_just(host, str):
        name: bytes | None = host.encode("idna")
    elif host is None or _is_just(host, bytes):
        name = host
    else:
        return None
    # What follows a zero byte is for `socket` to refuse or to forget.
    if b"\0" in (name or b"") or b"\0" in (service or b""):
        return None
    return Question.addresses(name, service, *numbers)


def _name_question(address: Any, flags: Any) -> Question | None:
    """Return what `socket.getnameinfo` would ask the C library, or None if only it can tell."""
    if not _is_just(address, tuple) or not 2 <= len(address) <= 4:
        return None
    host, *numbers = address
    if not _is_just(host, str) or not host.isascii() or "\0" in host:
        return None
    # The longer form is that of addresses of the sixth version, which have colons.
    if numbers[1:] and ":" not in host:
        return None
    port, flow, scope = [*numbers, 0, 0][:3]
    limits = ((flags, -(2**31), 2**31 - 1), (port, -(2**31), 2**31 - 1), (flow, 0, _FLOW_MAX), (scope, 0, _SCOPE_MAX))
    if not all(isinstance(number, int) and low <= number <= high for number, low, high in limits):
        return None
    return Question.name(host.encode(), port, flow, scope, flags)


def _is_just(value: object, kind: type) -> bool:
    """Return whether that is the type of the value, and no subclass of it, which might behave in any way."""
    return type(value) is kind


def _member(enumeration: type[IntEnum], number: int) -> int:
    """Return the member with that number; the number itself if there is none, as `socket` does."""
    try:
        return enumeration(number)
    except ValueError:
        return number

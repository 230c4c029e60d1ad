"""Passing bytes between two transports, in both directions.

Lives here: what happens between the opening of both ends and the moment when both are closed. Not here: opening them,
and what is said at the end. Rules:

1. Nothing is kept here: what arrives at one end is written to the other at once. When that has more than its buffer
   should hold, the first is not read until it has drained.
2. The end of one direction is passed on as soon as what came before it is written, and the other direction goes on.
3. When both directions have ended, both ends are closed, after what is written. An end that is lost takes the other
   with it, which is closed after what is written, too.
4. An end that cannot say that its output ends (TLS, UDP, a terminal without lines) is closed once nothing has
   arrived from it for a while.
5. The direction that is not wanted is read and dropped, so that its end is seen.
"""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

from .addresses import Address

__all__ = ["End", "Relay", "Side", "Waiting"]


class Waiting(asyncio.Protocol):
    """The protocol of an end that was opened before the other is; keeps what happens meanwhile."""

    def __init__(self, *, reads: bool = True) -> None:
        self._reads = reads
        self.transport: Any = None
        self.early: list[bytes] = []
        self.ended = False
        self.is_lost = False
        self.error: BaseException | None = None

    def connection_made(self, transport: Any) -> None:
        """Read nothing yet."""
        self.transport = transport
        if self._reads:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Keep what came before the reading was paused."""
        self.early.append(bytes(data))

    def eof_received(self) -> bool:
        """Keep that it ended."""
        self.ended = True
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """Keep that it is gone."""
        self.is_lost, self.error = True, exc


class End:
    """One end: its transport, and what is known of it."""

    def __init__(
        self,
        address: Address,
        transport: Any,
        waiting: Waiting,
        *,
        reads: bool = True,
        writes: bool = True,
        half_closes: bool = True,
        is_terminal: bool = False,
        child: Any = None,
    ) -> None:
        self.address = address
        self.transport = transport
        self.waiting = waiting
        self.reads = reads
        self.writes = writes
        # Its input and its output end apart.
        self.half_closes = half_closes
        # Somebody sits there, whose input nobody waits for once the other end is gone.
        self.is_terminal = is_terminal
        self.child = child

    @property
    def says_when_broken(self) -> bool:
        """Whether it is an error when it goes while there is more to write; a child and TLS may have had enough."""
        return self.half_closes and self.child is None

    def abort(self) -> None:
        """Drop it."""
        self.transport.abort()


class Side(asyncio.Protocol):
    """The protocol of one end while bytes are passed on."""

    other: Side

    def __init__(self, relay: Relay, end: End, *, forwards: bool) -> None:
        self.relay = relay
        self.end = end
        self.transport = end.transport
        # What arrives here goes to the other end, or nowhere.
        self.forwards = forwards
        self.received = 0
        # How often it was read again after a pause.
        self.resumed = 0
        self.input_ended = not end.reads
        self.output_ended = False
        self.is_lost = False
        self.has_exited = False

    def data_received(self, data: bytes) -> None:
        """Pass on what arrived."""
        self.received += len(data)
        if self.forwards:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """Pass on that nothing more comes; keep the output if there is one of its own."""
        self.relay.end_of_input(self)
        return self.end.half_closes and not self.relay.is_closing

    def pause_writing(self) -> None:
        """Read nothing from the other end for now."""
        if self.other.end.reads and not self.other.is_lost:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on reading from the other end."""
        if self.other.end.reads and not self.other.is_lost:
            self.other.resumed += 1
            self.other.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end is gone."""
        self.relay.lose(self, exc)


class Relay:
    """Two ends, and what passes between them."""

    def __init__(self, first: End, second: End, *, forward: bool, backward: bool, buffer: int, linger: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._linger = linger
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self.is_closing = False
        # Whose fault it was, and what.
        self.failure: tuple[Address, BaseException] | None = None
        self.first = Side(self, first, forwards=forward)
        self.second = Side(self, second, forwards=backward)
        self.first.other, self.second.other = self.second, self.first
        for side in (self.first, self.second):
            if side.end.writes:
                side.transport.set_write_buffer_limits(high=buffer)

    async def run(self) -> None:
        """Pass bytes until both ends are closed. Cancelling drops both."""
        watchers = [self._loop.create_task(self._watch(side)) for side in self._sides if side.end.child is not None]
        try:
            for side in self._sides:
                side.transport.set_protocol(side)
            for side in self._sides:
                self._begin(side)
            await self._finished
        except BaseException:
            for side in self._sides:
                side.end.abort()
            raise
        finally:
            for watcher in watchers:
                watcher.cancel()
            if self._timer is not None:
                self._timer.cancel()

    @property
    def _sides(self) -> tuple[Side, Side]:
        return self.first, self.second

    def _begin(self, side: Side) -> None:
        waiting = side.end.waiting
        for data in waiting.early:
            side.data_received(data)
        if waiting.is_lost:
            self.lose(side, waiting.error)
        elif waiting.ended:
            side.eof_received()
        elif side.end.reads and not self.is_closing:
            side.transport.resume_reading()

    # -- what the sides tell ----------------------------------------------------------

    def end_of_input(self, side: Side) -> None:
        """Nothing more comes from there (rule 2)."""
        if side.input_ended:
            return
        side.input_ended = True
        if side.forwards:
            self._end_output(side.other)
            if side.other.end.is_terminal:
                self._close()
        if side.has_exited:
            self._close()
        self._close_if_done()

    def lose(self, side: Side, exc: BaseException | None) -> None:
        """An end is gone (rule 3)."""
        if side.is_lost:
            return
        side.is_lost = side.input_ended = True
        if not self.is_closing:
            other = side.other
            if exc is None and other.forwards and not other.input_ended and side.end.says_when_broken:
                # It took its leave while there was more to write.
                exc = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            if exc is not None:
                self.failure = (side.end.address, exc)
            self._close()
        elif exc is not None and self.failure is None:
            self.failure = (side.end.address, exc)
        if all(each.is_lost for each in self._sides) and not self._finished.done():
            self._finished.set_result(None)

    # -- ends -------------------------------------------------------------------------

    def _end_output(self, side: Side) -> None:
        if side.output_ended or side.is_lost:
            return
        side.output_ended = True
        if side.transport.can_write_eof():
            side.transport.write_eof()
        elif side.end.reads and not side.input_ended:
            self._close_after_silence(side)

    def _close_if_done(self) -> None:
        if self.is_closing:
            return
        first, second = self._sides
        if first.input_ended and second.input_ended:
            self._close()
            return
        # Of one direction only: the end of the other one is waited for, but not for ever.
        for side in self._sides:
            if side.input_ended and side.forwards and not side.other.forwards:
                self._close_later()

    def _close_later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._linger, self._close)

    def _close_after_silence(self, side: Side) -> None:
        heard = side.received, side.resumed

        def look() -> None:
            if self.is_closing:
                return
            # It is not its silence while it has not been asked everything yet, or while we do not listen.
            is_busy = side.transport.get_write_buffer_size() or not side.transport.is_reading()
            if (side.received, side.resumed) == heard and not is_busy:
                self._close()
            else:
                self._close_after_silence(side)

        self._timer = self._loop.call_later(self._linger, look)

    def _close(self) -> None:
        if self.is_closing:
            return
        self.is_closing = True
        for side in self._sides:
            if not side.is_lost:
                side.transport.close()

    async def _watch(self, side: Side) -> None:
        """A child that has ended, and whose output was read, needs no input any more."""
        await side.end.child.wait()
        side.has_exited = True
        if side.input_ended:
            self._close()

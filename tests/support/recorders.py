"""Protocols that write down what happens to them, and let a test wait for it."""

from __future__ import annotations

import asyncio


class Notes:
    """A list of events that can be awaited. No test sleeps and hopes: it waits for what must come."""

    def __init__(self):
        self.events: list[str] = []
        self._waiters: list[tuple[object, asyncio.Future]] = []

    def note(self, event: str) -> None:
        self.events.append(event)
        for condition, future in self._waiters[:]:
            if condition() and not future.done():
                future.set_result(None)

    async def until(self, condition) -> None:
        """Wait for an event by name, or until a function without arguments gives true after some event."""
        if isinstance(condition, str):
            name = condition
            condition = lambda: name in self.events  # noqa: E731
        if condition():
            return
        future = asyncio.get_running_loop().create_future()
        entry = (condition, future)
        self._waiters.append(entry)
        try:
            await future
        finally:
            self._waiters.remove(entry)


class Recorder(Notes, asyncio.Protocol):
    """A stream protocol that keeps its data and its callbacks, in order.

    Data callbacks are noted as one `data_received`, since a stream has no chunks to promise.
    """

    def __init__(self):
        super().__init__()
        self.transport = None
        self.data = bytearray()
        self.error: BaseException | None = None
        self.keep_open_at_eof = False

    def connection_made(self, transport):
        self.transport = transport
        self.note("connection_made")

    def data_received(self, data):
        assert type(data) is bytes
        assert data
        self.data += data
        if self.events[-1:] == ["data_received"]:
            self.events.pop()
        self.note("data_received")

    def eof_received(self):
        self.note("eof_received")
        return self.keep_open_at_eof

    def pause_writing(self):
        self.note("pause_writing")

    def resume_writing(self):
        self.note("resume_writing")

    def connection_lost(self, error):
        self.error = error
        self.note("connection_lost")

    async def until_data(self, count: int) -> None:
        await self.until(lambda: len(self.data) >= count)


class BufferedRecorder(Notes, asyncio.BufferedProtocol):
    """The same with a buffer of the protocol's own."""

    def __init__(self, size: int = 64):
        super().__init__()
        self.buffer = bytearray(size)
        self.transport = None
        self.data = bytearray()
        self.error: BaseException | None = None
        self.keep_open_at_eof = False

    def connection_made(self, transport):
        self.transport = transport
        self.note("connection_made")

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        assert 0 < count <= len(self.buffer)
        self.data += self.buffer[:count]
        if self.events[-1:] == ["buffer_updated"]:
            self.events.pop()
        self.note("buffer_updated")

    def eof_received(self):
        self.note("eof_received")
        return self.keep_open_at_eof

    def pause_writing(self):
        self.note("pause_writing")

    def resume_writing(self):
        self.note("resume_writing")

    def connection_lost(self, error):
        self.error = error
        self.note("connection_lost")

    async def until_data(self, count: int) -> None:
        await self.until(lambda: len(self.data) >= count)


class DatagramRecorder(Notes, asyncio.DatagramProtocol):
    """A datagram protocol that keeps what it got and from where."""

    def __init__(self):
        super().__init__()
        self.transport = None
        self.received: list[tuple[bytes, object]] = []
        self.errors: list[OSError] = []
        self.error: BaseException | None = None

    def connection_made(self, transport):
        self.transport = transport
        self.note("connection_made")

    def datagram_received(self, data, addr):
        assert type(data) is bytes
        self.received.append((data, addr))
        self.note("datagram_received")

    def error_received(self, exc):
        self.errors.append(exc)
        self.note("error_received")

    def pause_writing(self):
        self.note("pause_writing")

    def resume_writing(self):
        self.note("resume_writing")

    def connection_lost(self, exc):
        self.error = exc
        self.note("connection_lost")

    async def until_count(self, count: int) -> None:
        await self.until(lambda: len(self.received) >= count)

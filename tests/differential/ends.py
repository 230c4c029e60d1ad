"""What stands at the ends of links: protocols and sockets that write down what happens to them.

The bytes that an end sends are a fixed pattern, so a receiver can tell that what it got is what was sent, from the
beginning and without a gap, and the trace needs their number only.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

PERIOD = 251
PATTERN = bytes(range(PERIOD)) * (4_000_000 // PERIOD)
BUFFER = 1000
"""The buffer of buffered protocols: small, so that it fills."""


def pattern(offset: int, count: int) -> bytes:
    begin = offset % PERIOD
    return PATTERN[begin : begin + count]


class End:
    """One end: its trace, and what it has sent and received."""

    def __init__(self, world, name: str, link, spec):
        self.world = world
        self.link = link
        self.name = name
        self.trace = world.traces[name]
        self.spec = spec
        self.waiting = dict(spec.reactions)
        self.sent = self.received = 0
        self.ended = self.lost = False

    def note(self, event) -> None:
        self.world.note(self.name, event)

    def happened(self, event: str, detail: str = "") -> None:
        """Note an event, and react to the first of its kind."""
        self.note(event + detail)
        operations = self.waiting.pop(event, ())
        for operation in operations:
            self.world.do(self.name, operation, me=self)
        if operations:
            self.world.let_written_leave()

    def got(self, data: bytes) -> None:
        if data != pattern(self.received, len(data)):
            self.note(f"other bytes than were sent, from {self.received} on")
        self.received += len(data)
        self.world.stir()

    def next_data(self, count: int) -> bytes:
        return pattern(self.sent, count)

    @contextlib.contextmanager
    def sending(self, count: int):
        """The next so many bytes. They count before they are handed on, for `pause_writing` may write more."""
        data = self.next_data(count)
        self.sent += count
        try:
            yield data
        except BaseException:
            self.sent -= count
            raise


class TransportEnd(End):
    """An end with a transport."""

    transport: asyncio.Transport | None = None
    resuming = False
    """Whether `resume_reading` was called within two turns."""
    wrote_to_the_dead = False
    is_cut = False
    is_secure = closed = aborted = False

    @property
    def is_over(self) -> bool:
        return self.lost or (self.is_secure and (self.aborted or self.closed))

    @property
    def is_ending_pipe(self) -> bool:
        """Whether it writes to a pipe, and closes: asyncio ends such a transport twice when it is aborted as well."""
        return self.spec.protocol == "writer" and self.transport.is_closing()

    @property
    def says_goodbye(self) -> bool:
        """Whether it is a TLS connection that the program has closed. What comes from the peer until it has closed its
        side as well is dropped by tulipa; asyncio hands some of it on, or ends with OpenSSL's complaint."""
        return self.closed and self.is_secure

    def made(self, transport) -> None:
        self.transport = transport
        self.is_secure = transport.get_extra_info("ssl_object") is not None
        self.happened("connection_made")

    def data(self, data: bytes) -> None:
        if self.says_goodbye:
            return
        self.got(data)
        # Chunks are the kernel's. They are one event until something else happens.
        if self.trace[-1:] == ["data"]:
            self.trace.pop()
        self.happened("data")

    def end(self, error) -> None:
        self.lost = True
        if not self.says_goodbye:
            self.happened("connection_lost", f" {family(error)}")

    def unsent(self) -> int:
        """How much waits to be sent. A TLS transport of asyncio that has ended cannot say, nor the reader of a pipe."""
        if self.is_over or self.spec.protocol == "reader" or not hasattr(self.transport, "get_write_buffer_size"):
            return 0
        return self.transport.get_write_buffer_size()

    def state(self) -> str:
        transport = self.transport
        if transport is None:
            return "never connected"
        if self.says_goodbye:
            return "closed"
        said = ["received a part" if self.is_cut else f"received {self.received}"]
        said.append("closing" if transport.is_closing() else "open")
        # asyncio's TLS transports read for ever, by what they say.
        if hasattr(transport, "is_reading") and self.spec.protocol != "writer" and not transport.is_closing():
            said.append("reads" if transport.is_reading() else "does not read")
        said.append("has to write" if self.unsent() else "wrote all")
        return ", ".join(said)


class Stream(asyncio.Protocol):
    def __init__(self, end: TransportEnd):
        self.end = end

    def connection_made(self, transport):
        self.end.made(transport)

    def data_received(self, data):
        self.end.data(data)

    def eof_received(self):
        self.end.ended = True
        if not self.end.says_goodbye:
            self.end.happened("eof_received")
        return self.end.spec.keep_open

    def pause_writing(self):
        self.end.happened("pause_writing")

    def resume_writing(self):
        self.end.happened("resume_writing")

    def connection_lost(self, error):
        self.end.end(error)


class Buffered(Stream, asyncio.BufferedProtocol):
    data_received = None

    def __init__(self, end: TransportEnd):
        super().__init__(end)
        self.buffer = bytearray(BUFFER)

    def get_buffer(self, sizehint):
        return memoryview(self.buffer)

    def buffer_updated(self, count):
        self.end.data(bytes(self.buffer[:count]))


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, end: TransportEnd):
        self.end = end

    def connection_made(self, transport):
        self.end.made(transport)

    def datagram_received(self, data, address):
        self.end.happened("datagram", f" of {len(data)}")

    def error_received(self, error):
        self.end.happened("error_received", f" {family(error)}")

    def pause_writing(self):
        self.end.happened("pause_writing")

    def resume_writing(self):
        self.end.happened("resume_writing")

    def connection_lost(self, error):
        self.end.end(error)


PROTOCOLS = {"stream": Stream, "buffered": Buffered, "datagram": Datagrams, "writer": Stream, "reader": Stream}


class RawEnd(End):
    """A plain socket in the program's own hands.

    One operation or watch per direction at a time: for two asyncio loses the first (docs/compatibility.md).
    """

    def __init__(self, world, name, link, spec, sock: socket.socket):
        super().__init__(world, name, link, spec)
        self.sock = sock
        self.busy: dict[str, str] = {}

    def is_free(self, *directions: str) -> bool:
        return self.sock.fileno() >= 0 and not any(direction in self.busy for direction in directions)

    def state(self) -> str:
        return f"received {self.received}, sent {self.sent}, busy {sorted(self.busy.values())}"

    def abandon(self) -> None:
        if self.sock.fileno() >= 0:
            self.world.loop.remove_reader(self.sock)
            self.world.loop.remove_writer(self.sock)
            self.sock.close()

    def readable(self) -> None:
        """The callback of `add_reader`: takes a piece, and stops at the end."""
        with contextlib.suppress(BlockingIOError):
            try:
                data = self.sock.recv(BUFFER)
            except ConnectionError as error:
                self.note(f"reader: {family(error)}")
                data = b""
            self.got(data)
            if not data:
                self.note("reader: end")
                self.world.loop.remove_reader(self.sock)
                del self.busy["read"]

    def writable(self) -> None:
        """The callback of `add_writer`: once is enough."""
        self.note("writer")
        self.world.loop.remove_writer(self.sock)
        del self.busy["write"]


DEAD = {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN}


def family(error: BaseException | None) -> str:
    """The kind of an error. Which of its faces a dead connection shows depends on what meets it, a read, a write or a
    shutdown, and so on when written bytes leave: tulipa's leave at the end of the turn."""
    if isinstance(error, ConnectionError) or (isinstance(error, OSError) and error.errno in DEAD):
        return "ConnectionError"
    return type(error).__name__

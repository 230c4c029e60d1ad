"""Two ends that speak TLS on a loop; and one end on a loop whose peer the test moves by hand.

Both ends are made by `create_connection(sock=)` and `connect_accepted_socket`, so that a failure of either side is an
exception in the test's hands, and no listener has to be waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass

import pytest

from tests.support.certificates import NAME, client_context, server_context
from tests.support.recorders import Recorder
from tests.support.streams import raw_pair, turns

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
versions = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
sides = pytest.mark.parametrize("side", ["client", "server"])


@dataclass(frozen=True)
class End:
    transport: asyncio.Transport
    protocol: Recorder

    @property
    def ssl_object(self) -> ssl.SSLObject:
        return self.transport.get_extra_info("ssl_object")


@dataclass(frozen=True)
class Pair:
    client: End
    server: End

    def __iter__(self):
        return iter((self.client, self.server))

    def seen_from(self, side: str) -> tuple[End, End]:
        """(the end of this side, the other)"""
        return (self.client, self.server) if side == "client" else (self.server, self.client)


async def handshake(
    loop,
    client=None,
    server=None,
    *,
    kind="tcp",
    factory=Recorder,
    server_factory=None,
    server_hostname=NAME,
    client_options=None,
    server_options=None,
):
    """For each side what came of it: (transport, protocol), or the exception."""
    left, right = raw_pair(kind)
    return await asyncio.gather(
        loop.create_connection(
            factory,
            sock=left,
            ssl=client or client_context(),
            server_hostname=server_hostname,
            **(client_options or {}),
        ),
        loop.connect_accepted_socket(
            server_factory or factory, right, ssl=server or server_context(), **(server_options or {})
        ),
        return_exceptions=True,
    )


@contextlib.asynccontextmanager
async def tls_pair(loop, client=None, server=None, **options):
    """Two ends after their handshake; aborted at the end if they are still there."""
    outcomes = await handshake(loop, client, server, **options)
    try:
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        yield Pair(End(*outcomes[0]), End(*outcomes[1]))
    finally:
        await abandon(*(outcome[0] for outcome in outcomes if isinstance(outcome, tuple)))


async def abandon(*transports) -> None:
    """Abort, and let pass the few turns that the callbacks of layered transports take."""
    for transport in transports:
        transport.abort()
    await turns(6)


async def lost(*protocols) -> None:
    for protocol in protocols:
        await protocol.until("connection_lost")


async def failed(loop, client=None, server=None, **options):
    """The exceptions of both sides; None for a side that succeeded, which is aborted."""
    outcomes = await handshake(loop, client, server, **options)
    await abandon(*(outcome[0] for outcome in outcomes if isinstance(outcome, tuple)))
    return [outcome if isinstance(outcome, BaseException) else None for outcome in outcomes]


async def exchange(pair, words=b"question", answer=b"answer") -> None:
    """Something said in each direction; in TLS 1.3 this also brings the client what follows the handshake."""
    before = len(pair.client.protocol.data), len(pair.server.protocol.data)
    pair.client.transport.write(words)
    await pair.server.protocol.until_data(before[1] + len(words))
    pair.server.transport.write(answer)
    await pair.client.protocol.until_data(before[0] + len(answer))
    assert pair.server.protocol.data[before[1] :] == words
    assert pair.client.protocol.data[before[0] :] == answer


async def write_until_paused(end, chunk=bytes(100_000), most=40_000_000) -> int:
    """Write to somebody who does not read, until the protocol is paused; how much was written."""
    written = 0
    while "pause_writing" not in end.protocol.events:
        assert written < most, f"{written} bytes were taken without a pause"
        end.transport.write(chunk)
        written += len(chunk)
        await asyncio.sleep(0)
    return written


class Peer:
    """The other end, moved by hand: an `ssl.SSLObject` of the test's own over a plain socket.

    Nothing is sent unless the test says so: `made()` is the ciphertext that waits to be sent.
    """

    def __init__(self, loop, sock, *, server_side, context=None, server_hostname=NAME):
        self.loop = loop
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = (context or (server_context() if server_side else client_context())).wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=None if server_side else server_hostname,
        )

    def made(self) -> bytes:
        return self._outgoing.read()

    async def send(self, ciphertext: bytes | None = None) -> None:
        """Send this, or what was made."""
        await self.loop.sock_sendall(self.sock, self.made() if ciphertext is None else ciphertext)

    async def take(self) -> bool:
        """Receive once; false at the end."""
        data = await self.loop.sock_recv(self.sock, 65536)
        self._incoming.write(data)
        return bool(data)

    async def handshake(self, *, leave_last: bool = False) -> None:
        """Shake hands to the end of this side. With `leave_last`, what is to be sent last waits in `made()`."""
        while True:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                await self.send()
                if not await self.take():
                    raise ConnectionAbortedError("the other end is gone") from None
            else:
                break
        if not leave_last:
            await self.send()

    async def write(self, data: bytes) -> None:
        self.object.write(data)
        await self.send()

    async def read(self, count: int) -> bytes:
        """Exactly so many bytes, or fewer if the other end ends, properly or not."""
        got = bytearray()
        while len(got) < count:
            try:
                data = self.object.read(count - len(got))
            except ssl.SSLWantReadError:
                await self.send()
                if not await self.take():
                    break
            except ssl.SSLZeroReturnError:
                break
            else:
                if not data:
                    break
                got += data
        return bytes(got)

    def say_goodbye(self) -> None:
        """Make a close_notify, to be sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.object.unwrap()

    async def goodbye_comes(self) -> None:
        """Wait until the other end has sent its close_notify."""
        while True:
            try:
                data = self.object.read(65536)
            except ssl.SSLWantReadError:
                if not await self.take():
                    raise ConnectionAbortedError("the other end went without close_notify") from None
            except ssl.SSLZeroReturnError:
                return
            else:
                if not data:
                    return


@contextlib.asynccontextmanager
async def end_and_peer(loop, side="client", *, factory=Recorder, kind="tcp", peer_context=None, **options):
    """An end of TLS on the loop, and its peer in the test's hands: (End, Peer)."""
    left, right = raw_pair(kind)
    with right:
        peer = Peer(loop, right, server_side=side == "client", context=peer_context)
        made = asyncio.ensure_future(start(loop, side, left, factory, **options))
        try:
            await peer.handshake()
            end = End(*await made)
        except BaseException:
            made.cancel()
            (outcome,) = await asyncio.gather(made, return_exceptions=True)
            if isinstance(outcome, tuple):
                await abandon(outcome[0])
            raise
        try:
            yield end, peer
        finally:
            await abandon(end.transport)


async def start(loop, side, sock, factory=Recorder, *, context=None, **options):
    """One end, over a socket."""
    if side == "client":
        return await loop.create_connection(
            factory, sock=sock, ssl=context or client_context(), server_hostname=NAME, **options
        )
    return await loop.connect_accepted_socket(factory, sock, ssl=context or server_context(), **options)

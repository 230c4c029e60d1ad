"""asyncio's streams on TLS: open_connection, start_server, StreamWriter.start_tls. # G8 # T11"""

import asyncio
import contextlib
import ssl

import pytest

from tests.support.certificates import NAME, certificate, client_context, server_context


@contextlib.asynccontextmanager
async def serving(handler, kind="tcp", path=None, **options):
    """A server of streams, and the arguments for `open_connection` to it. Its handlers end before it does."""
    tasks = []

    async def handle(reader, writer):
        tasks.append(asyncio.current_task())
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    if kind == "unix":
        server = await asyncio.start_unix_server(handle, path, **options)
    else:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
    try:
        yield server
    finally:
        server.close()
        await asyncio.gather(*tasks)
        await server.wait_closed()


async def upper(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()


async def connect(server, **options):
    options.setdefault("ssl", client_context())
    return await asyncio.open_connection(*server.sockets[0].getsockname()[:2], server_hostname=NAME, **options)


async def test_lines_both_ways(loop):
    async with serving(upper, ssl=server_context()) as server:
        reader, writer = await connect(server)
        for line in (b"hello\n", b"world\n"):
            writer.write(line)
            assert await reader.readline() == line.upper()
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert writer.get_extra_info("sslcontext") is not None
        assert writer.can_write_eof() is False
        writer.close()
        await writer.wait_closed()


async def test_unix_sockets(loop, tmp_path):
    path = str(tmp_path / "socket")
    async with serving(upper, "unix", path, ssl=server_context()):
        reader, writer = await asyncio.open_unix_connection(path, ssl=client_context(), server_hostname=NAME)
        writer.write(b"hello\n")
        assert await reader.readline() == b"HELLO\n"
        writer.close()
        await writer.wait_closed()


async def test_much_data_through_drain(loop):
    async def sink(reader, writer):
        total = 0
        while data := await reader.read(65536):
            total += len(data)
            if total == 20_000_000:
                writer.write(b"%d\n" % total)
                break

    async with serving(sink, ssl=server_context()) as server:
        reader, writer = await connect(server)
        for _ in range(200):
            writer.write(bytes(100_000))
            await writer.drain()
        assert await reader.readline() == b"20000000\n"
        writer.close()
        await writer.wait_closed()


async def test_the_peers_end_is_an_end_of_file(loop):
    async def farewell(reader, writer):
        writer.write(b"farewell")

    async with serving(farewell, ssl=server_context()) as server:
        reader, writer = await connect(server)
        assert await reader.read() == b"farewell"
        assert reader.at_eof()
        writer.close()
        await writer.wait_closed()


async def test_wait_closed_comes_after_everything_was_sent(loop):
    got = []

    async def take(reader, writer):
        got.append(await reader.read())

    async with serving(take, ssl=server_context()) as server:
        _, writer = await connect(server)
        writer.write(bytes(5_000_000))
        writer.close()
        await writer.wait_closed()
    assert [len(data) for data in got] == [5_000_000]


async def test_a_refused_certificate(loop):
    async with serving(upper, ssl=server_context("other.test")) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(server)


async def test_both_sides_upgrade(loop):
    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"GO\n")
        await writer.start_tls(server_context())
        assert writer.get_extra_info("ssl_object").server_side
        await upper(reader, writer)

    async with serving(serve) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        plain = writer.transport
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"GO\n"
        await writer.start_tls(client_context(), server_hostname=NAME)
        assert writer.transport is not plain
        writer.write(b"secret\n")
        assert await reader.readline() == b"SECRET\n"
        writer.close()
        await writer.wait_closed()


async def test_an_upgrade_inside_tls(loop):
    """Through a proxy: CONNECT over TLS, then TLS to the server behind it."""

    async def serve(reader, writer):
        assert await reader.readline() == b"CONNECT\n"
        writer.write(b"OK\n")
        await writer.start_tls(server_context("inner.test"))
        await upper(reader, writer)

    async with serving(serve, ssl=server_context()) as server:
        reader, writer = await connect(server)
        writer.write(b"CONNECT\n")
        assert await reader.readline() == b"OK\n"
        await writer.start_tls(client_context(), server_hostname="inner.test")
        names = writer.get_extra_info("peercert")["subjectAltName"]
        assert names == (("DNS", "inner.test"),)
        writer.write(b"secret\n")
        assert await reader.readline() == b"SECRET\n"
        writer.close()
        await writer.wait_closed()


async def test_an_upgrade_that_fails(loop):
    async def serve(reader, writer):
        await reader.readline()
        writer.write(b"GO\n")
        with pytest.raises(OSError):
            await writer.start_tls(server_context())
            await reader.readexactly(1)
            raise ConnectionError("the client went after its handshake")  # it had none

    async with serving(serve) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"GO\n"
        with pytest.raises(ssl.SSLCertVerificationError):
            await writer.start_tls(client_context(), server_hostname="other.test")
        assert writer.transport.is_closing()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_the_readers_limit_holds_back_the_peer(loop):
    """A reader that nobody reads pauses its transport, also through TLS."""
    paused = asyncio.Event()

    async def send(reader, writer):
        for _ in range(1000):
            writer.write(bytes(100_000))
            try:
                async with asyncio.timeout(0.1):
                    await writer.drain()
            except TimeoutError:
                paused.set()
                break
        writer.transport.abort()

    async with serving(send, ssl=server_context()) as server:
        reader, writer = await connect(server, limit=1000)
        await paused.wait()
        assert len(reader._buffer) < 1_000_000
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_server_with_a_context_changed_while_it_runs(loop):
    """New certificates are loaded into the context that is being served, as servers do on SIGHUP."""
    context = server_context(NAME)

    async with serving(upper, ssl=context) as server:
        serials = []
        for _ in range(2):
            reader, writer = await connect(server)
            serials.append(writer.get_extra_info("peercert")["serialNumber"])
            writer.write(b"x\n")
            await reader.readline()
            writer.close()
            await writer.wait_closed()
            certificate(NAME, "renewed.test").configure_cert(context)
    assert serials[0] != serials[1]


async def test_many_clients_at_once(loop):
    async with serving(upper, ssl=server_context()) as server:

        async def client(number):
            reader, writer = await connect(server)
            writer.write(b"client %d\n" % number)
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return line

        lines = await asyncio.gather(*(client(number) for number in range(30)))
    assert lines == [b"CLIENT %d\n" % number for number in range(30)]

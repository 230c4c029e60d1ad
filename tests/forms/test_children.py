"""A child's input and output as one transport. # G7 # P7"""

import asyncio
import os
import signal
import ssl
import sys

import pytest

import tulipa
from tests.support.certificates import NAME
from tests.support.children import children, held_back
from tests.support.recorders import Recorder
from tests.support.streams import turns

pytestmark = pytest.mark.only_tulipa


async def finish(writer):
    writer.close()
    await writer.wait_closed()
    return await writer.transport.wait()


async def test_what_is_written_is_its_input_and_what_arrives_its_output(loop):
    transport, protocol = await tulipa.connect_child(Recorder, "sort")
    assert isinstance(transport, asyncio.Transport)
    assert transport.get_pid() in children()
    assert transport.get_returncode() is None
    assert transport.pty is None
    assert transport.get_extra_info("subprocess").pid == transport.get_pid()
    transport.write(b"b\na\n")
    transport.write_eof()
    await protocol.until("connection_lost")
    assert protocol.data == b"a\nb\n"
    assert protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
    assert protocol.error is None
    assert await transport.wait() == transport.get_returncode() == 0


async def test_streams(loop):
    reader, writer = await tulipa.open_child("sh", "-c", "read word; echo $word; read word; exit $word")
    writer.write(b"echo\n")
    assert await reader.readline() == b"echo\n"
    writer.write(b"7\n")
    assert await reader.read() == b""
    assert await finish(writer) == 7


async def test_standard_error_is_apart_or_together(loop):
    line = ("sh", "-c", "echo out; echo err >&2")
    reader, writer = await tulipa.open_child(*line, stderr=asyncio.subprocess.PIPE)
    assert (await reader.read(), await writer.transport.stderr.read()) == (b"out\n", b"err\n")
    assert await finish(writer) == 0
    reader, writer = await tulipa.open_child(*line, stderr=asyncio.subprocess.STDOUT)
    assert await reader.read() == b"out\nerr\n"
    assert writer.transport.stderr is None
    assert await finish(writer) == 0


async def test_much_goes_through_both_ways(loop):
    data = os.urandom(3_000_000)
    transport, protocol = await tulipa.connect_child(Recorder, "cat")
    transport.write(data)
    transport.write_eof()
    await protocol.until("connection_lost")
    assert protocol.data == data
    assert await transport.wait() == 0


async def test_a_child_that_does_not_read_its_input_is_read_to_the_end(loop):
    script = "exec <&-; head -c 200000 /dev/zero; exit 5"
    reader, writer = await tulipa.open_child("sh", "-c", script)
    writer.write(bytes(1_000_000))
    await writer.drain()
    assert len(await reader.read()) == 200_000
    writer.write(b"to nobody")
    writer.write_eof()
    assert await finish(writer) == 5


async def test_a_child_that_reads_the_beginning_of_its_input(loop):
    reader, writer = await tulipa.open_child("head", "-n", "1")
    for _ in range(100):
        writer.write(b"line\n" * 10_000)
        await writer.drain()
    assert await reader.read() == b"line\n"
    assert await finish(writer) == 0


async def test_closing_kills_nobody(loop):
    reader, writer = await tulipa.open_child("sh", "-c", "cat >/dev/null; exit 4")
    assert await finish(writer) == 4
    assert await reader.read() == b""


@pytest.mark.parametrize(("send", "status"), [("terminate", signal.SIGTERM), ("kill", signal.SIGKILL)])
async def test_signals(loop, send, status):
    transport, protocol = await tulipa.connect_child(Recorder, "sleep", "60")
    getattr(transport, send)()
    assert await transport.wait() == -status
    await protocol.until("connection_lost")
    with pytest.raises(ProcessLookupError):
        transport.send_signal(0)


async def test_reading_can_be_paused_and_writing_pauses(loop):  # G17
    transport, protocol = await tulipa.connect_child(Recorder, "cat")
    transport.pause_reading()
    written = 0
    while "pause_writing" not in protocol.events:
        transport.write(bytes(50_000))
        written += 50_000
        await turns(1)
    await turns(20)
    assert protocol.data == b""
    transport.resume_reading()
    await protocol.until("resume_writing")
    await protocol.until_data(written)
    transport.close()
    await protocol.until("connection_lost")
    assert await transport.wait() == 0


async def test_tls_to_a_child(loop):  # G8
    """A child that speaks TLS over its standard input and output."""
    source = (
        "import asyncio, sys, tulipa\n"
        "from tests.support.certificates import server_context\n"
        "async def serve(reader, writer):\n"
        "    pass\n"
        "async def main():\n"
        "    class Echo(asyncio.Protocol):\n"
        "        def connection_lost(self, exc): ended.set_result(None)\n"
        "        def data_received(self, data): secure.write(data.upper())\n"
        "    ended = asyncio.get_running_loop().create_future()\n"
        "    transport, protocol = await tulipa.stdio(Echo)\n"
        "    transport.write(authority().cert_pem.bytes() + b'\\0')\n"
        "    secure = await asyncio.get_running_loop().start_tls(\n"
        "        transport, protocol, server_context(), server_side=True)\n"
        "    await ended\n"
        "from tests.support.certificates import authority\n"
        "tulipa.run(main())\n"
    )
    transport, protocol = await tulipa.connect_child(Recorder, sys.executable, "-c", source)
    await protocol.until(lambda: protocol.data.endswith(b"\0"))
    context = ssl.create_default_context(cadata=protocol.data[:-1].decode())
    protocol.data.clear()
    secure = await loop.start_tls(transport, protocol, context, server_hostname=NAME)
    secure.write(b"through two pipes")
    await protocol.until_data(17)
    assert protocol.data == b"THROUGH TWO PIPES"
    secure.close()
    await protocol.until("connection_lost")
    assert await transport.wait() == 0


# -- what fails on the way ----------------------------------------------------------------------


async def test_a_program_that_is_not_there_leaves_nothing(loop):  # R5
    with pytest.raises(FileNotFoundError):
        await tulipa.connect_child(Recorder, "/missing/program")
    assert children() == []


async def test_a_factory_that_fails_leaves_nothing(loop):  # R5
    def broken():
        raise LookupError("factory")

    with pytest.raises(LookupError):
        await tulipa.connect_child(broken, "sleep", "60")
    await turns(3)
    assert children() == []


@pytest.mark.parametrize("steps", range(12))
async def test_cancelling_leaves_neither_child_nor_descriptor(loop, steps):  # R5
    task = loop.create_task(tulipa.connect_child(Recorder, "sleep", "60"))
    await turns(steps)
    task.cancel()
    try:
        transport, protocol = await task
    except asyncio.CancelledError:
        pass
    else:
        transport.kill()
        await transport.wait()
        transport.abort()
        await protocol.until("connection_lost")
    await turns(3)
    assert children() == []


async def test_cancelling_while_the_child_is_on_its_way(loop, tmp_path):  # R5
    with held_back(tmp_path) as (path, release):
        task = loop.create_task(tulipa.connect_child(Recorder, path))
        await asyncio.sleep(0.05)
        task.cancel()
        release()
        with pytest.raises(asyncio.CancelledError):
            await task
    await turns(3)
    assert children() == []

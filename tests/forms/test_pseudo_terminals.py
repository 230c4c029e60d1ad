"""`tulipa.open_pty`: a pseudo-terminal as a transport, and children on one. # G7"""

import asyncio
import gc
import os
import signal
import sys
import termios
import tty

import pytest

import tulipa
from tests.support.children import children
from tests.support.recorders import Recorder
from tests.support.streams import turns

pytestmark = pytest.mark.only_tulipa


@pytest.fixture
def pty():
    with tulipa.open_pty((80, 24)) as opened:
        yield opened


async def ended(transport, protocol):
    transport.abort()
    await protocol.until("connection_lost")


# -- the terminal -------------------------------------------------------------------------------


async def test_what_is_typed_is_read_and_what_is_written_is_shown(loop, pty):
    tty.setraw(pty.slave)
    transport, protocol = await pty.connect(Recorder)
    assert isinstance(transport, asyncio.Transport)
    assert transport.pty is pty
    transport.write(b"typed")
    assert await loop.run_in_executor(None, os.read, pty.slave, 100) == b"typed"
    os.write(pty.slave, b"shown")
    await protocol.until_data(5)
    assert protocol.data == b"shown"
    assert os.get_blocking(pty.fileno()) and os.get_blocking(pty.slave)
    await ended(transport, protocol)
    assert repr(pty).endswith("closed>")


def test_it_has_a_name_and_a_size(pty):
    assert os.ttyname(pty.slave) == pty.path
    assert pty.size == os.terminal_size((80, 24))
    pty.size = (132, 50)
    assert os.get_terminal_size(pty.slave) == pty.size == os.terminal_size((132, 50))
    with tulipa.open_pty() as other:
        assert other.size == (0, 0)
        assert other.path != pty.path


def test_what_is_closed_says_so(pty):
    pty.close_slave()
    pty.close_slave()
    with pytest.raises(ValueError, match="terminal side"):
        _ = pty.slave
    pty.close()
    pty.close()
    for look in (lambda: pty.size, pty.fileno, lambda: pty.slave):
        with pytest.raises(ValueError, match="closed"):
            look()


@pytest.mark.parametrize("size", [(80,), (80, 24, 1), ("80", "24"), (-1, 24), (1 << 16, 24)])
def test_a_size_that_is_none_is_refused_and_nothing_is_left(size):
    with pytest.raises((TypeError, ValueError)):
        tulipa.open_pty(size)
    gc.collect()


async def test_the_end_comes_when_nobody_has_the_terminal_open(loop, pty):  # T36
    transport, protocol = await pty.connect(Recorder)
    other = os.open(pty.path, os.O_RDWR | os.O_NOCTTY)
    pty.close_slave()
    os.write(other, b"last words")
    await protocol.until_data(10)
    os.close(other)
    await protocol.until("connection_lost")
    assert protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
    assert protocol.error is None


async def test_the_end_closes_it_also_for_streams(loop, pty):
    reader, writer = await pty.streams()
    os.write(pty.slave, b"all")
    pty.close_slave()
    assert await reader.read() == b"all"
    await writer.wait_closed()
    assert writer.is_closing()


async def test_closing_hangs_up(loop, pty):
    transport, protocol = await pty.connect(Recorder)
    other = os.open(pty.path, os.O_RDWR | os.O_NOCTTY)
    try:
        transport.close()
        await protocol.until("connection_lost")
        await turns(2)
        assert os.read(other, 10) == b""
        with pytest.raises(OSError):
            os.write(other, b"x")
    finally:
        os.close(other)


async def test_two_terminals_at_once(loop, pty):
    """Their masters are one device, and yet two things: nobody is warned."""
    first = await pty.connect(Recorder)
    with tulipa.open_pty() as other:
        second = await other.connect(Recorder)
        os.write(pty.slave, b"one")
        os.write(other.slave, b"two")
        for (transport, protocol), text in ((first, b"one"), (second, b"two")):
            await protocol.until_data(3)
            assert protocol.data == text
            await ended(transport, protocol)


async def test_there_is_one_transport(loop, pty):  # G12
    transport, protocol = await pty.connect(Recorder)
    with pytest.raises(RuntimeError, match="used by transport"):
        await pty.connect(Recorder)
    os.write(pty.slave, b"goes on")
    await protocol.until_data(7)
    await ended(transport, protocol)


async def test_a_factory_that_fails_leaves_nothing(loop, pty):  # R5
    def broken():
        raise LookupError("factory")

    with pytest.raises(LookupError):
        await pty.connect(broken)
    await turns(2)
    transport, protocol = await pty.connect(Recorder)
    await ended(transport, protocol)


@pytest.mark.parametrize("steps", range(4))
async def test_cancelling_leaves_nothing(loop, pty, steps):  # R5
    task = loop.create_task(pty.connect(Recorder))
    await turns(steps)
    task.cancel()
    try:
        transport, protocol = await task
    except asyncio.CancelledError:
        await turns(3)
    else:
        await ended(transport, protocol)
    pty.close()


async def test_flow_is_controlled_both_ways(loop, pty):  # G17
    tty.setraw(pty.slave)
    transport, protocol = await pty.connect(Recorder)
    transport.set_write_buffer_limits(high=1000)
    transport.write(bytes(100_000))
    assert protocol.events[-1] == "pause_writing"
    total = 0
    while total < 100_000:
        total += len(await loop.run_in_executor(None, os.read, pty.slave, 65536))
    await protocol.until("resume_writing")
    transport.pause_reading()
    os.write(pty.slave, b"while paused")
    await turns(5)
    assert protocol.data == b""
    transport.resume_reading()
    await protocol.until_data(12)
    await ended(transport, protocol)


async def test_the_end_does_not_hang_up_on_a_child_that_is_about_to_end(loop, pty):
    """Closing the terminal is the last but one thing that most programs do."""
    source = "import os, time\nos.closerange(0, 3)\ntime.sleep(0.05)\nos._exit(7)"
    reader, writer = await tulipa.open_child(sys.executable, "-S", "-c", source, pty=pty)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert await writer.transport.wait() == 7
    while not repr(pty).endswith("closed>"):
        await asyncio.sleep(0.001)


async def test_aborting_hangs_up_even_then(loop, pty):
    source = "import os, time\nos.closerange(0, 3)\ntime.sleep(60)"
    reader, writer = await tulipa.open_child(sys.executable, "-S", "-c", source, pty=pty)
    assert await reader.read() == b""
    writer.transport.abort()
    pty.close()
    assert await writer.transport.wait() == -signal.SIGHUP


# -- the end of the input -----------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "read"), [(b"", []), (b"line\n", [b"line\n"]), (b"part", [b"part"])])
async def test_the_input_ends_as_by_ctrl_d(loop, pty, typed, read):  # P7
    transport, protocol = await pty.connect(Recorder)
    assert transport.can_write_eof()
    transport.write(typed)
    transport.write_eof()
    for expected in [*read, b""]:
        assert await loop.run_in_executor(None, os.read, pty.slave, 100) == expected
    with pytest.raises(RuntimeError, match="after write_eof"):
        transport.write(b"more")
    os.write(pty.slave, b"still shown")
    await protocol.until(lambda: protocol.data.endswith(b"still shown"))
    await ended(transport, protocol)


async def test_a_terminal_without_lines_has_no_end_to_type(loop, pty):
    tty.setraw(pty.slave)
    transport, protocol = await pty.connect(Recorder)
    assert not transport.can_write_eof()
    with pytest.raises(NotImplementedError):
        transport.write_eof()
    settings = termios.tcgetattr(pty.slave)
    settings[3] |= termios.ICANON
    settings[6][termios.VEOF] = b"\x1a"
    termios.tcsetattr(pty.slave, termios.TCSANOW, settings)
    transport.write_eof()
    assert await loop.run_in_executor(None, os.read, pty.slave, 100) == b""
    await ended(transport, protocol)


# -- children -----------------------------------------------------------------------------------


async def read_until(reader, expected):
    shown = b""
    while expected not in shown:
        data = await reader.read(1000)
        assert data, shown
        shown += data
    return shown


async def test_a_child_on_a_terminal(loop, pty):
    script = "tty; stty size; read word; echo <$word>; exit 3"
    reader, writer = await tulipa.open_child("sh", "-c", script.replace("<", "'<'").replace(">", "'>'"), pty=pty)
    assert (await reader.readline()).strip().decode() == pty.path
    assert await reader.readline() == b"24 80\r\n"
    writer.write(b"typed\n")
    assert (await reader.read()).endswith(b"<typed>\r\n")
    assert writer.transport.pty is pty
    assert await writer.transport.wait() == writer.transport.get_returncode() == 3
    await writer.wait_closed()


async def test_it_leads_a_session_that_the_terminal_controls(loop, pty):
    script = "set -- $(cat /proc/$$/stat); [ $$ = $6 ] && [ $$ = $8 ] && echo mine >/dev/tty"
    reader, writer = await tulipa.open_child("sh", "-c", script, pty=pty)
    assert await reader.read() == b"mine\r\n"
    assert await writer.transport.wait() == 0
    await writer.wait_closed()


async def test_a_resize_is_signalled(loop, pty):
    source = (
        "import os, signal, time\n"
        "def resized(*_):\n"
        "    print(*os.get_terminal_size(), flush=True)\n"
        "    os._exit(0)\n"
        "signal.signal(signal.SIGWINCH, resized)\n"
        "print('ready', flush=True)\n"
        # Short ones: a signal that comes just before a sleep does not end it.
        "while True: time.sleep(0.05)\n"
    )
    reader, writer = await tulipa.open_child(sys.executable, "-S", "-c", source, pty=pty)
    assert await reader.readline() == b"ready\r\n"
    pty.size = (132, 50)
    assert await reader.readline() == b"132 50\r\n"
    assert await writer.transport.wait() == 0
    await writer.wait_closed()


async def test_ctrl_c_interrupts_what_runs_there(loop, pty):
    source = (
        "import time\ntry:\n print('ready', flush=True)\n while True: time.sleep(0.05)\n"
        "except KeyboardInterrupt:\n print('stopped')"
    )
    reader, writer = await tulipa.open_child(sys.executable, "-S", "-c", source, pty=pty)
    await read_until(reader, b"ready")
    writer.write(b"\x03")
    assert b"stopped" in await reader.read()
    assert await writer.transport.wait() == 0
    await writer.wait_closed()


async def test_ctrl_z_stops_and_fg_resumes(loop, pty):
    reader, writer = await tulipa.open_child("sh", "-i", pty=pty, env={**os.environ, "PS1": "$ ", "ENV": ""})
    await read_until(reader, b"$ ")
    writer.write(b"cat\n")
    await read_until(reader, b"cat\r\n")
    writer.write(b"one\n")
    await read_until(reader, b"one\r\none\r\n")
    writer.write(b"\x1a")
    await read_until(reader, b"$ ")
    writer.write(b"fg\n")
    await read_until(reader, b"cat\r\n")
    writer.write(b"two\n")
    await read_until(reader, b"two\r\ntwo\r\n")
    writer.write(b"\x04")
    await read_until(reader, b"$ ")
    writer.write(b"\x04")
    await reader.read()
    assert await writer.transport.wait() == 0
    await writer.wait_closed()


async def test_closing_the_terminal_hangs_up_on_the_child(loop, pty):
    reader, writer = await tulipa.open_child("sh", "-c", "echo ready; exec sleep 60", pty=pty)
    await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert await writer.transport.wait() == -signal.SIGHUP


async def test_the_childs_end_is_the_end_however_much_it_wrote(loop, pty):
    reader, writer = await tulipa.open_child("sh", "-c", "head -c 300000 /dev/zero", pty=pty)
    assert len(await reader.read()) == 300_000
    assert await writer.transport.wait() == 0
    await writer.wait_closed()


async def test_standard_error_can_be_elsewhere(loop, pty):
    reader, writer = await tulipa.open_child(
        "sh", "-c", "echo out; echo err >&2", pty=pty, stderr=asyncio.subprocess.PIPE
    )
    assert await writer.transport.stderr.read() == b"err\n"
    assert await reader.read() == b"out\r\n"
    assert await writer.transport.wait() == 0
    await writer.wait_closed()


async def test_a_program_that_is_not_there_leaves_nothing(loop, pty):  # R5
    with pytest.raises(FileNotFoundError):
        await tulipa.open_child("/missing/program", pty=pty)
    assert repr(pty).endswith("closed>")
    assert children() == []


@pytest.mark.parametrize("steps", range(1, 12))
async def test_cancelling_a_start_leaves_neither_child_nor_descriptor(loop, pty, steps):  # R5
    task = loop.create_task(tulipa.connect_child(Recorder, "sleep", "60", pty=pty))
    await turns(steps)
    task.cancel()
    try:
        transport, protocol = await task
    except asyncio.CancelledError:
        pass
    else:
        transport.kill()
        await transport.wait()
        await ended(transport, protocol)
    await turns(3)
    assert children() == []
    assert repr(pty).endswith("closed>")


@pytest.mark.parametrize("options", [{"preexec_fn": os.getpid}, {"umask": 0o77}], ids=["a real fork", "natively"])
async def test_however_the_child_is_made(loop, options):
    pty = tulipa.open_pty()
    reader, writer = await tulipa.open_child("sh", "-c", "echo mine >/dev/tty", pty=pty, **options)
    assert await reader.read() == b"mine\r\n"
    assert await writer.transport.wait() == 0
    await writer.wait_closed()

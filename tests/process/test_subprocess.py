"""Subprocesses: exec and shell, standard streams, ends. # T22 # R10"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

import pytest

from tests.support.children import transport_ended
from tests.support.descriptors import open_descriptors

PYTHON = (sys.executable, "-S", "-E", "-c")
PIPE = subprocess.PIPE


def python(source, **options):
    return asyncio.create_subprocess_exec(*PYTHON, source, **options)


@pytest.mark.all_drivers
async def test_exec_gives_output_and_exit_code(loop):
    process = await python(
        "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    assert (out, err, process.returncode) == (b"out\n", b"err\n", 3)
    assert process.pid > 0


async def test_shell_runs_a_command_line(loop):
    process = await asyncio.create_subprocess_shell("echo one && echo two >&2; exit 5", stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert (out, err, process.returncode) == (b"one\n", b"two\n", 5)


@pytest.mark.all_drivers
async def test_communicate_feeds_standard_input(loop):
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    data = os.urandom(1_000_000)
    out, err = await process.communicate(data)
    assert out == data
    assert err is None
    assert process.returncode == 0


async def test_a_conversation_line_by_line(loop):
    process = await python(
        "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)", stdin=PIPE, stdout=PIPE
    )
    for word in (b"one", b"two", b"three"):
        process.stdin.write(word + b"\n")
        await process.stdin.drain()
        assert await process.stdout.readline() == word.upper() + b"\n"
    process.stdin.close()
    await process.stdin.wait_closed()
    assert await process.wait() == 0


async def test_standard_error_joined_with_standard_output(loop):
    process = await asyncio.create_subprocess_shell("echo out; echo err >&2", stdout=PIPE, stderr=subprocess.STDOUT)
    assert (await process.communicate())[0] == b"out\nerr\n"


async def test_devnull_and_inherited_descriptors(loop, tmp_path):
    with open(tmp_path / "out", "w+b") as file:
        process = await asyncio.create_subprocess_shell("cat; echo done", stdin=subprocess.DEVNULL, stdout=file)
        assert await process.wait() == 0
        file.seek(0)
        assert file.read() == b"done\n"


async def test_env_cwd_and_pass_fds(loop, tmp_path):
    read_end, write_end = os.pipe()
    try:
        process = await python(
            f"import os; print(os.environ['NAME'], os.getcwd()); os.write({write_end}, b'passed\\n')",
            stdout=PIPE,
            cwd=tmp_path,
            env={"NAME": "value"},
            pass_fds=[write_end],
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert out.decode().split() == ["value", str(tmp_path)]
        assert os.read(read_end, 100) == b"passed\n"
    finally:
        os.close(read_end)
        os.close(write_end)


async def test_a_child_inherits_no_descriptor_of_the_loop(loop):
    """What the child has beyond 0, 1, 2 is only what `ls` itself opened."""
    process = await asyncio.create_subprocess_exec("ls", "-1", "/proc/self/fd", stdout=PIPE, stdin=subprocess.DEVNULL)
    out, _ = await process.communicate()
    assert len(out.split()) == 4


async def test_children_start_with_default_signals(loop):
    process = await asyncio.create_subprocess_exec("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", stdout=PIPE)
    out, _ = await process.communicate()
    expected = subprocess.run(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"], capture_output=True, check=True)
    assert out == expected.stdout


@pytest.mark.parametrize("how", ["kill", "terminate", "send_signal"])
async def test_ending_a_child_by_signal(loop, how):
    process = await asyncio.create_subprocess_exec("sleep", "60")
    if how == "send_signal":
        process.send_signal(signal.SIGUSR1)
        expected = -signal.SIGUSR1
    else:
        getattr(process, how)()
        expected = -signal.SIGKILL if how == "kill" else -signal.SIGTERM
    assert await process.wait() == expected
    assert process.returncode == expected


@pytest.mark.parametrize("how", ["kill", "terminate"])
async def test_signalling_a_child_that_has_ended_is_an_error_or_nothing(loop, how):
    """Nothing until the transport has ended, which `wait` need not wait for, and then an error."""
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    with contextlib.suppress(ProcessLookupError):
        getattr(process, how)()
    await transport_ended(process)
    with pytest.raises(ProcessLookupError):
        getattr(process, how)()


async def test_wait_may_be_called_by_many_and_again(loop):
    process = await asyncio.create_subprocess_exec("sleep", "0.02")
    assert await asyncio.gather(*(process.wait() for _ in range(5))) == [0] * 5
    assert await process.wait() == 0


async def test_the_end_comes_after_all_output(loop):  # T22
    """Up to 3.13, `wait` resolves when the pipes are closed as well; from 3.14 on when the child has ended."""
    process = await asyncio.create_subprocess_shell("sleep 0.05; echo one; (sleep 0.1; echo two) &", stdout=PIPE)
    assert await process.wait() == 0
    if sys.version_info < (3, 14):
        assert process.stdout._buffer == b"one\ntwo\n"
    else:
        assert b"two" not in process.stdout._buffer
    assert process.stdout.at_eof() is False
    assert await process.stdout.read() == b"one\ntwo\n"
    await transport_ended(process)


async def test_callbacks_of_a_subprocess_protocol_come_in_order(loop):  # T22
    class Protocol(asyncio.SubprocessProtocol):
        def __init__(self):
            self.events = []
            self.done = loop.create_future()

        def connection_made(self, transport):
            self.transport = transport
            self.events.append("connection_made")

        def pipe_data_received(self, fd, data):
            self.events.append(("data", fd, data))

        def pipe_connection_lost(self, fd, error):
            self.events.append(("lost", fd))

        def process_exited(self):
            self.events.append("process_exited")
            assert self.transport.get_returncode() == 7

        def connection_lost(self, error):
            self.events.append("connection_lost")
            self.done.set_result(None)

    transport, protocol = await loop.subprocess_shell(Protocol, "echo out; echo err >&2; exit 7")
    await protocol.done
    events = protocol.events
    assert events[0] == "connection_made"
    assert events[-1] == "connection_lost"
    assert events.index(("data", 1, b"out\n")) < events.index(("lost", 1))
    assert events.index(("data", 2, b"err\n")) < events.index(("lost", 2))
    assert events.count("process_exited") == 1
    assert transport.get_returncode() == 7
    transport.close()


async def test_the_transport_tells_about_the_child(loop):  # T2 T42
    transport, _ = await loop.subprocess_exec(asyncio.SubprocessProtocol, "sleep", "60")
    assert isinstance(transport, asyncio.SubprocessTransport)
    assert transport.get_returncode() is None
    assert isinstance(transport.get_extra_info("subprocess"), subprocess.Popen)
    assert transport.get_extra_info("subprocess").pid == transport.get_pid()
    stdout = transport.get_pipe_transport(1)
    assert isinstance(stdout, asyncio.ReadTransport)
    assert isinstance(transport.get_pipe_transport(0), asyncio.WriteTransport)
    transport.kill()
    await transport._wait()
    transport.close()
    await asyncio.sleep(0.001)


async def test_closing_the_transport_kills_the_child(loop):
    transport, _ = await loop.subprocess_exec(asyncio.SubprocessProtocol, "sleep", "60")
    child = transport.get_pid()
    transport.close()
    await transport._wait()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


async def test_a_program_that_does_not_exist(loop):
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        await asyncio.create_subprocess_exec("/no-such-program", stdout=PIPE)
    with pytest.raises(FileNotFoundError):
        await asyncio.create_subprocess_exec("true", cwd="/no-such-folder", stdout=PIPE)


async def test_a_file_that_is_no_program(loop, tmp_path):
    path = tmp_path / "text"
    path.write_text("text")
    with pytest.raises(PermissionError):
        await asyncio.create_subprocess_exec(str(path))


@pytest.mark.parametrize(
    "options",
    [{"universal_newlines": True}, {"shell": True}, {"bufsize": 4096}, {"text": True}, {"encoding": "utf-8"}],
    ids=lambda options: next(iter(options)),
)
async def test_options_that_asyncio_refuses_are_refused(loop, options):
    with pytest.raises(ValueError):
        await asyncio.create_subprocess_exec("true", **options)


async def test_wrong_arguments_are_type_errors(loop):
    with pytest.raises(TypeError):
        await asyncio.create_subprocess_exec(1)
    with pytest.raises(ValueError):
        await asyncio.create_subprocess_shell(["a", "list"])
    with pytest.raises((ValueError, TypeError)):
        await asyncio.create_subprocess_exec("tr\0ue")


async def test_a_child_that_does_not_read_its_input(loop):
    process = await asyncio.create_subprocess_exec("true", stdin=PIPE, stdout=PIPE)
    out, _ = await process.communicate(bytes(1_000_000))
    assert out == b""
    assert process.returncode == 0


async def test_paths_may_be_bytes_or_path_objects(loop, tmp_path):
    import pathlib
    import shutil

    program = shutil.which("echo")
    for path in (program, program.encode(), pathlib.Path(program)):
        process = await asyncio.create_subprocess_exec(path, b"bytes", "text", stdout=PIPE)
        assert (await process.communicate())[0] == b"bytes text\n"


@pytest.mark.all_drivers
async def test_many_children_at_once(loop):
    async def one(number):
        process = await asyncio.create_subprocess_exec("echo", str(number), stdout=PIPE)
        out, _ = await process.communicate()
        assert process.returncode == 0
        return int(out)

    before = open_descriptors()
    assert await asyncio.gather(*(one(number) for number in range(40))) == list(range(40))
    await asyncio.sleep(0.001)
    assert len(open_descriptors()) <= len(before) + 1


async def test_many_short_ones_one_after_another(loop):
    before = len(open_descriptors())
    for _ in range(40):
        process = await asyncio.create_subprocess_exec("true")
        assert await process.wait() == 0
    assert len(open_descriptors()) <= before + 1


async def test_no_zombies_are_left(loop):
    for _ in range(5):
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        assert not os.path.exists(f"/proc/{process.pid}")


async def test_the_loop_goes_on_while_children_start(loop):
    """A 10 ms ticker beside a burst of starts keeps going."""
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = loop.create_task(tick())
    for _ in range(10):
        process = await asyncio.create_subprocess_exec("sleep", "0.01")
        await process.wait()
    ticking.cancel()
    assert ticks >= 10

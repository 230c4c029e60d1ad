"""Every argument of `subprocess.Popen` works, and what it refuses is refused in the same way."""

import asyncio
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.children import children
from tests.support.programs import check_program
from tests.support.sandbox import CLONE, CLOSE_RANGE, REFUSE, needs_seccomp

PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL
QUIET = ("-W", "ignore::DeprecationWarning")
CLONE_VM = 0x100
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser becomes somebody else")


def shell(line):
    return ("sh", "-c", line)


async def as_popen(command, **options):
    """Run a command both ways; what it printed, which has to be the same, and nothing is left."""
    expected = subprocess.run(command, stdout=PIPE, check=False, **options)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, **options)
    output, _ = await process.communicate()
    assert (output, process.returncode) == (expected.stdout, expected.returncode)
    return output


# -- standard streams ---------------------------------------------------------------------------


@pytest.mark.all_drivers
async def test_standard_streams_are_real_pipes(loop):
    process = await asyncio.create_subprocess_exec(
        *shell("readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2; cat /dev/stdin >/dev/stderr"),
        stdin=PIPE, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    output, errors = await process.communicate(b"from the input")
    kinds = [line.partition(b":")[0] for line in output.split()]
    assert kinds == [b"pipe"] * 3
    assert errors == b"from the input"


async def test_a_childs_pipe_blocks_it_as_pipes_do(loop):
    """No flag of ours is seen by the child."""
    source = "import os; print([os.get_blocking(fd) for fd in (0, 1, 2)])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", source, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert (await process.communicate())[0] == b"[True, True, True]\n"


@pytest.mark.parametrize("kind", ["descriptor", "file", "devnull", "inherited"])
async def test_standard_input_from(loop, tmp_path, kind):
    (tmp_path / "input").write_bytes(b"input")
    with open(tmp_path / "input", "rb") as file:
        stdin = {"descriptor": file.fileno(), "file": file, "devnull": DEVNULL, "inherited": None}[kind]
        process = await asyncio.create_subprocess_exec("readlink", "/proc/self/fd/0", stdin=stdin, stdout=PIPE)
        expected = {"devnull": "/dev/null", "inherited": os.readlink("/proc/self/fd/0")}.get(kind, file.name)
        assert os.fsdecode((await process.communicate())[0]).strip() == expected
        assert process.stdin is None
        if kind == "file":
            process = await asyncio.create_subprocess_exec("cat", stdin=file, stdout=PIPE)
            assert (await process.communicate())[0] == b"input"


async def test_standard_error_where_standard_output_goes(loop, tmp_path):
    command = shell("echo out; echo err >&2")
    for options in ({"stderr": subprocess.STDOUT}, {"stderr": DEVNULL}):
        await as_popen(command, **options)
    with open(tmp_path / "both", "w+b") as file:
        process = await asyncio.create_subprocess_exec(*command, stdout=file, stderr=subprocess.STDOUT)
        assert await process.wait() == 0
        file.seek(0)
        assert file.read() == b"out\nerr\n"


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_streams_of_a_program_whose_own_are_closed(backend, tmp_path, closed):
    """The ends of the pipes get the numbers that they are to be moved to."""
    source = """
        import os, sys
        PIPE = asyncio.subprocess.PIPE
        for number in map(int, sys.argv[2:]):
            os.close(number)
        async def main():
            process = await asyncio.create_subprocess_exec(
                "sh", "-c", "cat; echo error >&2; echo output", stdin=PIPE, stdout=PIPE, stderr=PIPE)
            return await process.communicate(b"input ")
        result = run(main())
        with open(sys.argv[1], "w") as file:
            print(result, file=file)
    """
    check_program(backend, source, str(tmp_path / "result"), *map(str, closed))
    assert (tmp_path / "result").read_text() == "(b'input output\\n', b'error\\n')\n"


# -- descriptors --------------------------------------------------------------------------------


@contextlib.contextmanager
def inheritable_pipe():
    read_end, write_end = os.pipe()
    try:
        os.set_inheritable(write_end, True)
        yield read_end, write_end
    finally:
        os.close(read_end)
        os.close(write_end)


async def test_which_descriptors_a_child_has(loop):
    with inheritable_pipe() as (private, inheritable):
        command = (sys.executable, "-S", "-c", "import os; print(os.listdir('/proc/self/fd'))")

        async def open_in_child(**options):
            process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, **options)
            listed = eval((await process.communicate())[0])  # what the line above has printed
            return {number for number in (private, inheritable) if str(number) in listed}

        assert await open_in_child() == set()
        assert await open_in_child(pass_fds=[private]) == {private}
        assert await open_in_child(pass_fds=(inheritable, private, private)) == {private, inheritable}
        assert await open_in_child(close_fds=False) == {inheritable}
        with pytest.warns(RuntimeWarning, match="pass_fds overriding close_fds"):
            assert await open_in_child(close_fds=False, pass_fds=[private]) == {private}
        assert not os.get_inheritable(private)


@pytest.mark.parametrize("numbers", [[-1], [1 << 40]], ids=str)
async def test_descriptors_that_cannot_be_passed(loop, numbers):
    with pytest.raises((ValueError, OverflowError)):
        await asyncio.create_subprocess_exec("true", pass_fds=numbers)


async def test_a_descriptor_to_pass_that_is_not_open(loop):
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        await asyncio.create_subprocess_exec("true", pass_fds=[1_000_000])
    assert caught.value.filename is None


@pytest.mark.parametrize("option", ["pass_fds", "stdin", "stdout", "stderr"])
async def test_a_number_that_is_free_and_soon_taken_by_the_start_itself(loop, option):
    """It is an error, or as good as any other number; the start ends in either case."""
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    free = os.dup(0)
    os.close(free)
    for number in range(free, free + 4):
        with contextlib.suppress(OSError):
            given = {option: [number] if option == "pass_fds" else number}
            process = await asyncio.create_subprocess_exec("true", **given)
            await process.wait()
    assert not children()


# -- surroundings -------------------------------------------------------------------------------


async def test_folder_of_the_child(loop, tmp_path):
    for folder in (str(tmp_path), os.fsencode(tmp_path), tmp_path, ".", None):
        await as_popen(("pwd",), cwd=folder)
    (tmp_path / "program").symlink_to(shutil.which("pwd"))
    # A program with a folder of its own is looked for from the child's.
    assert await as_popen(("./program",), cwd=tmp_path) == os.fsencode(tmp_path) + b"\n"


@pytest.mark.parametrize("name", ["missing", "file", ""])
async def test_a_folder_that_is_none(loop, tmp_path, name):
    (tmp_path / "file").touch()
    folder = str(tmp_path / name) if name else ""
    with pytest.raises((FileNotFoundError, NotADirectoryError)) as expected:
        subprocess.run("true", cwd=folder)
    with pytest.raises(type(expected.value)) as caught:
        await asyncio.create_subprocess_exec("true", cwd=folder)
    assert caught.value.args == expected.value.args
    assert caught.value.filename == expected.value.filename == folder
    assert not children()


async def test_environment_of_the_child(loop, monkeypatch):
    monkeypatch.setenv("TULIPA_SET", "after the start")
    await as_popen(("env",))
    await as_popen(("env",), env={})
    await as_popen(("env",), env={"A": "1", b"B": b"2", "C": "", "D": "ü=="})
    for bad in ({"A=B": "C"}, {"A": "\0"}):
        with pytest.raises(ValueError):
            await asyncio.create_subprocess_exec("true", env=bad)
    with pytest.raises(TypeError):
        await asyncio.create_subprocess_exec("true", env={"A": 1})
    assert not children()


async def test_a_program_is_looked_for_in_the_childs_path(loop, tmp_path):
    (tmp_path / "only-here").symlink_to(shutil.which("echo"))
    for path in (f"/missing:{tmp_path}", f"/etc/passwd:{tmp_path}"):
        assert await as_popen(("only-here", "found"), env={"PATH": path}) == b"found\n"
    with pytest.raises(FileNotFoundError) as caught:
        await asyncio.create_subprocess_exec("only-here")
    assert caught.value.filename == "only-here"
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "only-here").touch()
    # One that may not be executed is passed over, and reported if there is no other.
    await as_popen(("only-here",), env={"PATH": f"{tmp_path}/first:{tmp_path}"})
    with pytest.raises(PermissionError):
        await asyncio.create_subprocess_exec("only-here", env={"PATH": f"{tmp_path}/first:/missing"})


@pytest.mark.parametrize("options", [{"umask": 0o27}, {"umask": 0}, {"umask": -1}], ids=str)
async def test_umask(loop, options):
    await as_popen(shell("umask"), **options)


async def test_sessions_and_process_groups(loop):
    command = shell("set -- $(cat /proc/$$/stat); echo $(($1 == $5)) $(($1 == $6))")  # leads a group, leads a session
    assert await as_popen(command) == b"0 0\n"
    assert await as_popen(command, start_new_session=True) == b"1 1\n"
    assert await as_popen(command, process_group=0) == b"1 0\n"
    assert await as_popen(command, process_group=os.getpgrp()) == b"0 0\n"
    with pytest.raises(PermissionError) as caught:
        await asyncio.create_subprocess_exec("true", process_group=2**30)
    assert caught.value.filename is None


@needs_root
async def test_user_and_groups(loop):
    command = shell("id -u; id -g; id -G")
    assert await as_popen(command, user=65534, group=65534, extra_groups=[1, 2]) == b"65534\n65534\n65534 1 2\n"
    assert (await as_popen(command, user="nobody")).startswith(b"65534\n")
    for bad in ({"user": -1}, {"group": -1}, {"extra_groups": "12"}):
        with pytest.raises(ValueError):
            await asyncio.create_subprocess_exec("true", **bad)


async def test_signals_that_python_ignores(loop):
    for restore in (True, False):
        output = await as_popen(("sed", "-n", "/^SigIgn/p", "/proc/self/status"), restore_signals=restore)
        ignored = int(output.split()[1], 16)
        assert bool(ignored & 1 << signal.SIGPIPE - 1) is not restore


async def test_handlers_and_masks(loop):
    """Handlers become the default, what is ignored stays so, and what the thread blocks is blocked in the child."""
    old = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
    try:
        # Whoever started the tests may have ignored signals, too.
        here = signal_sets(Path("/proc/self/status").read_text())
        output = await as_popen(("sed", "-n", "/^Sig[BIC]/p", "/proc/self/status"))
        there = signal_sets(output.decode())
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask | {signal.SIGWINCH}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in old.items():
            signal.signal(number, handler)
    assert there["SigBlk"] == here["SigBlk"] >= {signal.SIGWINCH}
    assert there["SigIgn"] == here["SigIgn"] - {signal.SIGPIPE, signal.SIGXFSZ} >= {signal.SIGUSR2}
    assert signal.SIGUSR1 not in there["SigCgt"]


def signal_sets(status):
    """The sets of signals in the text of a `/proc/N/status`, by their names there."""
    lines = [line.split() for line in status.splitlines() if line.startswith("Sig") and "Q" not in line]
    return {name.rstrip(":"): {n + 1 for n in range(64) if int(bits, 16) >> n & 1} for name, bits in lines}


async def test_what_a_child_inherits_from_the_thread_of_the_loop(loop):
    """Priority and processors belong to a thread, as sandboxes do; the child is the loop's thread's."""
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    processors = os.sched_getaffinity(0)
    source = shell("cut -d' ' -f19 /proc/$$/stat; grep Cpus_allowed: /proc/$$/status")
    before = await as_popen(source)
    os.sched_setaffinity(0, {min(processors)})
    try:
        after = await as_popen(source)
    finally:
        os.sched_setaffinity(0, processors)
    assert (before != after) is (len(processors) > 1)


async def test_a_child_may_ask_to_be_told_of_the_end_of_its_parent(loop, tmp_path):
    """That means the thread that made it, which is the loop's and goes on (prctl(2), PR_SET_PDEATHSIG)."""
    source = "import ctypes, sys; ctypes.CDLL(None).prctl(1, 9); print(); sys.stdout.flush(); sys.stdin.read()"
    process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", source, stdin=PIPE, stdout=PIPE)
    assert await process.stdout.readline() == b"\n"
    await asyncio.to_thread(lambda: None)
    process.stdin.close()
    assert await process.wait() == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
async def test_a_function_that_runs_in_the_child_before_the_program(loop):
    def prepare():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # in the main thread only
        os.environ["SET_IN_CHILD"] = "unseen: the environment is taken before"
        os.umask(0o77)

    output = await as_popen(shell("umask; grep SigIgn /proc/$$/status"), preexec_fn=prepare)
    assert output.startswith(b"0077\n")
    assert int(output.split()[-1], 16) & 1 << signal.SIGUSR1 - 1
    with pytest.raises(subprocess.SubprocessError, match="Exception occurred in preexec_fn"):
        await asyncio.create_subprocess_exec("true", preexec_fn=lambda: 1 / 0)
    assert not children()


async def test_pipes_of_a_size_that_is_asked_for(loop):
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, pipesize=4096)
    data = bytes(100_000)
    assert (await process.communicate(data))[0] == data


# -- the program and its arguments --------------------------------------------------------------


async def test_another_program_than_the_first_argument_says(loop):
    assert await as_popen(("its name", "-c", "echo $0"), executable="/bin/sh") == b"its name\n"
    assert await as_popen(("its name", "-c", "echo $0"), executable=pathlib.Path("/bin/sh")) == b"its name\n"
    process = await asyncio.create_subprocess_shell("echo $0", executable="/bin/sh", stdout=PIPE)
    assert (await process.communicate())[0] == b"/bin/sh\n"
    process = await asyncio.create_subprocess_shell(b"echo bytes", stdout=PIPE)
    assert (await process.communicate())[0] == b"bytes\n"


@pytest.mark.parametrize("name", ["missing", "text", "folder", "script"])
async def test_programs_that_cannot_be_executed(loop, tmp_path, name):
    (tmp_path / "text").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "script").write_text("no first line that names an interpreter")
    (tmp_path / "script").chmod(0o755)
    path = tmp_path / name
    with pytest.raises(OSError, match=name) as expected:
        subprocess.run([path])
    with pytest.raises(type(expected.value)) as caught:
        await asyncio.create_subprocess_exec(path, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert caught.value.args == expected.value.args
    assert os.fspath(caught.value.filename) == os.fspath(expected.value.filename) == str(path)
    assert not children()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([1], {}),
        ([None], {}),
        (["true", 1], {}),
        (["true", "\0"], {}),
        (["\0"], {}),
        (["true"], {"cwd": "\0"}),
        (["true"], {"cwd": 1}),
        (["true"], {"executable": 1}),
        (["true"], {"pipesize": "1"}),
        (["true"], {"startupinfo": 1}),
        (["true"], {"creationflags": 1}),
        (["true"], {"process_group": "1"}),
        (["true"], {"umask": "1"}),
        (["true"], {"stdin": "1"}),
        (["true"], {"pass_fds": 1}),
        (["true"], {"pass_fds": ["x"]}),
        (["true"], {"env": 1}),
        (["true"], {"unknown": 1}),
    ],
    ids=str,
)
async def test_wrong_arguments_are_refused_as_popen_refuses_them(loop, arguments, options):
    with pytest.raises((TypeError, ValueError, AttributeError)) as expected:
        subprocess.Popen(arguments, **options)
    with pytest.raises(type(expected.value)):
        await asyncio.create_subprocess_exec(*arguments, **options)
    assert not children()


# -- who watches and who stands in --------------------------------------------------------------


def test_a_start_is_audited_once(backend):
    source = """
        import sys
        seen = []
        sys.addaudithook(lambda name, args: seen.append(args) if name == "subprocess.Popen" else None)
        async def main():
            process = await asyncio.create_subprocess_exec("sh", "-c", "exit", cwd="/", env={"PATH": "/bin"})
            await process.wait()
        run(main())
        print(seen)
    """
    assert check_program(backend, source) == "[('sh', ['sh', '-c', 'exit'], '/', {'PATH': '/bin'})]\n"


def test_an_audit_hook_may_forbid_a_start(backend):
    source = """
        import sys
        def hook(name, args):
            if name == "subprocess.Popen":
                raise PermissionError("not here")
        sys.addaudithook(hook)
        async def main():
            try:
                await asyncio.create_subprocess_exec("true", stdin=-1, stdout=-1, stderr=-1)
            except PermissionError as exc:
                print(exc)
        run(main())
    """
    assert check_program(backend, source) == "not here\n"


async def test_a_popen_of_somebody_elses_is_used(loop, monkeypatch):
    made = []

    class Watched(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            made.append(args)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    process = await asyncio.create_subprocess_exec("echo", "x", stdout=PIPE)
    assert await process.communicate() == (b"x\n", None)
    assert made == [(("echo", "x"),)]
    with pytest.raises(FileNotFoundError):
        await asyncio.create_subprocess_exec("/missing", stdout=PIPE)


async def test_a_tool_that_watches_what_is_executed_sees_it(loop, monkeypatch):
    """As debuggers do, to attach themselves to children that are Python programs."""
    seen = []
    original = subprocess._fork_exec

    def watched(args, *rest):
        seen.append(args)
        return original(args, *rest)

    monkeypatch.setattr(subprocess, "_fork_exec", watched)
    process = await asyncio.create_subprocess_exec("echo", "x", stdout=PIPE)
    assert await process.communicate() == (b"x\n", None)
    assert seen == [["echo", "x"]]


@needs_seccomp
@pytest.mark.parametrize(
    "refused",
    [f"refuse({CLOSE_RANGE}, 38)", f"refuse({CLONE}, 1, {CLONE_VM | signal.SIGCHLD})"],
    ids=["old kernel", "sandbox"],
)
def test_a_system_that_refuses_what_popen_does_not_need(backend, refused):
    source = """
        async def main():
            process = await asyncio.create_subprocess_exec("sh", "-c", "echo x; exit 3", stdout=-1, cwd="/")
            print(await process.communicate(), process.returncode)
            try:
                await asyncio.create_subprocess_exec("/missing", stdin=-1, stdout=-1)
            except FileNotFoundError as exc:
                print(exc)
        run(main())
    """
    printed = check_program(backend, REFUSE + refused + "\n" + textwrap.dedent(source), flags=QUIET)
    assert printed == "(b'x\\n', None) 3\n[Errno 2] No such file or directory: '/missing'\n"

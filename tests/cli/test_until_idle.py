"""A script may await or only register callbacks; the process ends when nothing is left to do. # N2"""

from __future__ import annotations

import socket
import textwrap

import pytest

from tests.cli.programs import TULIPA, run, running, write

SCRIPTS = {
    "callbacks": ("soon\nlater\n", "loop.call_later(0.05, print, 'later')\nloop.call_soon(print, 'soon')"),
    "callbacks_of_callbacks": (
        "3\n2\n1\n",
        "def count(n):\n    if n:\n        print(n)\n        loop.call_later(0.01, count, n - 1)\ncount(3)",
    ),
    "nothing": ("", ""),
    "a_cancelled_timer": ("end\n", "loop.call_later(1000, print, 'never').cancel()\nprint('end')"),
    "a_task": (
        "done\n",
        "import asyncio\nasync def work():\n    await asyncio.sleep(0.02)\n    print('done')\n"
        "task = loop.create_task(work())",
    ),
    "a_thread": (
        "42\nlater\n",
        "import time\ndef work():\n    time.sleep(0.1)\n    return 42\n"
        "def done(future):\n    print(future.result())\n    loop.call_later(0.05, print, 'later')\n"
        "loop.run_in_executor(None, work).add_done_callback(done)",
    ),
    "await_then_callbacks": (
        "top\nafter\n",
        "import asyncio\nawait asyncio.sleep(0.01)\nloop.call_later(0.05, print, 'after')\nprint('top')",
    ),
    "await_in_every_form": (
        "[0, 1] ctx 2\n",
        "import asyncio, contextlib\n"
        "async def numbers():\n    for n in range(2):\n        await asyncio.sleep(0)\n        yield n\n"
        "found = [n async for n in numbers()]\n"
        "@contextlib.asynccontextmanager\nasync def context():\n    yield 'ctx'\n"
        "async with context() as name:\n    async for last in numbers():\n        pass\n"
        "print(found, name, last + 1)",
    ),
    "get_event_loop": ("later\n", "import asyncio\nasyncio.get_event_loop().call_later(0.01, print, 'later')"),
    "a_signal_handler_alone": ("end\n", "import signal\nloop.add_signal_handler(signal.SIGTERM, print)\nprint('end')"),
    "a_child": (
        "0\n",
        "import asyncio\nasync def work():\n    child = await asyncio.create_subprocess_exec('sleep', '0.1')\n"
        "    print(await child.wait())\ntask = loop.create_task(work())",
    ),
    "a_reader": (
        "b'x'\n",
        "import os\nr, w = os.pipe()\ndef read():\n    print(os.read(r, 9))\n    loop.remove_reader(r)\n"
        "loop.add_reader(r, read)\nloop.call_later(0.02, os.write, w, b'x')",
    ),
    "a_closed_server": (
        "closed\n",
        "import asyncio\nserver = loop.start_server(asyncio.Protocol, '127.0.0.1', 0)\n"
        "def end():\n    server.close()\n    print('closed')\nloop.call_later(0.05, end)",
    ),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_process_ends_when_nothing_is_left_to_do(tmp_path, script):
    expected, text = SCRIPTS[script]
    write(tmp_path, "program.py", "import tulipa\nloop = tulipa.current_loop()\n" + text + "\n")
    found = run((TULIPA[0], "-X", "dev", "-W", "error", *TULIPA[1:]), "program.py", cwd=tmp_path)
    assert (found.stdout, found.stderr, found.returncode) == (expected, "", 0)


def test_a_program_that_ran_the_loop_itself_ends_as_under_python(tmp_path):
    write(
        tmp_path,
        "program.py",
        """
        import asyncio, tulipa
        async def main():
            asyncio.get_running_loop().call_later(1000, print)
            print("main")
        loop = asyncio.get_event_loop()
        loop.run_until_complete(main())
        print("end")
        """,
    )
    assert run(TULIPA, "program.py", cwd=tmp_path).stdout == "main\nend\n"


def test_a_module_may_await_at_its_top_level(tmp_path):
    write(tmp_path, "package/__init__.py", "")
    write(tmp_path, "package/__main__.py", "import asyncio\nprint(await asyncio.sleep(0, __name__))\n")
    assert run(TULIPA, "-m", "package", cwd=tmp_path).stdout == "__main__\n"


def test_code_may_await_at_its_top_level(tmp_path):
    assert run(TULIPA, "-c", "import asyncio; print(await asyncio.sleep(0, 7))", cwd=tmp_path).stdout == "7\n"


def test_an_error_after_an_await_shows_the_programs_frames_only(tmp_path):
    path = write(
        tmp_path,
        "program.py",
        """
        import asyncio
        async def inner():
            await asyncio.sleep(0)
            1 / 0
        await inner()
        """,
    )
    found = run(TULIPA, "program.py", cwd=tmp_path)
    frames = [line.strip() for line in found.stderr.splitlines() if line.startswith("  File")]
    assert frames == [f'File "{path}", line 5, in <module>', f'File "{path}", line 4, in inner']
    assert found.returncode == 1


def test_an_exit_after_an_await_gives_its_status(tmp_path):
    text = "import asyncio, sys\nawait asyncio.sleep(0)\nsys.exit(7)\n"
    write(tmp_path, "program.py", text)
    found = run(TULIPA, "program.py", cwd=tmp_path)
    assert (found.returncode, found.stderr) == (7, "")


def test_without_the_command_current_loop_says_what_to_do(tmp_path):
    write(tmp_path, "program.py", "import tulipa\ntulipa.current_loop()\n")
    found = run(TULIPA[:1], "program.py", cwd=tmp_path)
    assert "RuntimeError: there is no tulipa loop here: start the program with `tulipa run" in found.stderr


# A server without threads, without `async`, without `import asyncio`. # N1
ECHO = textwrap.dedent("""
    import tulipa

    class Echo:
        def connection_made(self, transport): self.transport = transport
        def data_received(self, data): self.transport.write(data)
        def eof_received(self): pass
        def connection_lost(self, exc): server.close()

    server = tulipa.current_loop().start_server(Echo, "127.0.0.1", 0)
    print("ready", *server.sockets[0].getsockname(), flush=True)
    print("end of script", flush=True)
""")


def test_an_echo_server_of_callbacks_alone(tmp_path):
    write(tmp_path, "echo.py", ECHO)
    with running(TULIPA, "echo.py", cwd=tmp_path) as process:
        _, host, port = process.first_line
        with socket.create_connection((host, int(port)), timeout=10) as client:
            for text in b"one", b"two":
                client.sendall(text)
                assert client.recv(100) == text
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "end of script\n", "")


def test_a_client_of_callbacks_alone(tmp_path):
    text = ECHO.replace('print("end of script", flush=True)', "").replace("    server", "server") + textwrap.dedent("""
        class Client(Echo):
            def connection_made(self, transport): self.transport = transport; transport.write(b"hello")
            def data_received(self, data): print(data); self.transport.close()

        host, port = server.sockets[0].getsockname()
        tulipa.current_loop().connect(Client, host, port)
    """)
    write(tmp_path, "both.py", text)
    found = run(TULIPA, "both.py", cwd=tmp_path)
    assert (found.stdout.splitlines()[1:], found.stderr, found.returncode) == (["b'hello'"], "", 0)

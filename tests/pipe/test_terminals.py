"""A program on a terminal, under a shell with job control, and before and after others. # P6 # P8"""

from __future__ import annotations

import pytest

from tests.support.shells import shell_on_a_terminal

#: Shows what is typed, until the end of input.
ECHO = """
    import sys
    class Echo(asyncio.Protocol):
        def connection_made(self, transport): print("ready", flush=True)
        def data_received(self, data): print("got", data, flush=True)
        def eof_received(self): print("end", "of input", flush=True)
        def connection_lost(self, error): done.set_result(error)
    async def main():
        global done
        done = asyncio.get_running_loop().create_future()
        try:
            await asyncio.get_running_loop().connect_read_pipe(Echo, sys.stdin)
            print("over:", await done, flush=True)
        finally:
            print("finally", flush=True)
    run(main())
"""


@pytest.fixture
def shell(tmp_path):
    with shell_on_a_terminal(tmp_path) as shell:
        yield shell


def test_lines_and_control_d(backend, shell):  # P1
    before = shell.modes()
    shell.run(shell.program(backend, ECHO))
    shell.until("ready")
    for line in ("one", "two words"):
        shell.type(line + "\n")
        shell.until(f"got b'{line}\\n'")
    shell.type("no newline\x04")
    shell.until("got b'no newline'")
    shell.type("\x04")
    shell.until("end of input")
    shell.until("over: None")
    shell.run("echo status $?")
    shell.until("status 0")
    assert shell.modes() == before


def test_control_c_leaves_promptly_by_the_finally_blocks(backend, shell):  # P8
    before = shell.modes()
    shell.run(shell.program(backend, ECHO))
    shell.until("ready")
    shell.type("\x03")
    shell.until("finally")
    shell.until("KeyboardInterrupt")
    shell.run("echo status $?")
    shell.until("status 130")
    assert shell.modes() == before


def test_control_z_and_fg(backend, shell):
    shell.run(shell.program(backend, ECHO))
    shell.until("ready")
    shell.type("before\n")
    shell.until("got b'before\\n'")
    for _ in range(2):
        shell.type("\x1a")
        shell.until("Stopped")
        shell.run("echo between")
        shell.until("between")
        shell.run("fg")
        shell.until("program1.py")
        shell.type("after\n")
        shell.until("got b'after\\n'")
    shell.type("\x04")
    shell.until("over: None")


def test_in_the_background_it_waits_for_its_turn_at_the_terminal(backend, shell):
    """SIGTTIN stops whoever reads there from the background; after `fg` it reads on."""
    shell.run(shell.program(backend, ECHO) + " &")
    shell.until("ready")
    # What is typed meanwhile is for the shell, which does not read: the program tries, and is stopped. One that `fg`
    # met in the middle of its attempt might be stopped once more.
    shell.run("until jobs | grep -q Stopped; do sleep 0.05; done; echo now'' stopped")
    shell.type("\n")
    assert "got" not in shell.until("now stopped")
    shell.run("fg")
    shell.until("program1.py")
    shell.type("ours\n")
    assert "got" not in shell.until("got b'ours\\n'")
    shell.type("\x04")
    shell.until("over: None")


def test_an_orphan_in_the_background_gets_an_error_and_does_not_hang(backend, shell):
    """Nobody would ever put it into the foreground, so the kernel says EIO instead of stopping it."""
    shell.run(f"({shell.program(backend, ECHO)} < /dev/tty &)")
    shell.until("ready")
    # The shell would read, too, and might be the first; this program does not.
    shell.run("sleep 1000")
    shell.type("for nobody\n")
    shell.until("[Errno 5]")  # The terminal's echo may stand between the words before it.
    shell.type("\x03")


def test_a_terminal_that_stops_background_writers_stops_this_one(backend, shell):
    """SIGTTOU, after `stty tostop`; after `fg` it writes."""
    source = """
        import sys
        async def main():
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
            transport.write(b"written " * 2 + b"at last\\n")
            transport.close()
            await asyncio.sleep(0.01)
        run(main())
    """
    shell.run("stty tostop")
    shell.run(shell.program(backend, source) + " &")
    shell.run("until jobs | grep -q Stopped; do sleep 0.05; done; echo now'' stopped")
    assert "written" not in shell.until("now stopped")
    shell.run("fg")
    shell.until("written written at last")


def test_a_new_size_of_the_window_is_heard_of(backend, shell):
    source = """
        import os, signal, sys
        async def main():
            loop = asyncio.get_running_loop()
            await loop.connect_read_pipe(asyncio.Protocol, sys.stdin)
            changed = asyncio.Event()
            loop.add_signal_handler(signal.SIGWINCH, changed.set)
            print("ready", flush=True)
            await changed.wait()
            print(os.get_terminal_size(0))
        run(main())
    """
    shell.run(shell.program(backend, source))
    shell.until("ready")
    shell.resize(33, 99)
    shell.until("os.terminal_size(columns=99, lines=33)")


def test_others_read_the_terminal_before_and_after(backend, shell):  # P6
    shell.run(f"cat; {shell.program(backend, ECHO)}; cat; echo all'' done")
    for name in ("cat", "ours", "cat"):
        if name == "ours":
            shell.until("ready")
        shell.type(f"for {name}\n")
        shell.until(f"for {name}\n")  # the terminal's own echo
        shell.until(f"for {name}\n" if name == "cat" else f"got b'for {name}\\n'")
        shell.type("\x04")
    shell.until("all done")
    assert "Resource temporarily unavailable" not in shell.seen


def test_print_and_input_work_beside_it(backend, shell):  # P6
    source = """
        import sys
        async def main():
            loop = asyncio.get_running_loop()
            output, _ = await loop.connect_write_pipe(asyncio.Protocol, open(1, "wb", 0, closefd=False))
            answer = await loop.run_in_executor(None, input, "your name? ")
            output.write(b"hello ")
            await asyncio.sleep(0)
            print(answer, flush=True)
            answer = input("again? ")
            for _ in range(3000):
                print("x" * 60)
            print("answered", answer)
        run(main())
    """
    shell.run(shell.program(backend, source))
    shell.until("your name? ")
    shell.type("somebody\n")
    shell.until("hello somebody\nagain? ")
    shell.type("yes\n")
    shell.until("answered yes")
    assert "Error" not in shell.seen

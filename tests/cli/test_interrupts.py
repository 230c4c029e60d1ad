"""Ctrl-C ends a program as under python: promptly, `finally` blocks run, killed by SIGINT. # P8"""

from __future__ import annotations

import signal

import pytest

from tests.cli.programs import PYTHON, TULIPA, interrupt, running, write

BLOCKED = """
    import time
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up")
"""
RUN = """
    import asyncio
    async def main():
        try:
            print("ready", flush=True)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            print("cleaned up")
    asyncio.run(main())
"""
OLD_STYLE = """
    import asyncio
    loop = asyncio.new_event_loop()
    loop.call_soon(lambda: print("ready", flush=True))
    try:
        loop.run_forever()
    finally:
        print("cleaned up")
        loop.close()
"""
CAUGHT = """
    import time
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("cleaned up")
        raise SystemExit(5)
"""


@pytest.mark.parametrize("text", [BLOCKED, RUN, OLD_STYLE, CAUGHT], ids=["blocked", "run", "old_style", "caught"])
def test_an_interrupted_program_ends_as_under_python(tmp_path, text):
    write(tmp_path, "program.py", text)
    ends = []
    for starter in PYTHON, TULIPA:
        with running(starter, "program.py", cwd=tmp_path) as process:
            ends.append(interrupt(process)[:2])
    assert ends[1] == ends[0]
    assert ends[1][1] == "cleaned up\n"


TOP_LEVEL = """
    import asyncio
    async def other():
        try:
            await asyncio.sleep(60)
        finally:
            print("other cleaned up")
    task = asyncio.create_task(other())
    try:
        await asyncio.sleep(0)
        print("ready", flush=True)
        await asyncio.sleep(60)
    finally:
        print("cleaned up")
"""
CALLBACKS = """
    import asyncio, tulipa
    async def other():
        try:
            print("ready", flush=True)
            await asyncio.sleep(60)
        finally:
            print("cleaned up\\nother cleaned up")
    loop = tulipa.current_loop()
    task = loop.create_task(other())
    server = loop.start_server(asyncio.Protocol, "127.0.0.1", 0)
"""


@pytest.mark.parametrize("text", [TOP_LEVEL, CALLBACKS], ids=["top_level_await", "callbacks"])
def test_an_interrupted_script_cleans_up_and_dies_of_sigint(tmp_path, text):
    path = write(tmp_path, "program.py", text)
    with running(TULIPA, "program.py", cwd=tmp_path) as process:
        status, output, errors = interrupt(process)
    assert (status, output) == (-signal.SIGINT, "cleaned up\nother cleaned up\n")
    assert errors.endswith("KeyboardInterrupt\n")
    own = [line for line in errors.splitlines() if line.startswith("  File") and "tulipa" in line]
    assert own == [], f"frames of tulipa in the report of {path}"


def test_a_terminated_script_can_close_its_servers(tmp_path):
    write(
        tmp_path,
        "program.py",
        """
        import asyncio, signal, tulipa
        loop = tulipa.current_loop()
        server = loop.start_server(asyncio.Protocol, "127.0.0.1", 0)
        loop.add_signal_handler(signal.SIGTERM, server.close)
        loop.call_soon(lambda: print("ready", flush=True))
        """,
    )
    with running(TULIPA, "program.py", cwd=tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")

"""Whatever a program does to get a loop, under `tulipa run` it gets tulipa's."""

from __future__ import annotations

import pytest

from tests.cli.programs import TULIPA, run, write

PREFACE = """
import asyncio, selectors, sys, warnings
warnings.simplefilter("error")
import tulipa

async def main():
    loop = asyncio.get_running_loop()
    print(isinstance(loop, tulipa.Loop), loop.driver)

def drive(loop):
    loop.run_until_complete(main())
    loop.close()
"""

WAYS = {
    "run": "asyncio.run(main())",
    "runner": "with asyncio.Runner() as runner: runner.run(main())",
    "new_event_loop": "drive(asyncio.new_event_loop())",
    "get_event_loop": "drive(asyncio.get_event_loop())",
    "set_event_loop": (
        "asyncio.set_event_loop(asyncio.new_event_loop())\n"
        "drive(asyncio.get_event_loop())\nasyncio.set_event_loop(None)"
    ),
    "selector_loop": "drive(asyncio.SelectorEventLoop())",
    "subclass_of_selector_loop": "class Mine(asyncio.SelectorEventLoop): pass\ndrive(Mine())",
    "import_from_unix_events": "from asyncio.unix_events import SelectorEventLoop\ndrive(SelectorEventLoop())",
    "loop_factory": "with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner: runner.run(main())",
    "uvloop_run": "import uvloop\nuvloop.run(main())",
    "uvloop_new_event_loop": "import uvloop\ndrive(uvloop.new_event_loop())",
    "uvloop_loop": "from uvloop import Loop\ndrive(Loop())",
    "uvloop_install": "import uvloop\nuvloop.install()\nasyncio.run(main())",
    "uvloop_found": "import importlib.util\nassert importlib.util.find_spec('uvloop')\nasyncio.run(main())",
    "uvloop_policy": (
        "import uvloop\nwarnings.simplefilter('ignore')\n"
        "asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\nasyncio.run(main())"
    ),
    "default_policy": (
        "warnings.simplefilter('ignore')\n"
        "asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())\nasyncio.run(main())"
    ),
    "no_policy": "warnings.simplefilter('ignore')\nasyncio.set_event_loop_policy(None)\nasyncio.run(main())",
    "isolated_test_case": (
        "import unittest\n"
        "class Test(unittest.IsolatedAsyncioTestCase):\n"
        "    async def test(self): await main()\n"
        "unittest.main(argv=['x'], exit=False)"
    ),
    "top_level_await": "await main()",
}
if hasattr(__import__("asyncio"), "EventLoop"):
    WAYS["event_loop"] = "drive(asyncio.EventLoop())"


@pytest.mark.parametrize("way", WAYS)
def test_a_program_gets_tulipa(tmp_path, way):
    write(tmp_path, "program.py", PREFACE + WAYS[way] + "\n")
    found = run(TULIPA, "program.py", cwd=tmp_path)
    assert found.stdout == "True epoll\n", found.stderr
    assert found.returncode == 0


def test_every_loop_is_one_of_the_class_that_has_the_name(tmp_path):
    text = """
class Mine(asyncio.SelectorEventLoop): pass
async def look():
    loop = asyncio.get_running_loop()
    print(isinstance(loop, asyncio.SelectorEventLoop), isinstance(loop, Mine), isinstance(loop, int))
for factory in None, tulipa.new_event_loop, asyncio.SelectorEventLoop, Mine:
    with asyncio.Runner(loop_factory=factory) as runner: runner.run(look())
"""
    write(tmp_path, "program.py", PREFACE + text)
    assert run(TULIPA, "program.py", cwd=tmp_path).stdout == "True False False\n" * 3 + "True True False\n"


@pytest.mark.parametrize("name", ["epoll", "poll", "select"])
def test_the_stated_driver_is_used_everywhere(tmp_path, name):
    write(tmp_path, "program.py", PREFACE + "asyncio.run(main())\ndrive(asyncio.SelectorEventLoop())\n")
    by_option = run(TULIPA, "--driver", name, "program.py", cwd=tmp_path)
    by_variable = run(TULIPA, "program.py", cwd=tmp_path, TULIPA_DRIVER=name)
    assert by_option.stdout == by_variable.stdout == f"True {name}\n" * 2


def test_a_selector_of_the_standard_library_chooses_the_driver(tmp_path):
    text = "for kind in selectors.SelectSelector, selectors.PollSelector: drive(asyncio.SelectorEventLoop(kind()))\n"
    write(tmp_path, "program.py", PREFACE + text)
    assert run(TULIPA, "program.py", cwd=tmp_path).stdout == "True select\nTrue poll\n"


def test_a_selector_of_the_programs_own_keeps_its_loop(tmp_path):
    write(
        tmp_path,
        "program.py",
        PREFACE
        + """
class Jumping(selectors.SelectSelector):
    def select(self, timeout=None):
        print("asked") if timeout and timeout > 100 else None
        return super().select(0)
async def idle():
    await asyncio.sleep(0)
loop = asyncio.SelectorEventLoop(Jumping())
print(isinstance(loop, tulipa.Loop))
loop.call_later(1000, print)
loop.call_soon(loop.call_soon, loop.call_soon, loop.stop)
loop.run_forever()
loop.close()
""",
    )
    assert run(TULIPA, "program.py", cwd=tmp_path).stdout.splitlines()[0] == "False"


def test_nothing_is_replaced_without_the_command(tmp_path):
    write(
        tmp_path,
        "program.py",
        PREFACE + "print(issubclass(asyncio.SelectorEventLoop, tulipa.Loop), 'uvloop' in sys.modules)\n",
    )
    found = run(TULIPA[:1], "program.py", cwd=tmp_path)
    assert found.stdout == "False False\n", found.stderr


INSTALLED = """
tulipa.install()
asyncio.run(main())
drive(asyncio.new_event_loop())
with asyncio.Runner() as runner: runner.run(main())
"""


def test_install_changes_the_process_without_warnings(tmp_path):
    write(tmp_path, "program.py", PREFACE + INSTALLED)
    found = run((*TULIPA[:1], "-X", "dev", "-W", "error"), "program.py", cwd=tmp_path)
    assert (found.stdout, found.stderr) == ("True epoll\n" * 3, "")

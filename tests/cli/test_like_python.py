"""A program cannot tell `tulipa run` from `python`: arguments, path, `__main__`, output, exit status."""

from __future__ import annotations

import compileall
import zipfile

import pytest

from tests.cli.programs import PYTHON, TULIPA, run, write

SHOW = '''
    """The program shows how it was started."""
    import sys
    shown = ("__name__", "__package__", "__doc__", "__file__", "__cached__")
    names = {name: value if name in shown else type(value).__name__ for name, value in sorted(globals().items())}
    print(sys.argv, sys.path[:2], __name__ == "__main__", vars(sys.modules["__main__"]) is globals())
    print({name: value for name, value in names.items() if name.startswith("__")})
'''


@pytest.fixture
def programs(tmp_path):
    write(tmp_path, "show.py", SHOW)
    write(tmp_path, "package/__init__.py", "")
    write(tmp_path, "package/__main__.py", SHOW)
    write(tmp_path, "package/part.py", SHOW)
    write(tmp_path, "hollow/__init__.py", "")
    write(tmp_path, "folder/__main__.py", SHOW)
    (tmp_path / "link.py").symlink_to("folder/__main__.py")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(tmp_path / "folder" / "__main__.py", "__main__.py")
    compileall.compile_file(tmp_path / "show.py", legacy=True, quiet=2)
    write(tmp_path, "fails.py", "def inner():\n    1 / 0\n\ninner()\n")
    write(tmp_path, "chain.py", "try:\n    1 / 0\nexcept Exception as exc:\n    raise ValueError('two') from exc\n")
    write(tmp_path, "malformed.py", "x = = 1\n")
    write(tmp_path, "latin.py", "# coding: latin-1\n").write_bytes(b"# coding: latin-1\nprint('\xe9')\n")
    write(tmp_path, "exits.py", "import sys\nsys.exit(3)\n")
    write(tmp_path, "says.py", "raise SystemExit('the reason')\n")
    write(tmp_path, "atexit_.py", "import atexit\natexit.register(print, 'last')\nprint('first')\n1 / 0\n")
    write(
        tmp_path,
        "hook.py",
        "import sys\nsys.excepthook = lambda *exc: print('hooked', exc[0], exc[2].tb_lineno)\n1/0\n",
    )
    write(
        tmp_path, "thread.py", "import threading, time\nthreading.Timer(0.1, print, ['thread']).start()\nprint('end')\n"
    )
    write(
        tmp_path,
        "run.py",
        """
        import asyncio
        async def main():
            await asyncio.sleep(0)
            raise LookupError("gone")
        asyncio.run(main())
        """,
    )
    return tmp_path


def same(programs, *arguments, options=(), stdin=""):
    expected = run((*PYTHON, *options), *arguments, cwd=programs, stdin=stdin)
    found = run((PYTHON[0], *options, *TULIPA[1:]), *arguments, cwd=programs, stdin=stdin)
    assert (found.returncode, found.stdout, found.stderr) == (expected.returncode, expected.stdout, expected.stderr)
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        "show.py",
        "show.py --flag -m x -c y run",
        "-m show -x",
        "-m package a",
        "-m package.part",
        "folder a",
        "archive.zip",
        "link.py",
        "show.pyc",
        "-- show.py",
    ],
)
def test_a_program_sees_what_python_would_show_it(programs, arguments):
    assert same(programs, *arguments.split()).returncode == 0


def test_code_on_the_command_line(programs):
    same(programs, "-c", (programs / "show.py").read_text(), "a", "-b")
    same(programs, "-c", "def inner():\n    1 / 0\ninner()\n")


def test_a_program_from_standard_input(programs):
    same(programs, "-", "a", stdin=(programs / "show.py").read_text())


def test_safe_path_is_respected(programs):
    same(programs, "show.py", options=("-P",))
    same(programs, "-m", "show", options=("-P",))


@pytest.mark.parametrize(
    "arguments",
    [
        "fails.py",
        "chain.py",
        "malformed.py",
        "latin.py",
        "exits.py",
        "says.py",
        "atexit_.py",
        "hook.py",
        "thread.py",
        "run.py",
        "missing.py",
        "missing.pyc",
        "-m missing",
        "-m package.missing",
        "-m missing.part",
        "-m hollow",
        "-m show.part",
    ],
)
def test_a_program_ends_as_under_python(programs, arguments):
    same(programs, *arguments.split())


def test_a_failing_module_shows_its_own_frames_only(programs):
    found = run(TULIPA, "-m", "fails", cwd=programs)
    assert found.returncode == 1
    assert found.stderr.splitlines()[1].endswith('fails.py", line 4, in <module>')


def test_objects_of_main_can_be_pickled_and_sent_to_processes(tmp_path):
    write(
        tmp_path,
        "pool.py",
        """
        import concurrent.futures, multiprocessing, pickle
        class Thing:
            def __init__(self, x): self.x = x
        def double(thing): return Thing(thing.x * 2)
        if __name__ == "__main__":
            assert pickle.loads(pickle.dumps(Thing(1))).x == 1
            for method in ("spawn", "fork"):
                context = multiprocessing.get_context(method)
                with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                    print(method, pool.submit(double, Thing(21)).result().x)
        """,
    )
    for arguments in (["pool.py"], ["-m", "pool"]):
        found = run(TULIPA, *arguments, cwd=tmp_path)
        assert (found.stdout, found.stderr) == ("spawn 42\nfork 42\n", "")

"""`tulipa` by itself: usage, errors, `--version`, `info`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import tulipa
from tests.cli.programs import TULIPA, run, write

COMMAND = TULIPA[:-1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("", "the following arguments are required: command"),
        ("bogus", "invalid choice: 'bogus'"),
        ("info --bogus", "unrecognized arguments: --bogus"),
        ("run", "which program? give a file, -m module or -c code"),
        ("run --", "which program? give a file, -m module or -c code"),
        ("run --driver poll", "which program? give a file, -m module or -c code"),
        ("run -m", "argument expected for the -m option"),
        ("run -c", "argument expected for the -c option"),
        ("run --bogus program.py", "unrecognized arguments: --bogus"),
        ("run --driver bogus program.py", "unknown driver 'bogus'; known drivers: epoll, poll, select, io_uring"),
    ],
)
def test_misuse_is_named_and_exits_with_2(tmp_path, arguments, complaint):
    write(tmp_path, "program.py", "print('ran')\n")
    found = run(COMMAND, *arguments.split(), cwd=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert complaint in found.stderr
    assert "Traceback" not in found.stderr


def test_a_wrong_driver_variable_is_named(tmp_path):
    write(tmp_path, "program.py", "print('ran')\n")
    found = run(COMMAND, "run", "program.py", cwd=tmp_path, TULIPA_DRIVER="bogus")
    assert found.returncode == 2
    assert "unknown driver 'bogus' (from the environment variable TULIPA_DRIVER)" in found.stderr


@pytest.mark.parametrize("arguments", ["-h", "run -h", "info --help", "run --help program.py"])
def test_help_goes_to_standard_output(tmp_path, arguments):
    found = run(COMMAND, *arguments.split(), cwd=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("usage: tulipa")


@pytest.mark.parametrize(
    "arguments",
    [["-mprogram", "a"], ["-c", "import sys; print(sys.argv[1:])", "a"], ["--driver=poll", "program.py", "a"]],
)
def test_options_may_be_written_together(tmp_path, arguments):
    write(tmp_path, "program.py", "import sys\nprint(sys.argv[1:])\n")
    assert run(COMMAND, "run", *arguments, cwd=tmp_path).stdout == "['a']\n"


def test_version(tmp_path):
    assert run(COMMAND, "--version", cwd=tmp_path).stdout == f"tulipa {tulipa.__version__}\n"


def test_the_console_script_runs_programs(tmp_path):
    script = Path(sys.executable).parent / "tulipa"
    if not script.exists():
        pytest.skip("the package is not installed with its scripts")
    write(tmp_path, "program.py", "import sys\nprint(sys.argv, sys.path[0])\n")
    found = run((script,), "run", "program.py", "a", cwd=tmp_path)
    assert found.stdout == f"['program.py', 'a'] {tmp_path}\n"


def test_info_names_versions_kernel_and_limits(tmp_path):
    facts = json.loads(run(COMMAND, "info", "--json", cwd=tmp_path).stdout)
    assert facts["versions"]["tulipa"] == tulipa.__version__
    assert facts["versions"]["driver"] == "epoll"
    assert facts["versions"]["Python"].endswith(sys.version.split()[0])
    assert facts["kernel"]["epoll"] is True
    assert facts["limits"]["open files (soft)"] > 0


def test_info_for_people_says_which_limit_binds(tmp_path):
    found = run(COMMAND, "info", cwd=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert "Open files bind first" in found.stdout
    assert tulipa.__version__ in found.stdout


def test_info_shows_a_wrong_driver_variable_instead_of_failing(tmp_path):
    found = run(COMMAND, "info", cwd=tmp_path, TULIPA_DRIVER="bogus")
    assert found.returncode == 0
    assert "unknown driver 'bogus'" in found.stdout

"""The command line: `tulipa run`, `tulipa pipe`, `tulipa info`, `tulipa --version`.

Lives here: reading the arguments. Not here: what is done with them (`program`, `running`,
`pipe`, `information`). Rule: only tulipa's public names are used, and nothing imports this.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import tulipa

from . import information, pipe, program, running

__all__ = ["main"]

# Set for the program's child processes too.
_DRIVER_VARIABLE = "TULIPA_DRIVER"

_RUN_USAGE = """\
tulipa run [--driver NAME] app.py [arguments]
       tulipa run [--driver NAME] -m module [arguments]
       tulipa run [--driver NAME] -c code [arguments]"""

_RUN_TEXT = """\
Run a program on tulipa, whatever it does to get an event loop: asyncio.run(),
asyncio.Runner(), get_event_loop(), SelectorEventLoop(), `import uvloop`, or what a
framework chooses by itself.

The top level of the program may use `await`, or only register callbacks on
tulipa.current_loop(): the process ends when nothing is left to do. Arguments, exit
status, tracebacks and Ctrl-C are those of plain python."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the `arguments` (default: those of the process) say; return the exit status.

    What the program that is run raises, SystemExit and KeyboardInterrupt too, is raised
    from here, so that the interpreter ends as if it had run the program itself.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["run"]:
        return _run(given[1:])

    parser = argparse.ArgumentParser(prog="tulipa", description="An asyncio event loop, written in Rust.")
    parser.add_argument("--version", action="version", version=f"tulipa {tulipa.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    commands.add_parser("run", help="run a Python program on tulipa", add_help=False)
    info = commands.add_parser("info", help="show versions, driver, what the kernel offers, which limits bind")
    info.add_argument("--json", action="store_true", help="for programs to read")
    piping = commands.add_parser("pipe", help="join two addresses: sockets, TLS, files, programs, terminals")
    pipe.add_arguments(piping)
    options = parser.parse_args(given)
    if options.command == "pipe":
        _check_driver(piping, None)
        return pipe.run(piping, options)
    return information.show(as_json=options.json)


def _run(given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tulipa run",
        usage=_RUN_USAGE,
        description=_RUN_TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--driver",
        metavar="NAME",
        help="what the loops wait with (default: the environment variable TULIPA_DRIVER, "
        "else epoll); `tulipa info` names them",
    )
    own, target, rest = _split(given)
    options = parser.parse_args(own)
    if target is None:
        parser.error("which program? give a file, -m module or -c code")
    kind, name = target
    if name is None:
        parser.error(f"argument expected for the {kind} option")
    if options.driver is not None:
        os.environ[_DRIVER_VARIABLE] = options.driver
    _check_driver(parser, options.driver)
    load = {"-m": program.Module, "-c": program.Code, "file": program.Script}[kind]
    return running.run(load(name, rest))


def _check_driver(parser: argparse.ArgumentParser, name: str | None) -> None:
    """Say now what is wrong with the driver, not from inside the program."""
    if os.environ.get(_DRIVER_VARIABLE):
        try:
            tulipa.new_event_loop(name).close()
        except ValueError as exc:
            parser.error(str(exc))


def _split(given: list[str]) -> tuple[list[str], tuple[str, str | None] | None, list[str]]:
    """Split into our options, the target (kind, name), and the program's own arguments.

    As python does: everything after the target belongs to the program.
    """
    position = 0
    while position < len(given):
        word = given[position]
        if word[:2] in ("-m", "-c"):
            if len(word) > 2:
                return given[:position], (word[:2], word[2:]), given[position + 1 :]
            name = given[position + 1] if position + 1 < len(given) else None
            return given[:position], (word, name), given[position + 2 :]
        if word == "--":
            after = given[position + 1 :]
            return given[:position], ("file", after[0]) if after else None, after[1:]
        if word == "-" or not word.startswith("-"):
            return given[:position], ("file", word), given[position + 1 :]
        position += 2 if word == "--driver" else 1
    return given, None, []

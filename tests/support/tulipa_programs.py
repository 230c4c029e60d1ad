"""Programs that run on tulipa, each in a process of its own."""

import subprocess
import sys
import textwrap

from tests.support.programs import SECONDS

PREAMBLE = "import asyncio, os, sys, tulipa\n"


def command(source):
    return [sys.executable, "-X", "dev", "-W", "error", "-c", PREAMBLE + textwrap.dedent(source)]


def run(source, given=b"", arguments=(), **options):
    """Run a program to its end; what it wrote. Its standard error has to be silent."""
    if "stdin" not in options:
        options["input"] = given
    options.setdefault("stdout", subprocess.PIPE)
    done = subprocess.run(
        [*command(source), *arguments], stderr=subprocess.PIPE, timeout=SECONDS, check=False, **options
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b"", done.stderr.decode()
    return done.stdout


def start(source, **options):
    return subprocess.Popen(command(source), **options)

"""Runs CPython's own `test.test_asyncio`, as shipped with the running Python, on another event loop.

    python tests/conformance/cpython.py --loop tulipa:new_event_loop [--module test_events] [--json out.json]

The suite is found, not copied: it is what `import test.test_asyncio` gives.
"""

import importlib.util
import pathlib
import platform
import sys

import command
import expected
import harness

PACKAGE = "test.test_asyncio"

#: Started first, so that a long one does not run alone at the end.
LONGEST = ("test_tasks", "test_subprocess", "test_events", "test_ssl", "test_taskgroups", "test_sslproto")


def is_there():
    """Whether this Python came with its test suite (Debian packs it as libpython3.x-testsuite)."""
    try:
        return importlib.util.find_spec(PACKAGE) is not None
    except ModuleNotFoundError:
        return False


def modules():
    """The test modules that run, longest first."""
    folder = pathlib.Path(importlib.util.find_spec(PACKAGE).submodule_search_locations[0])
    names = sorted({path.stem for path in folder.glob("test_*.py")} - expected.MODULES_LEFT_OUT.keys())
    return tuple(sorted(names, key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST)))


def suite():
    return harness.Suite(
        name="cpython",
        version=platform.python_version(),
        package=PACKAGE,
        modules=modules() if is_there() else (),
        left_out=expected.MODULES_LEFT_OUT,
        differences=expected.DIFFERENCES,
        preparation="substitute",
    )


def main():
    parser = command.parser(__doc__.partition("\n")[0])
    options = command.parse(parser)
    if not is_there():
        parser.error("this Python came without test.test_asyncio (on Debian, install libpython3.x-testsuite)")
    return command.run(suite(), options)


if __name__ == "__main__":
    sys.exit(main())

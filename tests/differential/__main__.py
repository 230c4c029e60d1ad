"""`python -m tests.differential [BACKEND]`: the program on standard input, on asyncio and on another loop, compared."""

from __future__ import annotations

import sys

from tests import backends
from tests.differential.compare import show
from tests.differential.program import Act, End, Link, Program

NAMES = {"Program": Program, "Link": Link, "End": End, "Act": Act}

name = sys.argv[1] if len(sys.argv) > 1 else "tulipa-epoll"
program = eval(sys.stdin.read(), NAMES)
print(show(program, backends.ASYNCIO.new_loop, backends.BY_NAME[name].new_loop))

"""Running the program of `tulipa run` to its end.

Lives here: the loop that the program finds without making one, top-level `await`, running
on until nothing is left to do, and tracebacks without our frames. Not here: finding the
program (`program`).

1. A program that runs a loop itself is in charge: when its last line is done, the process
   ends, as under python.
2. A program whose top level awaits, or that registered something on the loop it was given
   and never ran it, ends when nothing is left to do on that loop.
3. What the program raises leaves this module unchanged, and the interpreter reports it:
   exit status, `sys.excepthook` and death by SIGINT are python's own doing.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from types import CodeType, TracebackType
from typing import Any

import tulipa

from .program import Program, ProgramNotFound

__all__ = ["run"]

# Files whose frames are before the program's, not of it.
_NOT_THE_PROGRAM = tuple(os.path.join(os.path.dirname(str(module.__file__)), "") for module in (tulipa, asyncio))


def run(program: Program) -> int:
    """Run `program`; return the exit status 0, or that of a program that is not there.

    Raises what the program raises.
    """
    given = _GivenLoop()
    tulipa.install(everywhere=True, default_loop=given.get)
    code: CodeType | None = None
    try:
        code, names = program.prepare()
        if code.co_flags & inspect.CO_COROUTINE:
            given.run(eval(code, names))
        else:
            exec(code, names)
            if given.has_work():
                given.run(None)
    except ProgramNotFound as exc:
        print(exc, file=sys.stderr)
        return exc.status
    except SystemExit:
        raise
    except BaseException as exc:
        _report_without_our_frames(exc, code)
        raise
    return 0


class _Loop(tulipa.Loop):
    """The loop that a program is given; it knows whether the program ran it."""

    was_run = False

    def run_forever(self) -> None:
        """Run until stopped."""
        self.was_run = True
        super().run_forever()


class _GivenLoop:
    """Makes that loop when it is first asked for, and runs it at the end."""

    def __init__(self) -> None:
        self._loop: _Loop | None = None

    def get(self) -> tulipa.Loop:
        if self._loop is None or self._loop.is_closed():
            self._loop = _Loop()
        return self._loop

    def has_work(self) -> bool:
        """Say whether the program left something on the loop and did not run it (rule 1)."""
        loop = self._loop
        return loop is not None and not loop.is_closed() and not loop.was_run

    def run(self, main: Any) -> None:
        """Run the coroutine `main`, if any, then go on until nothing is left to do."""
        with asyncio.Runner(loop_factory=self.get) as runner:
            if main is not None:
                runner.run(main)
            loop = runner.get_loop()
            if isinstance(loop, _Loop) and not loop.is_closed():
                loop.run_until_idle()


def _report_without_our_frames(exc: BaseException, code: CodeType | None) -> None:
    """Have the interpreter's report of `exc` begin where python's would."""
    earlier, seen = exc.__cause__ or exc.__context__, {id(exc)}
    while earlier is not None and id(earlier) not in seen:
        seen.add(id(earlier))
        earlier.__traceback__ = _from(code, earlier.__traceback__) or earlier.__traceback__
        earlier = earlier.__cause__ or earlier.__context__
    # It could not be compiled, or the interrupt came while the loop ran for the program.
    traceback = _from(code, exc.__traceback__) or _behind_ours(exc.__traceback__)
    hook = sys.excepthook

    def excepthook(kind: type[BaseException], value: BaseException, _: TracebackType | None) -> None:
        sys.excepthook = hook
        sys.last_traceback = traceback
        hook(kind, value.with_traceback(traceback), traceback)

    sys.excepthook = excepthook


def _from(code: CodeType | None, traceback: TracebackType | None) -> TracebackType | None:
    """Return the part of `traceback` that begins with the frame of `code`, None if there is none."""
    while traceback is not None and traceback.tb_frame.f_code is not code:
        traceback = traceback.tb_next
    return traceback


def _behind_ours(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_NOT_THE_PROGRAM):
        traceback = traceback.tb_next
    return traceback

"""The comparison of traces sees what it is for."""

from tests import backends
from tests.differential.compare import differences
from tests.differential.interpreter import run
from tests.differential.program import Act, End, Link, Program

TIMERS = Program((Link("unix"),), ((Act("now", (("later", "x", 1), ("later", "y", 2), ("advance", 3))),),))
TALK = Program(
    (Link("unix", End("buffered", reactions=(("data", (("write", "me", 10),)),)), End(keep_open=True)),),
    ((Act("task", (("write", "b0", 1000), ("close", "a0"))),),),
    debug=True,
)


def backwards():
    """A loop whose timers come in the wrong order."""
    loop = backends.ASYNCIO.new_loop()
    later = loop.call_later
    loop.call_later = lambda delay, *arguments: later(-delay, *arguments)
    return loop


def test_a_loop_with_another_order_differs():
    found = differences(TIMERS, backends.ASYNCIO.new_loop, backwards)
    assert "+ callback y" in found.splitlines() or "- callback y" in found.splitlines()


def test_a_loop_does_not_differ_from_itself():
    assert differences(TALK, backends.ASYNCIO.new_loop, backends.ASYNCIO.new_loop) == ""


def test_a_trace_holds_what_happened(backend):
    traces = run(TALK, backend.new_loop)
    assert traces["a0"] == [
        "connection_made",
        "data",
        "connection_lost NoneType",
        "after round 0: received 1000, closing, wrote all",
        "at the end: received 1000, closing, wrote all",
    ]
    assert traces["b0"][:3] == ["connection_made", "data", "eof_received"]


def test_a_program_prints_as_what_makes_it():
    names = {"Program": Program, "Link": Link, "End": End, "Act": Act}
    for program in (TIMERS, TALK):
        assert eval(repr(program), names) == program
        assert eval(program.script.split("<<'EOF'\n")[1].removesuffix("EOF"), names) == program

"""What becomes of each kind of descriptor and operation, on each loop.

    python tests/descriptors/measure.py --record       # asyncio, uvloop and tulipa: minutes; needs uvloop
    python tests/descriptors/measure.py                 # writes the table of what is recorded into the page
    python tests/descriptors/measure.py --show tulipa pipe

`recorded.json` holds what was found and nothing that depends on when or where. `test_table.py` measures tulipa's column
again, and compares the page with the record.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pathlib
import platform
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.descriptors.kinds import KINDS, Given, Unavailable, made  # noqa: E402
from tests.support.children import state_of  # noqa: E402

RECORD = HERE / "recorded.json"
PAGE = HERE.parent.parent / "docs" / "reference" / "descriptors.md"
BEGIN = "<!-- the table: written by tests/descriptors/measure.py -->"
END = "<!-- end of the table -->"

LOOPS = ("asyncio", "uvloop", "tulipa")
PATIENCE = 15.0
WRITTEN = b"written by the subject\n"

#: A neighbour that reads once, and one that writes more than any buffer holds.
READS = "import os; os.write(2, b'begun\\n'); os.read(0, 100)"
WRITES = "import os; os.write(2, b'begun\\n')\nfor _ in range(100): os.write(1, b'neighbour\\n' * 1000)"


class Subject:
    """A program on a loop, with the descriptor as its standard input or output."""

    def __init__(self, loop: str, operation: str, given: Given, writes: bool):
        self.report, report = os.pipe()
        self.text = b""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        passed = [report]
        number = 1 if writes else 0
        if given.is_standard:
            streams["stdout" if writes else "stdin"] = given.number
        else:
            number = given.number
            passed.append(number)
        command = [sys.executable, str(HERE / "subject.py"), loop, operation, str(number), str(report)]
        self.process = subprocess.Popen(command, pass_fds=passed, **streams)
        os.close(report)

    def line(self) -> str | None:
        """The next thing that it says; nothing if it says no more."""
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self.text:
            if not select.select([self.report], [], [], max(0, deadline - time.monotonic()))[0]:
                return "hangs in a call"
            more = os.read(self.report, 1000)
            if not more:
                return None
            self.text += more
        line, _, self.text = self.text.partition(b"\n")
        return line.decode()

    def result(self) -> str:
        said = self.line()
        if said is not None:
            return said
        code = self.process.wait(PATIENCE)
        return "aborts the process" if code == -signal.SIGABRT else f"dies ({code})"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.report)


def flags(number: int) -> int:
    return fcntl.fcntl(number, fcntl.F_GETFL) & (os.O_NONBLOCK | os.O_APPEND | os.O_ASYNC)


def flags_result(before: int, after: int) -> str:
    if before == after:
        return "as before"
    return "`O_NONBLOCK` left set" if after & os.O_NONBLOCK else "changed"


def neighbour(number: int, writes: bool) -> str:
    """What another program meets that has the same standard stream. One that just waits is well."""
    command = [sys.executable, "-S", "-E", "-c", WRITES if writes else READS]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    streams["stdout" if writes else "stdin"] = number
    with subprocess.Popen(command, stderr=subprocess.PIPE, bufsize=0, **streams) as program:
        assert program.stderr.readline() == b"begun\n"
        while program.poll() is None:
            # One that sleeps waits in its call.
            if state_of(program.pid) == "S":
                program.kill()
                return "unharmed"
            time.sleep(0.001)
        text = program.stderr.read()
    if program.returncode == 0 or b"ENOSPC" in text or b"No space left" in text:
        return "unharmed"
    return text.decode().strip().rpartition("\n")[2].partition(":")[0] or f"fails ({program.returncode})"


def measure(loop: str, kind: str, operation: str) -> str:
    """What comes of one operation, in a few words."""
    writes = "writ" in operation
    with made(kind, writes) as given:
        direction = "write" if writes else "read"
        name = {
            "read": "read",
            "end of file": "end",
            "write": "write",
            "close": "close",
            "closed": "closed",
            "flags afterwards": "leave",
            "flags after writing": "write",
        }.get(operation, "wait")
        before = flags(given.number)
        subject = Subject(loop, f"{name}-{direction}", given, writes)
        try:
            ready = subject.line()
            if ready != "ready":
                return subject.result() if ready is None else ready
            return _measure(subject, given, operation, writes, before)
        finally:
            subject.end()


def _measure(subject, given, operation, writes, before):
    if name_of_refusal := refusal(subject):
        return name_of_refusal
    if operation in ("read", "flags afterwards") and given.feed:
        given.feed()
    if operation == "end of file" and given.finish:
        given.finish()
    if operation in ("neighbour", "neighbour writing"):
        return neighbour(given.number, writes)
    if operation == "kill -9":
        subject.process.kill()
        subject.process.wait()
        left = flags_result(before, flags(given.number))
        return f"flags {left}" if left == "as before" else left
    result = subject.result()
    if operation in ("flags afterwards", "flags after writing"):
        subject.process.wait(PATIENCE)
        if result.startswith(("aborts", "dies")):
            return result
        return flags_result(before, flags(given.number))
    if operation == "write" and result == "written" and given.arrived is not None:
        got = given.arrived().replace(b"\r\n", b"\n")
        return "arrives" if WRITTEN in got else "accepted" if not got else f"arrives as {got[:20]!r}"
    return result


def refusal(subject) -> str | None:
    """What the loop says to such a descriptor, if that is all that it says."""
    # The result of an operation that needs the harness comes later; a refusal is there at once.
    if subject.text or select.select([subject.report], [], [], 0.15)[0]:
        if b"\n" not in subject.text:
            subject.text += os.read(subject.report, 1000)
        if not subject.text:
            return subject.result()
        if b"Error" in subject.text and b"(" not in subject.text:
            return subject.line()
    return None


def all_of(loop: str, kinds=KINDS) -> dict[str, dict[str, str]]:
    """All kinds and operations on one loop; a kind that this machine cannot make is left out."""

    def one(case):
        kind, operation = case
        try:
            return measure(loop, kind, operation)
        except Unavailable:
            return None

    cases = [(kind, operation) for kind in kinds for operation in KINDS[kind][1]]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(one, cases))
    found: dict[str, dict[str, str]] = {}
    for (kind, operation), result in zip(cases, results, strict=True):
        if result is not None:
            found.setdefault(kind, {})[operation] = result
    return found


def render(record: dict) -> str:
    names = " | ".join(f"{loop} {record['versions'][loop]}".strip() for loop in LOOPS)
    lines = [f"| kind | operation | {names} |", "| --- | --- | --- | --- | --- |"]
    for kind, (_, operations) in KINDS.items():
        for operation in operations:
            results = [record["results"][loop].get(kind, {}).get(operation, "not measured") for loop in LOOPS]
            cells = [
                kind if operation == operations[0] else "",
                "read" if operation == "closed" else operation,
                *results,
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page(record: dict) -> str:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{render(record)}\n\n{END}{after}"


def load() -> dict:
    return json.loads(RECORD.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--show", nargs="+", metavar="LOOP [KIND]")
    arguments = parser.parse_args()
    if arguments.show:
        loop, *kinds = arguments.show
        print(json.dumps(all_of(loop, kinds or KINDS), indent=2))
        return
    if arguments.record:
        import uvloop

        versions = {"asyncio": platform.python_version(), "uvloop": uvloop.__version__, "tulipa": ""}
        record = {"versions": versions, "results": {loop: all_of(loop) for loop in LOOPS}}
        RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(load()))


if __name__ == "__main__":
    main()

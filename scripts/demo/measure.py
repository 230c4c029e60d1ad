"""Runs the programs of the demo: fresh processes, pinned to processors, each with a time limit.

Lives here: how one measurement of each job is made. Not here: the programs that are measured (`programs/`) and what is
shown (`show.py`). Rule: a measurement is true or it raises `Failed`; nothing is guessed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"

CONNECTIONS = 32
LOAD_SECONDS = 2.0
PIPE_BYTES = 1 << 30
SLOW_MEGABYTES = 70
SLOW_BYTES_PER_SECOND = 35e6
LIMIT_SECONDS = 20.0


class Failed(Exception):
    """A program ended badly, said nothing in time, or said something that is not so."""


def processors() -> tuple[int, int]:
    """The processor for what is measured and the one for its peer; the same where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


class Child:
    """A process of its own, killed with all that it started if it outlives the `with` block."""

    def __init__(self, processor: int, *command: object, stdin: int | None = subprocess.DEVNULL) -> None:
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
        )
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(self.process.pid, {processor})

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def port(self) -> int:
        """The first line of a server."""
        if not select.select([self.process.stdout], [], [], LIMIT_SECONDS)[0]:
            raise Failed(f"not listening after {LIMIT_SECONDS:.0f} s")
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            raise Failed(self._reason())
        return int(line)

    def result(self) -> dict:
        """The line of JSON that the program ends with."""
        try:
            output, _ = self.process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {LIMIT_SECONDS:.0f} s") from None
        if self.process.returncode:
            raise Failed(self._reason())
        try:
            return json.loads(output)
        except ValueError:
            raise Failed(f"no result, but {output[:60]!r}") from None

    def terminate(self) -> None:
        """Ask a server to end, and see that it does."""
        self.process.terminate()
        try:
            status = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            raise Failed("did not end within 5 s of SIGTERM") from None
        if status not in (0, -signal.SIGTERM):
            raise Failed(self._reason())

    def _reason(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        status = self.process.returncode
        end = f"killed by {signal.Signals(-status).name}" if status and status < 0 else f"exit status {status}"
        return f"{end}: {lines[-1]}" if lines else end


def program(name: str, *arguments: object) -> list[object]:
    return [sys.executable, PROGRAMS / name, *arguments]


def serve_http(loop: str, framework: str) -> dict:
    """Requests per second and processor time per request of a server under load."""
    here, there = processors()
    with Child(here, *program("serve_http.py", loop, framework)) as server:
        load = program("load_http.py", server.port(), CONNECTIONS, LOAD_SECONDS)
        with Child(there, *load) as client:
            measured = client.result()
        server.terminate()
    return measured


def read_stdin(loop: str, file: Path) -> dict:
    """How fast a large file comes in through standard input, all of it."""
    here, there = processors()
    with (
        Child(there, "cat", file) as cat,
        Child(here, *program("read_stdin.py", loop), stdin=cat.process.stdout) as reader,
    ):
        measured = reader.result()
    with open(file, "rb") as original:
        original.seek(-len(MARK), os.SEEK_END)
        tail = original.read()
    if measured["bytes"] != file.stat().st_size:
        raise Failed(f"{measured['bytes']:,} bytes of {file.stat().st_size:,} arrived")
    if bytes.fromhex(measured["tail"]) != tail:
        raise Failed("what arrived last is not the end of the file")
    return measured | {"bytes_per_second": measured["bytes"] / measured["seconds"]}


def send_to_slow_reader(loop: str) -> dict:
    """70 MB to a reader that takes its time: did all arrive, what did the sender hold, how late were the ticks."""
    here, there = processors()
    with Child(here, *program("send_fast.py", loop, SLOW_MEGABYTES)) as sender:
        with Child(there, *program("read_slowly.py", sender.port(), SLOW_BYTES_PER_SECOND)) as reader:
            received = reader.result()
        measured = sender.result()
    if received["digest"] != measured["digest"]:
        raise Failed(f"{received['bytes']:,} bytes arrived, and they are not what was sent")
    return measured | {"bytes": received["bytes"]}


MARK = b"the end of it all"[-16:]


@contextlib.contextmanager
def large_file() -> Iterator[Path]:
    """A file of 1 GiB that takes no space on the disk: zeros up to a mark at its end."""
    with tempfile.NamedTemporaryFile(prefix="demo-", suffix=".bin") as file:
        file.truncate(PIPE_BYTES)
        file.seek(-len(MARK), os.SEEK_END)
        file.write(MARK)
        file.flush()
        yield Path(file.name)

"""One measurement: a workload on a loop, in fresh processes, on processors of their own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import loops
import trustme
from workloads.model import Asking, Served, Workload

HERE = Path(__file__).resolve().parent
# Beyond the time that is measured: two interpreters start, and so many connections are made.
GRACE = 30.0
GRACE_PER_CONNECTION = 0.01
GRACE_PER_HANDSHAKE = 0.05

Numbers = dict[str, float]


class Unsupported(Exception):
    """The loop says itself that it does not do this."""


class Failed(Exception):
    """No numbers, and why."""


@dataclass(frozen=True)
class Processors:
    """Which processor the loop has, and which the client."""

    loop: str
    client: str

    @classmethod
    def of_this_machine(cls) -> Processors:
        ours = sorted(os.sched_getaffinity(0))
        if len(ours) < 2:
            return cls("any", "any")
        return cls(str(ours[0]), str(ours[1]))

    @property
    def apart(self) -> bool:
        return self.loop != self.client


@contextlib.contextmanager
def prepared_folder() -> Iterator[Path]:
    """Where the processes of a run find what they share: the certificates, and a place for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="tulipa-bench-") as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "authority.pem")
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        yield folder


@dataclass(frozen=True)
class Program:
    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    def complaint(self) -> str:
        """The last line that it wrote before it gave up."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@contextlib.contextmanager
def started(program: str, control: socket.socket, *arguments: object) -> Iterator[Program]:
    """A program of this folder; if it has not ended by itself it is killed."""
    # -E: what the environment says to Python must not make loops differ.
    command = [sys.executable, "-E", HERE / program, *map(str, arguments)]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, pass_fds=[control.fileno()]
        ) as process:  # fmt: skip
            control.close()  # the program has it now, and the other side sees when that ends
            try:
                yield Program(process, errors)
            finally:
                process.kill()


def does_not_apply(loop: str, workload: Workload) -> str | None:
    """Why a loop is not measured here, where that is known beforehand."""
    if loop == loops.LIMIT and not (isinstance(workload, Served) and workload.limit):
        return "no limit in C"
    if loop == loops.PATCHED and not workload.transports:
        return "the same as asyncio"
    return None


def measure(loop: str, workload: Workload, folder: Path, processors: Processors, seconds: float) -> Numbers:
    (folder / "socket").unlink(missing_ok=True)
    near, far = socket.socketpair()
    arguments = (loop, workload.name, far.fileno(), folder, processors.loop, seconds)
    with contextlib.ExitStack() as stack:
        stack.enter_context(near)
        if isinstance(workload, Asking):
            arguments += (stack.enter_context(answering(workload, folder, processors, seconds)),)
        subject = stack.enter_context(started("subject.py", far, *arguments))
        if isinstance(workload, Served):
            said, reason = ask_client(workload, near, folder, processors, seconds)
        else:
            said, reason = ask_subject(near, seconds), ""
        numbers = json.loads(said or "{}")
        if "operations" in numbers:
            return numbers
        if "unsupported" in numbers:
            raise Unsupported(numbers["unsupported"])
        raise Failed(subject.complaint() or reason or "ended without a word")


@contextlib.contextmanager
def answering(workload: Asking, folder: Path, processors: Processors, seconds: float) -> Iterator[str]:
    """The far side of a loop that asks, and where it listens."""
    near, far = socket.socketpair()
    with near, started("client.py", far, workload.name, far.fileno(), folder, processors.client, seconds) as server:
        yield server.process.stdout.readline().decode() or "null"


def ask_client(
    workload: Served, control: socket.socket, folder: Path, processors: Processors, seconds: float
) -> tuple[str, str]:
    """What a client said in the end, and what it complained of."""
    arguments = (workload.name, control.fileno(), folder, processors.client, seconds)
    limit = seconds + GRACE + workload.connections * (GRACE_PER_HANDSHAKE if workload.tls else GRACE_PER_CONNECTION)
    with started("client.py", control, *arguments) as client:
        try:
            said, _ = client.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"no numbers within {limit:.0f} s") from None
        return said.decode(), client.complaint()


def ask_subject(control: socket.socket, seconds: float) -> str:
    control.settimeout(seconds + GRACE)
    try:
        return control.makefile().readline()
    except TimeoutError:
        raise Failed(f"no numbers within {seconds + GRACE:.0f} s") from None

"""The process that is measured: one loop, one workload, nothing else.

    subject.py LOOP WORKLOAD CONTROL FOLDER PROCESSOR SECONDS

Lives here: setting a workload up on a loop, and this process's own account of its processor time. Rule: what asks for
that account is a thread that sleeps in `recv` in between, so the loop under test knows nothing of being measured.

On the socket CONTROL leaves one line first: where the server listens, or for a workload without one its numbers, or
that the loop does not support it. Then each line that comes in is answered with the processor time used so far.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

import loops
import workloads
from workloads.model import Scheduling, Served

# Operations per call of a scheduling workload: long against a look at the clock, short against a measurement.
BATCH = 10_000


def processor_time() -> float:
    """Seconds that this process has spent on processors, its own and the kernel's for it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def stay_on(processor: str) -> None:
    if processor != "any":
        os.sched_setaffinity(0, {int(processor)})


def allow_many_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def bound(workload: Served, folder: Path) -> socket.socket:
    """The socket to serve on. It is made the same way for every loop."""
    tcp = workload.family == socket.AF_INET and workload.kind == socket.SOCK_STREAM
    # asyncio switches Nagle's algorithm off only where the socket names its protocol.
    sock = socket.socket(workload.family, workload.kind, socket.IPPROTO_TCP if tcp else 0)
    sock.bind(str(folder / "socket") if workload.family == socket.AF_UNIX else ("127.0.0.1", 0))
    if workload.kind == socket.SOCK_STREAM:
        sock.listen(1024)
    sock.setblocking(False)
    return sock


def server_context(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    return context


def answer(lines) -> None:
    for _ in lines:
        say(lines, cpu=processor_time())
    # Whoever asked is done. Taking the connections down is no part of what is measured.
    os._exit(0)


def say(lines, **facts: object) -> None:
    lines.write(json.dumps(facts) + "\n")
    lines.flush()


async def serve(workload: Served, lines, folder: Path) -> None:
    sock = bound(workload, folder)
    address = sock.getsockname()  # now: a loop may take the socket over, and leave an empty one
    serving = await workload.serve(sock, server_context(folder) if workload.tls else None)
    threading.Thread(target=answer, args=(lines,), daemon=True).start()
    say(lines, address=address)
    await asyncio.Event().wait()
    del serving


async def schedule(workload: Scheduling, lines, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    await workload.run(loop, BATCH)
    operations, cpu, start = 0, processor_time(), time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        await workload.run(loop, BATCH)
        operations += BATCH
    say(lines, operations=operations, seconds=passed, cpu=processor_time() - cpu)


def main() -> None:
    loop, name, control, folder, processor, seconds = sys.argv[1:]
    stay_on(processor)
    allow_many_descriptors()
    lines = socket.socket(fileno=int(control)).makefile("rw")
    workload = workloads.ALL[name]
    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        try:
            if isinstance(workload, Served):
                runner.run(serve(workload, lines, Path(folder)))
            else:
                runner.run(schedule(workload, lines, float(seconds)))
        except NotImplementedError as error:
            say(lines, unsupported=str(error) or "NotImplementedError")


if __name__ == "__main__":
    main()

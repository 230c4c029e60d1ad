"""The process that is measured: one loop, one workload, nothing else.

    subject.py LOOP WORKLOAD CONTROL FOLDER PROCESSOR SECONDS [ADDRESS]

Lives here: setting a workload up on a loop, and this process's own account of its processor time. Rule: what asks for
that account is a thread that sleeps in `recv` in between, so the loop under test knows nothing of being measured.

On the socket CONTROL leaves one line first: where the server listens, or for a workload without one its numbers, or
that the loop does not support it. Then each line that comes in is answered with the processor time used so far, and the
memory. Where the loop is the client, ADDRESS says whom it asks. Where the loop is C, this process becomes the limit.
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
from limit import PROGRAM
from workloads.model import Asking, Scheduling, Served

WARM_UP = 0.2  # of the time that is measured


def processor_time() -> float:
    """Seconds that this process has spent on processors, its own and the kernel's for it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_memory() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


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
        say(lines, cpu=processor_time(), resident=resident_memory())
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
    await workload.run(loop, workload.batch)
    operations, durations, cpu, start = 0, [], processor_time(), time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        durations += await workload.run(loop, workload.batch) or ()
        operations += workload.batch
    say(lines, operations=operations, seconds=passed, cpu=processor_time() - cpu, **spread(durations))


async def ask(workload: Asking, lines, seconds: float, address) -> None:
    await workload.run(address, workload.connections, seconds * WARM_UP)
    cpu, start = processor_time(), time.perf_counter()
    durations = await workload.run(address, workload.connections, seconds)
    passed, cpu = time.perf_counter() - start, processor_time() - cpu
    say(lines, operations=len(durations), seconds=passed, cpu=cpu, **spread(durations))


def spread(durations: list[float]) -> dict[str, float]:
    """The middle one, the 99th percentile and the longest."""
    ordered = sorted(durations)
    if not ordered:
        return {}
    return {
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        "worst": ordered[-1],
    }


def become_the_limit(workload: Served, control: str, folder: Path) -> None:
    sock = bound(workload, folder)
    for number in (sock.fileno(), int(control)):
        os.set_inheritable(number, True)
    ready = json.dumps({"address": sock.getsockname()})
    program = folder / PROGRAM
    os.execv(program, [program, workload.limit, str(sock.fileno()), control, ready, str(folder / "server.pem")])


def main() -> None:
    loop, name, control, folder, processor, seconds, *address = sys.argv[1:]
    stay_on(processor)
    allow_many_descriptors()
    workload = workloads.ALL[name]
    if loop == loops.LIMIT:
        become_the_limit(workload, control, Path(folder))
    lines = socket.socket(fileno=int(control)).makefile("rw")
    with asyncio.Runner(loop_factory=loops.factory(loop)) as runner:
        try:
            if isinstance(workload, Served):
                runner.run(serve(workload, lines, Path(folder)))
            elif isinstance(workload, Asking):
                runner.run(ask(workload, lines, float(seconds), tuple(json.loads(address[0]))))
            else:
                runner.run(schedule(workload, lines, float(seconds)))
        except NotImplementedError as error:
            say(lines, unsupported=str(error) or "NotImplementedError")


if __name__ == "__main__":
    main()

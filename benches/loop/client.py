"""The far side of every workload with a connection: it asks, or answers, on epoll, without asyncio.

    client.py WORKLOAD CONTROL FOLDER PROCESSOR SECONDS

Lives here: choosing what it does (`clients/`), and the marks between which the server's processor time counts. Prints
one line: of numbers, or where it answers, of its address. Rule: it runs no event loop, so it does the same whichever
loop it talks to; how busy it was itself is among the numbers.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time
from pathlib import Path

import workloads
from clients import answering
from clients.bulk import Bulk
from clients.echo import load
from clients.idle import Idle
from clients.passing import Passing
from subject import WARM_UP, allow_many_descriptors, processor_time, spread, stay_on
from workloads.model import CHURN, DOWNLOAD, IDLE, UPLOAD, Asking, Served


def measure(workload: Served, lines, folder: Path, seconds: float) -> dict[str, object]:
    ready = json.loads(lines.readline() or "{}")
    if "address" not in ready:
        return ready
    address = tuple(ready["address"]) if isinstance(ready["address"], list) else ready["address"]

    def server(number: str) -> float:
        lines.write("mark\n")
        lines.flush()
        return json.loads(lines.readline())[number]

    context = ssl.create_default_context(cafile=folder / "authority.pem") if workload.tls else None
    extra = {}
    if workload.client == CHURN:
        drive = Passing(workload, address, context).drive
    elif workload.client in (DOWNLOAD, UPLOAD):
        drive = Bulk(workload, address, context).drive
    elif workload.client == IDLE:
        idle = Idle(workload, address, context, lambda: server("resident"))
        drive, extra["memory"] = idle.drive, idle.memory
    else:
        drive = load(workload, address, context).drive
    drive(seconds * WARM_UP)
    own, cpu, start = processor_time(), server("cpu"), time.perf_counter()
    done = drive(seconds)
    passed, cpu, own = time.perf_counter() - start, server("cpu") - cpu, processor_time() - own
    if not isinstance(done, int):
        extra |= spread(done)
        done = len(done)
    return {"operations": done, "seconds": passed, "cpu": cpu, "client_cpu": own, **extra}


def main() -> None:
    name, control, folder, processor, seconds = sys.argv[1:]
    stay_on(processor)
    allow_many_descriptors()
    workload = workloads.ALL[name]
    with socket.socket(fileno=int(control)) as sock:
        sock.settimeout(None)
        if isinstance(workload, Asking):
            server = answering.listening()
            print(json.dumps(server.getsockname()), flush=True)
            answering.answer(server, workload.http, sock)
        else:
            with sock.makefile("rw") as lines:
                print(json.dumps(measure(workload, lines, Path(folder), float(seconds))))


if __name__ == "__main__":
    main()

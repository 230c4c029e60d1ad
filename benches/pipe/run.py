"""`tulipa pipe` beside socat, nc, pv and openssl s_client: how fast, and at what cost.

    python benches/pipe/run.py [--mib 1024] [--rounds 5] [--jobs stdin-to-tcp,...]

Each job moves the same bytes between the same two peers (`peers.py`) through each tool that can do it, all tools by
turns within a round, so that what else the machine does hits them alike. Printed are the medians: MB/s from the start
of the tool to the last byte, which includes its starting, and the processor time of the tool, starting included; in
brackets, both in terms of the first tool's. A tool that is not installed is left out.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PEERS = [sys.executable, str(Path(__file__).with_name("peers.py"))]
TULIPA = [sys.executable, "-m", "tulipa", "pipe"]
MIB = 1024 * 1024


class Moved:
    """What one run took."""

    def __init__(self, amount: int, seconds: float, cpu: float) -> None:
        self.rate = amount / seconds / 1e6
        self.cpu = cpu


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def wait_until_open(port: int) -> None:
    """Wait until somebody listens, without connecting: some tools take one connection only."""
    wanted = f":{port:04X} "
    while True:
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                words = line.split()
                if words[1].endswith(wanted.strip()) and words[3] == "0A":
                    return
        time.sleep(0.002)


def run_tool(command: list[str], stdin, stdout) -> tuple[subprocess.Popen, float]:
    begun = time.perf_counter()
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL), begun


def finish(tool: subprocess.Popen) -> float:
    """Wait for the tool; its processor time."""
    _, _, usage = os.wait4(tool.pid, 0)
    tool.returncode = 0
    return usage.ru_utime + usage.ru_stime


def check(got: str, amount: int, command: list[str]) -> None:
    if int(got) != amount:
        raise SystemExit(f"{' '.join(command)}: {int(got)} bytes arrived of {amount}")


def between_pipes(command: list[str], amount: int, _folder: Path) -> Moved:
    """Source, tool and sink as a shell pipeline."""
    source = subprocess.Popen([*PEERS, "source-pipe", str(amount)], stdout=subprocess.PIPE)
    tool, begun = run_tool(command, source.stdout, subprocess.PIPE)
    sink = subprocess.Popen([*PEERS, "sink-pipe"], stdin=tool.stdout, stdout=subprocess.PIPE, text=True)
    source.stdout.close()
    tool.stdout.close()
    got = sink.communicate()[0]
    seconds = time.perf_counter() - begun
    cpu = finish(tool)
    source.wait()
    check(got, amount, command)
    return Moved(amount, seconds, cpu)


def to_a_server(role: list[str]) -> Callable:
    def move(command: list[str], amount: int, folder: Path) -> Moved:
        words = [str(folder / word) if word.endswith(".pem") else word for word in role]
        sink = subprocess.Popen([*PEERS, *words], stdout=subprocess.PIPE, text=True)
        port = sink.stdout.readline().strip()
        source = subprocess.Popen([*PEERS, "source-pipe", str(amount)], stdout=subprocess.PIPE)
        words = [word.replace("PORT", port).replace("FOLDER", str(folder)) for word in command]
        tool, begun = run_tool(words, source.stdout, subprocess.DEVNULL)
        source.stdout.close()
        source.wait()
        if "s_client" in words:
            # It does not end by itself once its input has.
            waited = time.perf_counter()
            while unsent(int(port)) and time.perf_counter() - waited < 60:
                time.sleep(0.001)
            tool.terminate()
        got = sink.stdout.read()
        seconds = time.perf_counter() - begun
        cpu = finish(tool)
        sink.wait()
        if "s_client" not in words:
            check(got, amount, words)
        return Moved(int(got), seconds, cpu)

    return move


def unsent(port: int) -> bool:
    """Whether bytes are on their way to that port."""
    wanted = f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if wanted in (words[1][-5:], words[2][-5:]) and words[4] != "00000000:00000000":
            return True
    return False


def through_a_proxy(command: list[str], amount: int, _folder: Path) -> Moved:
    """A source that connects, the tool between, and a sink that is connected to."""
    sink = subprocess.Popen([*PEERS, "sink-tcp"], stdout=subprocess.PIPE, text=True)
    port, own = sink.stdout.readline().strip(), free_port()
    words = [word.replace("PORT", port).replace("OWN", str(own)) for word in command]
    tool, _ = run_tool(words, subprocess.DEVNULL, subprocess.DEVNULL)
    wait_until_open(own)
    begun = time.perf_counter()
    source = subprocess.Popen([*PEERS, "source-tcp", str(own), str(amount)])
    got = sink.stdout.read()
    seconds = time.perf_counter() - begun
    cpu = finish(tool)
    source.wait()
    sink.wait()
    check(got, amount, words)
    return Moved(amount, seconds, cpu)


def between_files(command: list[str], amount: int, folder: Path) -> Moved:
    """A file in memory, copied to another one."""
    path = folder / "from"
    if not path.exists() or path.stat().st_size != amount:
        path.write_bytes(os.urandom(MIB) * (amount // MIB))
    words = [word.replace("FOLDER", str(folder)) for word in command]
    with (folder / "to").open("wb") as target, path.open("rb") as origin:
        tool, begun = run_tool(words, origin, target)
        cpu = finish(tool)
        seconds = time.perf_counter() - begun
    check(str((folder / "to").stat().st_size), amount, words)
    return Moved(amount, seconds, cpu)


JOBS: dict[str, tuple[Callable, dict[str, list[str]]]] = {
    "stdin-to-stdout": (
        between_pipes,
        {
            "socat": ["socat", "-u", "-", "-"],
            "pv": ["pv", "-q"],
            "tulipa": [*TULIPA, "-u", "stdio:", "stdio:"],
        },
    ),
    "stdin-to-tcp": (
        to_a_server(["sink-tcp"]),
        {
            "socat": ["socat", "-u", "-", "TCP:127.0.0.1:PORT"],
            "nc": ["nc", "-N", "127.0.0.1", "PORT"],
            "tulipa": [*TULIPA, "stdio:", "tcp:127.0.0.1:PORT"],
        },
    ),
    "tcp-to-tcp": (
        through_a_proxy,
        {
            "socat": ["socat", "TCP-LISTEN:OWN,bind=127.0.0.1", "TCP:127.0.0.1:PORT"],
            "tulipa": [*TULIPA, "tcp-listen:127.0.0.1:OWN", "tcp:127.0.0.1:PORT"],
        },
    ),
    "stdin-to-tls": (
        to_a_server(["sink-tls", "cert.pem", "key.pem"]),
        {
            "socat": ["socat", "-u", "-", "OPENSSL:127.0.0.1:PORT,cafile=FOLDER/cert.pem"],
            "openssl": ["openssl", "s_client", "-quiet", "-connect", "127.0.0.1:PORT", "-CAfile", "FOLDER/cert.pem"],
            "tulipa": [*TULIPA, "-u", "--linger", "0", "stdio:", "tls:127.0.0.1:PORT,ca=FOLDER/cert.pem"],
        },
    ),
    "file-to-file": (
        between_files,
        {
            "socat": ["socat", "-u", "OPEN:FOLDER/from,rdonly", "OPEN:FOLDER/to,wronly"],
            "pv": ["pv", "-q"],
            "tulipa": [*TULIPA, "file:FOLDER/from", "file:FOLDER/to"],
        },
    ),
}


def make_certificate(folder: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="how much each run moves (default: 1024)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", default=",".join(JOBS), help="which jobs, comma-separated")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    scratch = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        make_certificate(folder)
        print(f"{'job':<16} {'tool':<8} {'MB/s':>8} {'':>7} {'CPU s':>7} {'':>7}", flush=True)
        for job in options.jobs.split(","):
            measure(job, options, folder)


def measure(job: str, options: argparse.Namespace, folder: Path) -> None:
    move, tools = JOBS[job]
    tools = {tool: command for tool, command in tools.items() if shutil.which(command[0])}
    found: dict[str, list[Moved]] = {tool: [] for tool in tools}
    for _ in range(options.rounds):
        for tool, command in tools.items():
            found[tool].append(move(command, options.mib * MIB, folder))
    base = None
    for tool, runs in found.items():
        rate = statistics.median(run.rate for run in runs)
        cpu = statistics.median(run.cpu for run in runs)
        base = base or (rate, cpu)
        print(f"{job:<16} {tool:<8} {rate:8.0f} ({rate / base[0]:4.2f}) {cpu:7.2f} ({cpu / base[1]:5.2f})", flush=True)


if __name__ == "__main__":
    main()

"""`python -m tests.soak [--seconds N] [--seed N] [--loop NAME] [--flood MIB]`: the soak, then the flood.

Status 1 if something is left behind, or held.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from tests import backends
from tests.soak.census import MEBIBYTE
from tests.soak.churn import soak
from tests.soak.flood import MARGIN, flood

parser = argparse.ArgumentParser(prog="python -m tests.soak")
parser.add_argument("--seconds", type=float, default=120, help="how long to churn after the warm-up (default: 120)")
parser.add_argument("--seed", type=int, default=int(time.time()), help="what the jobs draw from (default: the time)")
parser.add_argument("--loop", choices=list(backends.BY_NAME), default="tulipa-epoll")
parser.add_argument("--flood", type=int, default=1024, help="MiB over TLS to a reader that stops (default: 1024)")
options = parser.parse_args()

print(f"seed {options.seed}, {options.seconds:g} s on {options.loop}", flush=True)
with asyncio.Runner(loop_factory=backends.BY_NAME[options.loop].new_loop) as runner:
    report = runner.run(soak(options.seconds, options.seed, 320, tell=lambda text: print(text, flush=True)))
    held = runner.run(flood(options.flood * MEBIBYTE))
print(", ".join(f"{count} {name}" for name, count in report.done.most_common()))
for problem in report.problems:
    print(f"LEFT BEHIND {problem}")
print(f"{options.flood} MiB over TLS to a reader that stops: {held / MEBIBYTE:.1f} MiB held at most")
if held > MARGIN:
    report.problems.append("memory")
    print(f"HELD more than {MARGIN / MEBIBYTE:.0f} MiB")
sys.exit(bool(report.problems))

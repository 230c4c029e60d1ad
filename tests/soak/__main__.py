"""`python -m tests.soak [--seconds N] [--seed N] [--loop NAME]`: the soak; status 1 if something is left behind."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from tests import backends
from tests.soak.churn import soak

parser = argparse.ArgumentParser(prog="python -m tests.soak")
parser.add_argument("--seconds", type=float, default=120, help="how long to churn after the warm-up (default: 120)")
parser.add_argument("--seed", type=int, default=int(time.time()), help="what the jobs draw from (default: the time)")
parser.add_argument("--loop", choices=list(backends.BY_NAME), default="tulipa-epoll")
options = parser.parse_args()

print(f"seed {options.seed}, {options.seconds:g} s on {options.loop}", flush=True)
with asyncio.Runner(loop_factory=backends.BY_NAME[options.loop].new_loop) as runner:
    report = runner.run(soak(options.seconds, options.seed, 320, tell=lambda text: print(text, flush=True)))
print(", ".join(f"{count} {name}" for name, count in report.done.most_common()))
for problem in report.problems:
    print(f"LEFT BEHIND {problem}")
sys.exit(bool(report.problems))

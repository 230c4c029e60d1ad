#!/usr/bin/env bash
# How much memory `tulipa pipe` takes while 10 GiB (or $1 GiB) pass from /dev/zero to /dev/null through a child, and so
# through both directions of one relay. Prints its summary and its most memory.
#
#     PYTHON=.venv/3.13/bin/python benches/pipe/constant_memory.sh 10
set -euo pipefail

python=${PYTHON:-python3}
gib=${1:-10}
head -c "${gib}G" /dev/zero |
    "$python" -c '
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "tulipa", "pipe", "--stats", "stdio:", "exec:cat"])
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(f"status {done.returncode}, most memory {most / 1024:.1f} MiB", file=sys.stderr)
' | cat >/dev/null

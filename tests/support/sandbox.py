"""A kernel that refuses: system calls that fail in a child program, as they do on old kernels and in sandboxes.

`REFUSE` is source for child programs. It defines `refuse(number, error, first_argument=None)`, after which the system
call of that number, or only such calls with that first argument, fails with that error, here and in all children.
"""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

REFUSE = """
import ctypes as _c, os as _os, struct as _s
def refuse(number, error, first_argument=None):
    load, equal, end = 0x20, 0x15, 0x06  # of BPF: load a word, jump if equal, return
    checks = [(0, number)] + ([] if first_argument is None else [(16, first_argument)])
    lines = []
    for position, (offset, value) in enumerate(checks):
        lines += [(load, 0, 0, offset), (equal, 0, 2 * (len(checks) - position) - 1, value)]
    lines += [(end, 0, 0, 0x00050000 | error), (end, 0, 0, 0x7FFF0000)]  # of seccomp: an error, or as always
    code = _c.create_string_buffer(b"".join(_s.pack("HBBI", *line) for line in lines))
    program = _c.create_string_buffer(_s.pack("HxxxxxxP", len(lines), _c.addressof(code)))
    prctl = _c.CDLL(None, use_errno=True).prctl
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, program):  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP with a filter
        raise OSError(_c.get_errno(), _os.strerror(_c.get_errno()))
"""

PIDFD_OPEN = 434
CLOSE_RANGE = 436
CLONE = {"x86_64": 56, "aarch64": 220}.get(platform.machine(), -1)

needs_seccomp = pytest.mark.skipif(
    CLONE == -1 or not Path("/proc/sys/kernel/seccomp").exists(), reason="no filters for system calls here"
)

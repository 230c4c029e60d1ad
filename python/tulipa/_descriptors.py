"""What a descriptor says of itself: where it is and how much there is.

Lives here: questions that change nothing. Not here: reading and writing (native).
"""

from __future__ import annotations

import fcntl
import os
import stat

__all__ = ["position_of", "size_of"]


def position_of(number: int) -> int | None:
    """Where the next read or write happens, in bytes from the beginning; None for what has no beginning.

    For a file that is appended to, that is its end.
    """
    status = os.fstat(number)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        return None
    flags = fcntl.fcntl(number, fcntl.F_GETFL)
    if flags & os.O_APPEND and flags & os.O_ACCMODE != os.O_RDONLY:
        return size_of(number)
    return os.lseek(number, 0, os.SEEK_CUR)


def size_of(number: int) -> int | None:
    """How many bytes a regular file or a block device has; None for anything else."""
    status = os.fstat(number)
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    if not stat.S_ISBLK(status.st_mode):
        return None
    # The position of the given descriptor is shared, and stays.
    try:
        own = os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.lseek(own, 0, os.SEEK_END)
    finally:
        os.close(own)

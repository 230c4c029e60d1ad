"""The terminal that the program was started on: raw for a while, and its size.

Rule: however the program ends, but for SIGKILL, the terminal has its settings back (P8).
"""

from __future__ import annotations

import asyncio
import os
import signal
import termios
import tty
from typing import Any

import tulipa

__all__ = ["make_raw", "on_resize", "restore", "size"]

_settings: list[Any] = []


def make_raw() -> None:
    """Have keys passed on as they are pressed, Ctrl-C among them. Does nothing where standard input is no terminal."""
    if not os.isatty(0):
        return
    if not _settings:
        _settings.append(termios.tcgetattr(0))
    tty.setraw(0, termios.TCSANOW)


def restore() -> None:
    """Give the terminal its settings back."""
    while _settings:
        termios.tcsetattr(0, termios.TCSADRAIN, _settings.pop())


def size() -> tuple[int, int] | None:
    """Return columns and lines of the terminal on standard input; None without one."""
    try:
        columns, lines = os.get_terminal_size(0)
    except OSError:
        return None
    return columns, lines


def on_resize(pty: tulipa.Pty) -> None:
    """Give `pty` the size of the terminal whenever that changes."""
    if size() is None:
        return

    def resize() -> None:
        now = size()
        if now is not None:
            try:
                pty.size = now
            except (OSError, ValueError):
                pass  # It was closed.

    asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, resize)

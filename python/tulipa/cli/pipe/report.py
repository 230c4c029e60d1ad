"""What is said on standard error: one line for each failure, and with `--stats` how much has passed.

Rule: the line that is written over and over is for terminals alone.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from .relay import Relay

__all__ = ["Report"]

# How long until the line is written again, in seconds.
_PERIOD = 0.5
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Report:
    """Counts what all relays have passed on."""

    def __init__(self, *, stats: bool, verbose: bool) -> None:
        self._stats = stats
        self._verbose = verbose
        self._begun = time.monotonic()
        self._relays: list[Relay] = []
        self._ended = [0, 0]
        self._timer: asyncio.TimerHandle | None = None
        self._width = 0
        self._last = (self._begun, 0)

    def say(self, text: str) -> None:
        """Say something that only `--verbose` wants to know."""
        if self._verbose:
            self.complain(text)

    def complain(self, text: str) -> None:
        """Say something that everybody wants to know."""
        self._wipe()
        print(f"tulipa pipe: {text}", file=sys.stderr, flush=True)

    def begin(self, relay: Relay) -> None:
        """Count what this relay passes on."""
        self._relays.append(relay)
        if self._stats and self._timer is None and os.isatty(2):
            self._show()

    def end(self, relay: Relay) -> None:
        """Take note that this relay has ended."""
        self._relays.remove(relay)
        self._ended[0] += relay.first.received
        self._ended[1] += relay.second.received

    def finish(self) -> None:
        """Say how much has passed in all."""
        if self._timer is not None:
            self._timer.cancel()
        self._wipe()
        if self._stats:
            forward, backward = self._counts()
            seconds = time.monotonic() - self._begun
            rate = (forward + backward) / max(seconds, 1e-6)
            print(
                f"A to B {_spell(forward)}, B to A {_spell(backward)}, {_spell(rate)}/s, {_spell_time(seconds)}",
                file=sys.stderr,
                flush=True,
            )

    def _counts(self) -> tuple[int, int]:
        forward, backward = self._ended
        for relay in self._relays:
            forward += relay.first.received
            backward += relay.second.received
        return forward, backward

    def _show(self) -> None:
        now = time.monotonic()
        forward, backward = self._counts()
        before, passed = self._last
        rate = (forward + backward - passed) / max(now - before, 1e-6)
        self._last = (now, forward + backward)
        line = (
            f"A to B {_spell(forward)}  B to A {_spell(backward)}  {_spell(rate)}/s  {_spell_time(now - self._begun)}"
        )
        self._write(f"\r{line.ljust(self._width)}")
        self._width = len(line)
        self._timer = asyncio.get_running_loop().call_later(_PERIOD, self._show)

    def _wipe(self) -> None:
        if self._width:
            self._write(f"\r{' ' * self._width}\r")
            self._width = 0

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _spell(count: float) -> str:
    """A number of bytes, in the unit that people read."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.0f} B" if unit == 0 else f"{count:.2f} {_UNITS[unit]}"


def _spell_time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{rest:.2f} s" if not minutes else f"{int(minutes)}:{rest:04.1f} min"

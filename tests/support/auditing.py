"""Hearing of the audit events of sockets, and refusing one of them."""

from __future__ import annotations

import contextlib
import sys


class Refused(Exception):
    """What a hook raises that refuses an event."""


class Ear:
    """`seen` has the events with their arguments, but for the socket; the one named `refused` is refused."""

    def __init__(self) -> None:
        self.seen: list[tuple] = []
        self.refused: str | None = None
        self.listening = True

    def hear(self, name: str, args: tuple) -> None:
        if not self.listening or name not in ("socket.__new__", "socket.connect"):
            return
        self.seen.append((name, *args[1:]))
        assert args[0].fileno() > 0 or name == "socket.__new__"
        if name == self.refused:
            raise Refused


@contextlib.contextmanager
def listening_to_sockets():
    """An `Ear`, which hears nothing more at the end. A hook cannot be taken off again."""
    ear = Ear()
    sys.addaudithook(ear.hear)
    try:
        yield ear
    finally:
        ear.listening = False

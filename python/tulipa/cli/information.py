"""`tulipa info`: what `tulipa.info()` found, for people and for programs.

Lives here: printing, and one sentence on the limit that binds first. Not here: finding
out. Rule: one fact per line, name first.
"""

from __future__ import annotations

import json

import tulipa

__all__ = ["show"]

_OPEN_FILES = "open files (soft)"
_OPEN_FILES_HARD = "open files (hard)"
# What Python, the loop and the standard streams have open before the first connection.
_DESCRIPTORS_OF_OUR_OWN = 16


def show(*, as_json: bool) -> int:
    """Print what there is to know; return the exit status 0."""
    facts = tulipa.info()
    if as_json:
        print(json.dumps(facts, indent=2))
        return 0
    width = max(len(name) for section in facts.values() for name in section)
    for title, section in facts.items():
        print(title)
        for name, value in section.items():
            print(f"  {name:<{width}}  {_text(value)}")
    advice = _advice(facts["limits"])
    if advice:
        print(f"\n{advice}")
    return 0


def _text(value: bool | int | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else value


def _advice(limits: dict[str, bool | int | str]) -> str:
    soft, hard = limits.get(_OPEN_FILES), limits.get(_OPEN_FILES_HARD)
    if not isinstance(soft, int):
        return ""
    room = max(0, soft - _DESCRIPTORS_OF_OUR_OWN)
    text = f"Open files bind first: room for about {room:,} connections in one process"
    if soft == hard:
        return f"{text}; only root can raise the limit here."
    return f"{text}; raise the limit with `ulimit -n` (up to {_text(hard or 0)})."

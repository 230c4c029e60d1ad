"""A random program as data: links between ends, and rounds of acts upon them.

A program prints as the expression that makes it, so that a failing one can be run again, cut down and kept.

- A **link** joins two ends, `a0` and `b0` for the first, `a1` and `b1` for the next. An end is a transport with a
  protocol, or a plain socket that the program reads and writes itself (`raw`).
- A **round** is what happens at once: its acts start together, and the next round begins when the loop has come to
  rest. An act runs in the main task, in a callback of `call_soon`, or in a task of its own that lets a turn pass
  between two operations.
- An **operation** is a tuple: its name, what it acts upon, arguments. `interpreter.py` has a method for each.
- An end **reacts** to the first event of a kind with operations upon itself (`me`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

Operation = tuple
Operations = tuple[Operation, ...]


class Printed:
    """Prints as the call that makes it, without what is as by default."""

    def __repr__(self) -> str:
        said = []
        positional = True
        for field in fields(self):
            value = getattr(self, field.name)
            if value == field.default:
                positional = False
            else:
                said.append(repr(value) if positional else f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(said)})"


@dataclass(frozen=True, repr=False)
class End(Printed):
    """`protocol` is `stream`, `buffered`, `raw` or `datagram`."""

    protocol: str = "stream"
    keep_open: bool = False
    """What `eof_received` returns."""
    reactions: tuple[tuple[str, Operations], ...] = ()


@dataclass(frozen=True, repr=False)
class Link(Printed):
    """`kind` is `unix`, `tcp`, `tls`, `udp` or `pipe` (`a` writes, `b` reads); `served` and `served unix` have `a`
    connect to a listening server, and `upgraded` begins TLS by `start_tls` over a connection that is there."""

    kind: str
    a: End = End()
    b: End = End()


@dataclass(frozen=True, repr=False)
class Act(Printed):
    """`where` is `now`, `soon` or `task`."""

    where: str
    operations: Operations


@dataclass(frozen=True, repr=False)
class Program(Printed):
    links: tuple[Link, ...]
    rounds: tuple[tuple[Act, ...], ...]
    debug: bool = False
    prompt: bool = True
    """Whether each callback sends what it wrote, or the turn does."""

    @property
    def script(self) -> str:
        """A shell command that runs this program on both loops and shows both traces."""
        lines = ["Program(", "    ("]
        lines += [f"        {link!r}," for link in self.links]
        lines += ["    ),", "    ("]
        for acts in self.rounds:
            lines.append("        (")
            lines += [f"            {act!r}," for act in acts]
            lines.append("        ),")
        lines += ["    ),", *(["    debug=True,"] if self.debug else [])]
        lines += [*(["    prompt=False,"] if not self.prompt else []), ")"]
        return "python -m tests.differential <<'EOF'\n" + "\n".join(lines) + "\nEOF"

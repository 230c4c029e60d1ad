"""What kinds of addresses there are: what each names, and which options it takes.

Lives here: the table. Not here: reading an address by it (`addresses`), opening one (`opening`).
Rule: a kind, an option or a way to write a target that is not in the table does not exist.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["KINDS", "TLS_CLIENT", "TLS_KINDS", "TLS_SERVER", "Kind", "Option", "Target", "Way"]


class Target(enum.Enum):
    """What comes behind the colon."""

    NOTHING = "nothing"
    HOST_AND_PORT = "host:port"
    PORT = "[host:]port"
    PATH = "a path"
    COMMAND = "a command"


class Option(enum.Enum):
    """What an option's value is."""

    FLAG = "nothing"
    TEXT = "text"
    LIST = "text, and may be given several times"
    NUMBER = "a number"
    SIZE = "COLUMNSxLINES"


class Way(enum.Enum):
    """Which directions an address has, if nothing else is asked for."""

    BOTH = "both"
    # By its place: the first address is read, the second one written.
    BY_PLACE = "by place"


@dataclass(frozen=True)
class Kind:
    """One kind of address."""

    name: str
    target: Target
    options: dict[str, Option]
    way: Way = Way.BOTH
    listens: bool = False
    # Carries a stream of bytes in both directions, by itself.
    streams: bool = True


_FAMILY = {"ipv4": Option.FLAG, "ipv6": Option.FLAG}
_CONNECTING = {"timeout": Option.NUMBER}
_CHILD = {"stderr": Option.FLAG, "cwd": Option.TEXT}
_FORK = {"fork": Option.FLAG}

# Of the TLS layer, client and server.
TLS_CLIENT = {
    "ca": Option.TEXT,
    "cert": Option.TEXT,
    "key": Option.TEXT,
    "alpn": Option.LIST,
    "name": Option.TEXT,
    "insecure": Option.FLAG,
}
TLS_SERVER = {"cert": Option.TEXT, "key": Option.TEXT, "ca": Option.TEXT, "alpn": Option.LIST}

KINDS = {
    kind.name: kind
    for kind in (
        Kind("stdio", Target.NOTHING, {"raw": Option.FLAG}),
        Kind("tcp", Target.HOST_AND_PORT, _FAMILY | _CONNECTING),
        Kind("tcp-listen", Target.PORT, _FAMILY | _FORK, listens=True),
        Kind("unix", Target.PATH, _CONNECTING),
        Kind("unix-listen", Target.PATH, _FORK, listens=True),
        Kind("udp", Target.HOST_AND_PORT, _FAMILY | {"size": Option.NUMBER}, streams=False),
        Kind("udp-listen", Target.PORT, _FAMILY | {"size": Option.NUMBER}, streams=False),
        Kind(
            "file",
            Target.PATH,
            {"read": Option.FLAG, "write": Option.FLAG, "append": Option.FLAG, "create": Option.FLAG},
            way=Way.BY_PLACE,
            streams=False,
        ),
        Kind(
            "pipe",
            Target.PATH,
            {"read": Option.FLAG, "write": Option.FLAG, "out": Option.TEXT},
            way=Way.BY_PLACE,
            streams=False,
        ),
        Kind("exec", Target.COMMAND, _CHILD),
        Kind("pty", Target.COMMAND, {"cwd": Option.TEXT, "size": Option.SIZE}),
    )
}

# Short forms: the kind below, and the side of the TLS layer on it.
TLS_KINDS = {"tls": ("tcp", "client"), "tls-listen": ("tcp-listen", "server")}

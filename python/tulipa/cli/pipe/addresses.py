"""Reading addresses: `kind:target,option,option=value`.

Lives here: the syntax. Not here: which kinds there are (`kinds`). Rules:

1. The kind ends at the first colon. A comma ends the target, and each option after it.
2. A backslash makes the character after it ordinary, and so do single and double quotes what stands between them: the
   shell's own rules (`shlex`), by which a command is split into words as well.
3. An address that cannot be right is refused before anything is opened, by a sentence that names it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .kinds import KINDS, TLS_CLIENT, TLS_KINDS, TLS_SERVER, Kind, Option, Target, Way

__all__ = ["Address", "AddressError", "read"]

_PORT_MAX = 0xFFFF
_TLS_LAYERS = {"tls": "client", "tls-server": "server"}


class AddressError(ValueError):
    """An address that cannot be right; the message names it."""


@dataclass(frozen=True)
class Address:
    """One of the two addresses."""

    text: str
    kind: Kind
    # The side of the TLS layer over it: "client", "server", or None for no TLS.
    tls: str | None = None
    host: str | None = None
    port: int | str = 0
    path: str = ""
    command: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return self.text

    def directions(self, *, is_first: bool) -> tuple[bool, bool]:
        """Whether it can be read from and written to, at its place in the command."""
        if self.kind.way is Way.BOTH or "out" in self.options:
            return True, True
        reads = "read" in self.options
        writes = any(name in self.options for name in ("write", "append", "create"))
        if not reads and not writes:
            return is_first, not is_first
        return reads, writes


def read(text: str) -> Address:
    """Read one address. Raises AddressError."""
    if text == "-":
        text = "stdio:"
    name, colon, rest = text.partition(":")
    if not colon:
        raise AddressError(f"{text}: an address begins with its kind and a colon; kinds are {_all_kinds()}")
    kind, tls = _kind(text, name)
    known = kind.options | ({} if tls is None else TLS_CLIENT if tls == "client" else TLS_SERVER)
    try:
        target, *given = _split(rest)
        options = _options(given, known)
        address = Address(text, kind, tls, options=options, **_TARGETS[kind.target](target))
    except ValueError as exc:
        raise AddressError(f"{text}: {exc}") from None
    _check(address)
    return address


def _all_kinds() -> str:
    return ", ".join(f"{name}:" for name in sorted([*KINDS, *TLS_KINDS])) + " and tls+KIND:, tls-server+KIND:"


def _kind(text: str, name: str) -> tuple[Kind, str | None]:
    if name in TLS_KINDS:
        below, side = TLS_KINDS[name]
        return KINDS[below], side
    layer, plus, below = name.rpartition("+")
    if below not in KINDS or (plus and layer not in _TLS_LAYERS):
        raise AddressError(f"{text}: there is no kind {name!r}; kinds are {_all_kinds()}")
    return KINDS[below], _TLS_LAYERS[layer] if plus else None


def _split(rest: str) -> list[str]:
    """Split at commas that are not quoted; quotes and backslashes stay."""
    parts: list[str] = []
    part, quote, escaped = "", "", False
    for letter in rest:
        if escaped:
            escaped = False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == ",":
            parts.append(part)
            part = ""
            continue
        part += letter
    if quote:
        raise ValueError(f"the quote {quote} is not closed; a backslash before it makes it ordinary")
    if escaped:
        raise ValueError("a backslash stands at the end, with nothing behind it")
    return [*parts, part]


def _plain(part: str) -> str:
    """The part without its quotes and backslashes."""
    lexer = shlex.shlex(part, posix=True, punctuation_chars="")
    lexer.whitespace = ""
    lexer.commenters = ""
    lexer.whitespace_split = True
    return "".join(lexer)


def _options(given: list[str], known: dict[str, Option]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for part in given:
        name, equals, value = part.partition("=")
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise ValueError(f"there is no option {name!r} here; options are {names}")
        kind = known[name]
        if bool(equals) == (kind is Option.FLAG):
            takes = "no value" if kind is Option.FLAG else f"a value: {kind.value}"
            raise ValueError(f"the option {name} takes {takes}")
        if name in options and kind is not Option.LIST:
            raise ValueError(f"the option {name} is given twice")
        options[name] = _value(name, kind, _plain(value), options)
    return options


def _value(name: str, kind: Option, value: str, before: dict[str, Any]) -> Any:
    if kind is Option.FLAG:
        return True
    if not value:
        raise ValueError(f"the option {name} is empty")
    if kind is Option.LIST:
        return [*before.get(name, []), value]
    if kind is Option.TEXT:
        return value
    try:
        numbers = [float(value)] if kind is Option.NUMBER else [int(part) for part in value.split("x")]
    except ValueError:
        numbers = []
    if len(numbers) != (1 if kind is Option.NUMBER else 2) or not all(0 < number < 1e9 for number in numbers):
        raise ValueError(f"the option {name} is {value!r}, and must be {kind.value}")
    return numbers[0] if kind is Option.NUMBER else (int(numbers[0]), int(numbers[1]))


# -- targets ------------------------------------------------------------------------------


def _nothing(target: str) -> dict[str, Any]:
    if target:
        raise ValueError(f"nothing comes behind this colon but options, and {target!r} is none: put a comma before it")
    return {}


def _host_and_port(target: str) -> dict[str, Any]:
    host, port = _split_port(_plain(target))
    if not host:
        raise ValueError("it needs host:port, an IPv6 address in brackets: [::1]:80")
    return {"host": host, "port": _port(port)}


def _port_alone(target: str) -> dict[str, Any]:
    text = _plain(target)
    if ":" not in text and "[" not in text:
        return {"host": None, "port": _port(text)}
    host, port = _split_port(text)
    return {"host": host or None, "port": _port(port)}


def _split_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or not port.startswith(":"):
            raise ValueError("an IPv6 address in brackets is followed by a colon and the port: [::1]:80")
        return host, port[1:]
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("the port is missing: host:port")
    if ":" in host:
        raise ValueError(f"an IPv6 address goes in brackets: [{host}]:{port}")
    return host, port


def _port(text: str) -> int | str:
    if not text:
        raise ValueError("the port is missing")
    if not text.isascii() or not text.isdigit():
        return text  # A service's name.
    if int(text) > _PORT_MAX:
        raise ValueError(f"the port {text} is more than {_PORT_MAX}")
    return int(text)


def _path(target: str) -> dict[str, Any]:
    path = _plain(target)
    if not path:
        raise ValueError("the path is missing")
    if "\0" in path:
        raise ValueError("the path contains a zero byte")
    return {"path": path}


def _command(target: str) -> dict[str, Any]:
    command = shlex.split(target)
    if not command:
        raise ValueError("the command is missing")
    return {"command": tuple(command)}


_TARGETS: dict[Target, Callable[[str], dict[str, Any]]] = {
    Target.NOTHING: _nothing,
    Target.HOST_AND_PORT: _host_and_port,
    Target.PORT: _port_alone,
    Target.PATH: _path,
    Target.COMMAND: _command,
}


def _check(address: Address) -> None:
    """What is wrong only together."""
    options, text = address.options, address.text
    if address.tls is not None and not address.kind.streams and "out" not in options:
        raise AddressError(
            f"{text}: TLS needs both directions of a stream, which {address.kind.name}: does not have here"
        )
    if "ipv4" in options and "ipv6" in options:
        raise AddressError(f"{text}: ipv4 and ipv6 exclude each other")
    if len([name for name in ("read", "write", "append", "create", "out") if name in options]) > 1:
        raise AddressError(f"{text}: give one of the options that name a direction")
    if address.tls == "server" and "cert" not in options:
        raise AddressError(
            f"{text}: a TLS server needs a certificate: cert=PATH, and key=PATH unless it is in the same"
        )
    if "key" in options and "cert" not in options:
        raise AddressError(f"{text}: key=PATH needs cert=PATH")
    if address.tls == "client" and address.host is None and not {"name", "insecure"} & options.keys():
        raise AddressError(f"{text}: whose certificate is expected? say name=HOST, or insecure")

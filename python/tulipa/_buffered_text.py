"""What a text stream has read from its descriptor, and nobody has taken yet.

Lives here: `take_buffered`. Rule: no system call is made and no flag is touched, so this never waits.
"""

from __future__ import annotations

import io
from typing import Any

from ._compat import text_decoder

__all__ = ["take_buffered"]


def take_buffered(stream: Any) -> bytes:
    """Return what a text stream of the standard library has read from its descriptor and not given to anybody yet.

    For that its raw file is made to look, for a moment, as one that does not block and has nothing, and then as one
    that has ended: so the stream gives what it has, without a system call.
    """
    buffer: Any = getattr(stream, "buffer", None)
    raw: Any = getattr(buffer, "raw", None)
    if (type(stream), type(buffer), type(raw)) != (io.TextIOWrapper, io.BufferedReader, io.FileIO):
        return b""
    try:
        raw.readinto = raw.readall = _has_nothing
        behind = buffer.read() or b""
        raw.readinto, raw.readall = _has_ended, bytes
        decoded, cut = _take_decoded(stream)
    finally:
        del raw.readinto, raw.readall
    return decoded.encode(stream.encoding, stream.errors or "strict") + cut + behind


def _has_nothing(_into: object = None) -> None:
    """Read as a file that does not block and has nothing now."""


def _has_ended(_into: object) -> int:
    """Read as a file that has ended."""
    return 0


def _take_decoded(stream: Any) -> tuple[str, bytes]:
    """The characters that a stream has decoded, and the beginning of one that was cut off."""
    decoder = text_decoder(stream)
    cut = b""
    if decoder is not None:
        cut, flags = decoder.getstate()
        decoder.setstate((b"", flags))
    # One by one: so it never finds the end with some of them in its hands.
    return "".join(iter(lambda: stream.read(1), "")), cut

"""The transport that a program gets for TLS: what it writes plaintext to.

Not here: what it asks about and acts on, which is the connection (`_tls_protocol`), and what runs per call of `write`,
which is native (`_native.TlsTransportCore`).
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
import sys
import warnings
from typing import TYPE_CHECKING, Any

from ._compat import SENDFILE_FALLBACK
from ._native import TlsTransportCore

if TYPE_CHECKING:
    from ._tls_protocol import TlsProtocol

__all__ = ["SSLTransport"]

_HIGH_WATER_WRITE = 512 * 1024
_HIGH_WATER_READ = 256 * 1024


class SSLTransport(TlsTransportCore, asyncio.Transport):
    """What a program writes plaintext to.

    Some look for "SSL" in the name, to tell it from a plain transport.
    """

    # The dictionary is for the program: with anything in it, it takes 300 bytes.
    __slots__ = ("__dict__", "__weakref__", "_closed")

    _start_tls_compatible = True
    _sendfile_compatible = SENDFILE_FALLBACK

    _loop: Any
    # None when the program has closed the transport after its end: a protocol that keeps its transport then keeps
    # neither session nor context, as on asyncio.
    _ssl_protocol: TlsProtocol | None
    _closed: bool

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: TlsProtocol) -> None:
        self._loop = loop
        self._ssl_protocol = protocol
        self._closed = False

    def __repr__(self) -> str:
        state = "closing" if self.is_closing() else "open"
        below = self._ssl_protocol._transport if self._ssl_protocol else None
        return f"<{self.__class__.__name__} {state} over {below!r}>"

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._closed = True
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self, stacklevel=2)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Look at `sslcontext`, `ssl_object`, `peercert`, `cipher`, `compression`, or at the transport below."""
        return self._ssl_protocol._get_extra_info(name, default) if self._ssl_protocol else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Replace the protocol."""
        if self._ssl_protocol:
            self._ssl_protocol._app_protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol; None after the connection was lost."""
        protocol: Any = self._ssl_protocol._app_protocol if self._ssl_protocol else None
        return protocol  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        """Whether the transport is closing or closed."""
        return self._closed or self._ssl_protocol is None or self._ssl_protocol._is_lower_closing()

    def close(self) -> None:
        """Write what is queued, exchange the end of TLS with the peer, then close the transport below."""
        if self._closed:
            self._ssl_protocol = None
        else:
            self._closed = True
            if self._ssl_protocol:
                self._ssl_protocol._start_shutdown()

    def abort(self) -> None:
        """End now, without writing what is queued."""
        self._force_close(None)

    def _force_close(self, exc: BaseException | None) -> None:
        self._closed = True
        if self._ssl_protocol:
            self._ssl_protocol._abort(exc)

    def is_reading(self) -> bool:
        """Whether the transport is neither paused nor closing."""
        return not self.is_closing() and self._ssl_protocol is not None and not self._ssl_protocol._app_reading_paused

    def pause_reading(self) -> None:
        """Stop receiving until resume_reading()."""
        if self._ssl_protocol:
            self._ssl_protocol._app_reading_paused = True

    def resume_reading(self) -> None:
        """Receive again."""
        if self._ssl_protocol:
            self._ssl_protocol._resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the high- and low-water marks for plaintext that waits to be sent, in bytes.

        More than `high` bytes pause the protocol's writing, `low` or fewer let it go on. By default
        512 KiB and a quarter of it. Raises ValueError unless 0 <= low <= high.
        """
        marks = _marks(high, low, _HIGH_WATER_WRITE)
        if self._ssl_protocol:
            self._ssl_protocol._write_marks = marks
            self._ssl_protocol._control_writing()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low- and high-water marks, in bytes."""
        return self._ssl_protocol._write_marks if self._ssl_protocol else (0, 0)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are still to be handed to the transport below."""
        return self._ssl_protocol._write_size() if self._ssl_protocol else 0

    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks between which the transport below is paused while reading is, in bytes.

        By default 256 KiB and a quarter of it. Raises ValueError unless 0 <= low <= high.
        """
        marks = _marks(high, low, _HIGH_WATER_READ)
        if self._ssl_protocol:
            self._ssl_protocol._read_marks = marks
            self._ssl_protocol._control_reading()

    def get_read_buffer_limits(self) -> tuple[int, int]:
        """Return the low- and high-water marks for reading, in bytes."""
        return self._ssl_protocol._read_marks if self._ssl_protocol else (0, 0)

    def get_read_buffer_size(self) -> int:
        """Return how many bytes have arrived and are not decrypted."""
        return self._ssl_protocol._read_size() if self._ssl_protocol else 0

    def write_eof(self) -> None:
        """Raise NotImplementedError: TLS as Python's `ssl` has it cannot close one half."""
        raise NotImplementedError

    def can_write_eof(self) -> bool:
        """Whether the writing half can be closed alone: not in TLS."""
        return False

    @property
    def _protocol_paused(self) -> bool:
        # Asked for by the fallback of sendfile().
        return self._ssl_protocol is not None and self._ssl_protocol._app_writing_paused

    @property
    def _sslcontext(self) -> ssl_module.SSLContext | None:
        return self._ssl_protocol._sslcontext if self._ssl_protocol else None


def _marks(high: int | None, low: int | None, default: int) -> tuple[int, int]:
    if high is None:
        high = default if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
    return int(min(low, sys.maxsize)), int(min(high, sys.maxsize))

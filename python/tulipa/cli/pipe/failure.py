"""What went wrong, in one line that names the address.

Rule: the words are the system's own, where it has any.
"""

from __future__ import annotations

import os
import socket
import ssl

from .addresses import Address

__all__ = ["Failed"]


class Failed(Exception):
    """An address could not be opened, or failed."""

    def __init__(self, address: Address, error: BaseException) -> None:
        super().__init__(f"{address}: {_spell(error)}")
        self.address = address
        self.error = error

    @property
    def is_quiet(self) -> bool:
        """Whoever read our output has seen enough."""
        return self.address.kind.name == "stdio" and isinstance(self.error, BrokenPipeError)


def _spell(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    if isinstance(error, OSError) and error.errno and not isinstance(error, TimeoutError):
        about = f": {error.filename}" if error.filename else ""
        return f"{os.strerror(error.errno)}{about}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

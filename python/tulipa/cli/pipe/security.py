"""The TLS layer over an address.

Lives here: making a context of the options, and starting TLS. Rule: a client verifies certificate and name unless it is
told `insecure`; a server that has a `ca` asks for a certificate and takes no client without one.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Any

from .addresses import Address

__all__ = ["make_context", "start"]


def make_context(address: Address) -> ssl.SSLContext | None:
    """Return what the TLS layer of the address is made with; None without one.

    Raises OSError for files that cannot be read, ValueError for what is in them.
    """
    if address.tls is None:
        return None
    options = address.options
    if address.tls == "server":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if "ca" in options:
            context.verify_mode = ssl.CERT_REQUIRED
            _trust(context, options["ca"])
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if "insecure" in options:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif "ca" in options:
            _trust(context, options["ca"])
        else:
            context.load_default_certs()
    if "cert" in options:
        _load(options["cert"], lambda: context.load_cert_chain(options["cert"], options.get("key")))
    if "alpn" in options:
        context.set_alpn_protocols(options["alpn"])
    return context


def _trust(context: ssl.SSLContext, path: str) -> None:
    is_folder = os.path.isdir(path)
    _load(path, lambda: context.load_verify_locations(None if is_folder else path, path if is_folder else None))


def _load(path: str, load: Any) -> None:
    """Load, and say which file an error is about."""
    try:
        load()
    except ssl.SSLError as exc:
        raise ValueError(f"{path} cannot be used for TLS: {exc.reason}") from None
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, path) from None


async def start(
    address: Address, context: ssl.SSLContext, transport: Any, protocol: asyncio.BaseProtocol
) -> asyncio.Transport:
    """Start TLS over a transport. Raises OSError, `ssl.SSLError` included."""
    loop = asyncio.get_running_loop()
    name = None
    if address.tls == "client":
        name = address.options.get("name") or address.host or ""
    secured = await loop.start_tls(
        transport, protocol, context, server_side=address.tls == "server", server_hostname=name
    )
    if secured is None:
        raise ConnectionResetError("the connection was lost while TLS was started")
    return secured

"""A certificate authority and a server certificate, made when the tests run and kept nowhere."""

from __future__ import annotations

import functools
import ssl

import pytest

NAME = "server.test"


@functools.cache
def _authority():
    trustme = pytest.importorskip("trustme", reason="trustme makes the test certificates")
    authority = trustme.CA()
    return authority, authority.issue_cert(NAME, "localhost", "127.0.0.1")


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority()[1].configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority()[0].configure_trust(context)
    return context

"""A certificate authority and what it signs, made when the tests run and kept nowhere."""

from __future__ import annotations

import datetime
import functools
import ssl

import pytest

NAME = "server.test"
CLIENT = "client.test"
NAMES = (NAME, "localhost", "127.0.0.1", "::1")


@functools.cache
def authority():
    trustme = pytest.importorskip("trustme", reason="trustme makes the test certificates")
    return trustme.CA()


@functools.cache
def certificate(*names: str):
    """The certificate for these names, signed by the authority."""
    return authority().issue_cert(*names)


@functools.cache
def expired_certificate():
    then = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    return authority().issue_cert(NAME, not_before=then, not_after=then + datetime.timedelta(days=1))


@functools.cache
def strange_certificate():
    """A certificate for the right name, signed by an authority that nobody trusts."""
    trustme = pytest.importorskip("trustme", reason="trustme makes the test certificates")
    return trustme.CA().issue_cert(NAME)


def server_context(*names: str, certified=None) -> ssl.SSLContext:
    """A server's context with a certificate for `names`, or with the one given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (certified or certificate(*(names or NAMES))).configure_cert(context)
    return context


def client_context(*, certified=None) -> ssl.SSLContext:
    """A client's context that trusts the authority; with a certificate of its own if one is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    if certified is not None:
        certified.configure_cert(context)
    return context


def asking_context(mode: ssl.VerifyMode = ssl.CERT_REQUIRED) -> ssl.SSLContext:
    """A server's context that asks clients for a certificate of the authority."""
    context = server_context()
    context.verify_mode = mode
    authority().configure_trust(context)
    return context


def only(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    """The context, held to one version of the protocol."""
    context.minimum_version = context.maximum_version = version
    return context

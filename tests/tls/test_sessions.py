"""Resuming sessions. asyncio has no argument for it; programs do it through a context of their own. # T1"""

import asyncio
import socket
import ssl

import pytest

from tests.support.certificates import NAME, authority, client_context, only, server_context
from tests.support.tls import TLS12, exchange, tls_pair, versions


class Resuming(ssl.SSLContext):
    """Resumes the session it holds."""

    resumed = None

    def wrap_bio(self, *args, **kwargs):
        return super().wrap_bio(*args, **kwargs, session=self.resumed)


def resuming(version):
    context = Resuming(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return only(context, version)


@versions
async def test_a_session_is_resumed(loop, version):
    client, server = resuming(version), server_context()
    async with tls_pair(loop, client, server) as pair:
        await exchange(pair)
        for end in pair:
            assert end.ssl_object.session_reused is False
        client.resumed = pair.client.ssl_object.session
        assert client.resumed.has_ticket
    async with tls_pair(loop, client, server) as pair:
        await exchange(pair)
        for end in pair:
            assert end.ssl_object.session_reused is True
        assert pair.client.transport.get_extra_info("peercert")["subjectAltName"]


async def test_a_session_without_tickets_is_resumed(loop):
    client, server = resuming(TLS12), server_context()
    server.options |= ssl.OP_NO_TICKET
    async with tls_pair(loop, client, server) as pair:
        session = client.resumed = pair.client.ssl_object.session
        assert not session.has_ticket
        assert session.id
    async with tls_pair(loop, client, server) as pair:
        assert pair.client.ssl_object.session_reused is True
        assert pair.client.ssl_object.session.id == session.id
    assert server.session_stats()["hits"] == 1


@versions
async def test_another_server_does_not_know_the_session(loop, version):
    client = resuming(version)
    async with tls_pair(loop, client) as pair:
        await exchange(pair)
        client.resumed = pair.client.ssl_object.session
    async with tls_pair(loop, client) as pair:
        assert pair.client.ssl_object.session_reused is False
        await exchange(pair)


async def test_a_session_of_another_context_is_refused(loop):
    client = resuming(TLS12)
    async with tls_pair(loop, resuming(TLS12)) as pair:
        client.resumed = pair.client.ssl_object.session
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        with pytest.raises(ValueError, match="Session refers to a different SSLContext"):
            await loop.create_connection(asyncio.Protocol, sock=left, ssl=client, server_hostname=NAME)


async def test_a_plain_context_makes_a_new_session_each_time(loop):
    client, server = only(client_context(), TLS12), server_context()
    for _ in range(2):
        async with tls_pair(loop, client, server) as pair:
            assert pair.client.ssl_object.session_reused is False

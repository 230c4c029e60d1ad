"""Who is whom: verification on both sides, and the exceptions it fails with. # T1 # G8"""

import asyncio
import ssl

import pytest

from tests.support.certificates import (
    CLIENT,
    NAME,
    asking_context,
    authority,
    certificate,
    client_context,
    expired_certificate,
    only,
    server_context,
    strange_certificate,
)
from tests.support.recorders import Recorder
from tests.support.streams import raw_pair
from tests.support.tls import TLS12, TLS13, abandon, exchange, failed, handshake, lost, tls_pair, versions

UNKNOWN_AUTHORITY, EXPIRED, WRONG_NAME, WRONG_ADDRESS = 20, 10, 62, 64


def refused(error, code):
    assert type(error) is ssl.SSLCertVerificationError
    assert isinstance(error, OSError) and isinstance(error, ValueError)
    assert error.verify_code == code
    assert error.verify_message
    assert (error.library, error.reason) == ("SSL", "CERTIFICATE_VERIFY_FAILED")
    assert error.verify_message in str(error)


@versions
async def test_an_unknown_authority(loop, version):
    client = only(client_context(), version)
    error, _ = await failed(loop, client, server_context(certified=strange_certificate()))
    refused(error, UNKNOWN_AUTHORITY)


async def test_the_default_context_trusts_no_authority_of_ours(loop):
    error, _ = await failed(loop, ssl.create_default_context())
    refused(error, UNKNOWN_AUTHORITY)


@versions
async def test_an_expired_certificate(loop, version):
    client = only(client_context(), version)
    error, _ = await failed(loop, client, server_context(certified=expired_certificate()))
    refused(error, EXPIRED)


@pytest.mark.parametrize(
    ("asked", "code"), [("other.test", WRONG_NAME), ("127.0.0.2", WRONG_ADDRESS)], ids=["name", "address"]
)
async def test_a_certificate_for_somebody_else(loop, asked, code):
    error, other = await failed(loop, server_hostname=asked)
    refused(error, code)
    assert asked in error.verify_message
    assert other is None or isinstance(other, OSError)


async def test_a_certificate_for_somebody_else_without_check_of_names(loop):
    client = client_context()
    client.check_hostname = False
    async with tls_pair(loop, client, server_hostname="other.test") as pair:
        assert pair.client.ssl_object.server_hostname == "other.test"
        assert pair.client.transport.get_extra_info("peercert")["subjectAltName"]


async def test_without_verification_there_is_no_certificate_to_look_at(loop):
    client = client_context()
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    async with tls_pair(loop, client, server_context(certified=strange_certificate())) as pair:
        assert pair.client.transport.get_extra_info("peercert") == {}
        assert pair.client.ssl_object.getpeercert(True).startswith(b"\x30")
        await exchange(pair)


@pytest.mark.parametrize("partial", [False, True])
async def test_verify_flags_of_the_context_count(loop, partial):
    """Trusting one certificate, and not its authority, is enough with VERIFY_X509_PARTIAL_CHAIN alone."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=certificate(NAME).cert_chain_pems[0].bytes().decode())
    client.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    if partial:
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    error, _ = await failed(loop, client, server_context(NAME))
    if partial:
        assert error is None
    else:
        refused(error, UNKNOWN_AUTHORITY)


async def test_revocation_lists_are_asked_for_when_the_flag_says_so(loop):
    client = client_context()
    client.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    error, _ = await failed(loop, client)
    refused(error, 3)  # unable to get certificate CRL


@versions
async def test_a_server_without_a_certificate(loop, version):
    bare = only(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), version)
    client, server = await failed(loop, None, bare)
    assert isinstance(client, OSError)
    assert isinstance(server, ssl.SSLError)
    assert server.reason == "NO_SHARED_CIPHER" if version is TLS12 else server.reason


@versions
@pytest.mark.parametrize("mode", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED], ids=["optional", "required"])
async def test_a_client_with_a_certificate(loop, version, mode):
    client = client_context(certified=certificate(CLIENT))
    async with tls_pair(loop, client, only(asking_context(mode), version)) as pair:
        assert pair.server.transport.get_extra_info("peercert")["subjectAltName"] == (("DNS", CLIENT),)
        await exchange(pair)


@versions
async def test_a_client_without_a_certificate_where_it_is_optional(loop, version):
    async with tls_pair(loop, None, only(asking_context(ssl.CERT_OPTIONAL), version)) as pair:
        assert pair.server.transport.get_extra_info("peercert", "none") is None
        await exchange(pair)


@versions
async def test_a_client_that_is_not_asked_shows_no_certificate(loop, version):
    client = client_context(certified=certificate(CLIENT))
    async with tls_pair(loop, client, only(server_context(), version)) as pair:
        assert pair.server.transport.get_extra_info("peercert", "none") is None


@pytest.mark.parametrize("shown", ["none", "strange", "expired"])
async def test_a_client_is_refused_in_tls_12(loop, shown):
    """Both sides fail in their handshake."""
    shows = {"none": None, "strange": strange_certificate, "expired": expired_certificate}[shown]
    client, server = await failed(loop, client_context(certified=shows and shows()), only(asking_context(), TLS12))
    assert isinstance(client, (ssl.SSLError, ConnectionError))
    if shown == "none":
        assert type(server) is ssl.SSLError
        assert server.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    else:
        refused(server, UNKNOWN_AUTHORITY if shown == "strange" else EXPIRED)


@pytest.mark.parametrize("shown", ["none", "strange", "expired"])
async def test_a_client_is_refused_in_tls_13(loop, shown):
    """The client is connected when the server looks at its certificate: it hears of it as a lost connection."""
    shows = {"none": None, "strange": strange_certificate, "expired": expired_certificate}[shown]
    outcomes = await handshake(loop, client_context(certified=shows and shows()), only(asking_context(), TLS13))
    server = outcomes[1]
    if shown == "none":
        assert type(server) is ssl.SSLError
        assert server.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    else:
        refused(server, UNKNOWN_AUTHORITY if shown == "strange" else EXPIRED)
    transport, protocol = outcomes[0]
    await lost(protocol)
    assert transport.is_closing()
    assert protocol.events[0] == "connection_made"
    assert not protocol.data
    assert protocol.error is None or isinstance(protocol.error, (ssl.SSLError, ConnectionError))


async def test_the_refused_client_hears_the_servers_reason_in_tls_12(loop):
    client, _ = await failed(loop, None, only(asking_context(), TLS12))
    assert isinstance(client, ssl.SSLError)
    assert "HANDSHAKE_FAILURE" in client.reason


async def test_the_refused_client_hears_the_servers_reason_in_tls_13(loop):
    outcomes = await handshake(loop, None, only(asking_context(), TLS13))
    _, protocol = outcomes[0]
    await lost(protocol)
    assert isinstance(protocol.error, ssl.SSLError)
    assert protocol.error.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


async def test_the_refused_server_hears_the_clients_reason(loop):
    client, server = await failed(loop, None, server_context(certified=strange_certificate()))
    refused(client, UNKNOWN_AUTHORITY)
    assert isinstance(server, ssl.SSLError)
    assert server.reason == "TLSV1_ALERT_UNKNOWN_CA"


async def test_a_server_can_ask_for_the_certificate_later(loop):
    """Post-handshake authentication of TLS 1.3."""
    client = client_context(certified=certificate(CLIENT))
    client.post_handshake_auth = True
    server = asking_context()
    server.post_handshake_auth = True
    async with tls_pair(loop, client, only(server, TLS13)) as pair:
        assert pair.server.ssl_object.getpeercert() is None
        pair.server.ssl_object.verify_client_post_handshake()
        # The request leaves with the next data, the answer comes with the client's next data.
        for _ in range(2):
            await exchange(pair)
        assert pair.server.ssl_object.getpeercert()["subjectAltName"] == (("DNS", CLIENT),)


async def test_asking_later_is_refused_by_a_client_that_did_not_agree(loop):
    server = asking_context()
    server.post_handshake_auth = True
    async with tls_pair(loop, client_context(certified=certificate(CLIENT)), only(server, TLS13)) as pair:
        with pytest.raises(ssl.SSLError, match="EXTENSION_NOT_RECEIVED"):
            pair.server.ssl_object.verify_client_post_handshake()


async def test_a_missing_certificate_asked_for_later_ends_the_connection(loop):
    client = client_context()
    client.post_handshake_auth = True
    server = asking_context()
    server.post_handshake_auth = True
    async with tls_pair(loop, client, only(server, TLS13)) as pair:
        pair.server.ssl_object.verify_client_post_handshake()
        pair.server.transport.write(b"who are you")
        await pair.client.protocol.until_data(11)
        pair.client.transport.write(b"nobody")
        await lost(pair.server.protocol)
        assert isinstance(pair.server.protocol.error, ssl.SSLError)
        assert pair.server.protocol.error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
        assert not pair.server.protocol.data


async def test_ssl_true_trusts_what_the_system_trusts(loop, tmp_path, monkeypatch):
    path = tmp_path / "authority.pem"
    authority().cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    for name in (NAME, "other.test"):
        left, right = raw_pair("tcp")
        client, server = await asyncio.gather(
            loop.create_connection(Recorder, sock=left, ssl=True, server_hostname=name),
            loop.connect_accepted_socket(Recorder, right, ssl=server_context()),
            return_exceptions=True,
        )
        if name == NAME:
            context = client[0].get_extra_info("sslcontext")
            assert context.verify_mode is ssl.CERT_REQUIRED
            assert context.check_hostname is True
            await abandon(client[0], server[0])
        else:
            refused(client, WRONG_NAME)
            if isinstance(server, tuple):
                await abandon(server[0])

"""What a context can hold keeps working: protocols, names, versions, ciphers, logs, callbacks. # T1 # G8"""

import socket
import ssl
import sys

import pytest

from tests.support.certificates import NAME, client_context, only, server_context, strange_certificate
from tests.support.recorders import Recorder
from tests.support.tls import TLS12, TLS13, exchange, failed, tls_pair, versions


class Unraisable:
    """What `ssl` could not raise out of a callback."""

    def __enter__(self):
        self.caught = []
        self._before, sys.unraisablehook = sys.unraisablehook, lambda report: self.caught.append(report.exc_type)
        return self.caught

    def __exit__(self, *_):
        sys.unraisablehook = self._before


@pytest.mark.parametrize(
    ("offered", "served", "chosen"),
    [
        (["h2", "http/1.1"], ["http/1.1", "h2"], "http/1.1"),
        (["http/1.1"], ["h2", "http/1.1"], "http/1.1"),
        (["h2"], ["http/1.1"], None),
        (["h2"], None, None),
        (None, ["h2"], None),
    ],
    ids=["the server prefers", "one in common", "none in common", "server without", "client without"],
)
@versions
async def test_alpn(loop, version, offered, served, chosen):
    client, server = only(client_context(), version), server_context()
    if offered:
        client.set_alpn_protocols(offered)
    if served:
        server.set_alpn_protocols(served)
    async with tls_pair(loop, client, server) as pair:
        for end in pair:
            assert end.ssl_object.selected_alpn_protocol() == chosen


async def test_the_sni_callback_sees_the_name_and_the_context(loop):
    seen = []
    server = server_context()
    server.sni_callback = lambda ssl_object, name, context: seen.append((type(ssl_object), name, context))
    async with tls_pair(loop, None, server) as pair:
        assert seen == [(ssl.SSLObject, NAME, server)]
        assert pair.server.ssl_object.server_side is True
        assert pair.server.ssl_object.server_hostname is None


async def test_the_sni_callback_gets_the_object_that_extra_info_shows(loop):
    seen = []
    server = server_context()
    server.sni_callback = lambda ssl_object, name, context: seen.append(ssl_object)
    async with tls_pair(loop, None, server) as pair:
        assert seen == [pair.server.ssl_object]


@versions
async def test_the_sni_callback_chooses_another_context(loop, version):
    second = server_context("second.test")
    second.set_alpn_protocols(["second"])

    def choose(ssl_object, name, context):
        if name == "second.test":
            ssl_object.context = second

    server = only(server_context(), version)
    server.sni_callback = choose
    for name in (NAME, "second.test"):
        async with tls_pair(loop, None, server, server_hostname=name) as pair:
            names = [value for _, value in pair.client.ssl_object.getpeercert()["subjectAltName"]]
            assert name in names
            assert pair.server.ssl_object.context is (second if name == "second.test" else server)
            # asyncio keeps the context that it was given here.
            assert pair.server.transport.get_extra_info("sslcontext") is server
            await exchange(pair)


@pytest.mark.parametrize(
    "alert", [ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME, ssl.ALERT_DESCRIPTION_ACCESS_DENIED], ids=["unknown", "denied"]
)
async def test_the_sni_callback_refuses(loop, alert):
    server = server_context()
    server.sni_callback = lambda *_: alert
    client_error, server_error = await failed(loop, None, server)
    assert isinstance(server_error, ssl.SSLError)
    assert server_error.reason == "CALLBACK_FAILED"
    assert isinstance(client_error, (ssl.SSLError, ConnectionError))


async def test_the_sni_callback_raises(loop):  # T43
    def fail(*_):
        raise LookupError("sni callback")

    server = server_context()
    server.sni_callback = fail
    with Unraisable() as caught:
        client_error, server_error = await failed(loop, None, server)
    assert caught == [LookupError]
    assert isinstance(server_error, ssl.SSLError)
    assert isinstance(client_error, (ssl.SSLError, ConnectionError))


async def test_the_sni_callback_returns_nonsense(loop):
    server = server_context()
    server.sni_callback = lambda *_: "nonsense"
    with Unraisable() as caught:
        _, server_error = await failed(loop, None, server)
    assert caught == [TypeError]
    assert isinstance(server_error, ssl.SSLError)


async def test_the_sni_callback_is_called_without_a_name(loop):
    seen = []
    server = server_context()
    server.sni_callback = lambda ssl_object, name, context: seen.append(name)
    client = client_context()
    client.check_hostname = False
    async with tls_pair(loop, client, server, server_hostname=""):
        assert seen == [None]


@versions
async def test_minimum_and_maximum_version(loop, version):
    async with tls_pair(loop, only(client_context(), version)) as pair:
        for end in pair:
            assert end.ssl_object.version() == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version]
        await exchange(pair)


async def test_no_version_in_common(loop):
    client, server = only(client_context(), TLS12), only(server_context(), TLS13)
    client_error, server_error = await failed(loop, client, server)
    assert isinstance(server_error, ssl.SSLError)
    assert server_error.reason == "UNSUPPORTED_PROTOCOL"
    assert isinstance(client_error, (ssl.SSLError, ConnectionError))


async def test_ciphers(loop):
    client = only(client_context(), TLS12)
    client.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    async with tls_pair(loop, client) as pair:
        for end in pair:
            assert end.transport.get_extra_info("cipher") == ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2", 256)


async def test_no_cipher_in_common(loop):
    client, server = only(client_context(), TLS12), server_context()
    client.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    server.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    client_error, server_error = await failed(loop, client, server)
    assert isinstance(server_error, ssl.SSLError)
    assert server_error.reason == "NO_SHARED_CIPHER"
    assert isinstance(client_error, (ssl.SSLError, ConnectionError))


@versions
async def test_keys_are_logged(loop, tmp_path, version):
    client, server = only(client_context(), version), server_context()
    logs = tmp_path / "client", tmp_path / "server"
    client.keylog_filename, server.keylog_filename = map(str, logs)
    async with tls_pair(loop, client, server) as pair:
        await exchange(pair)
    secrets = [{line for line in log.read_text().splitlines() if not line.startswith("#")} for log in logs]
    assert secrets[0] == secrets[1]
    label = "CLIENT_RANDOM" if version is TLS12 else "CLIENT_TRAFFIC_SECRET_0"
    assert any(line.startswith(f"{label} ") for line in secrets[0])


@versions
async def test_message_callbacks_are_called(loop, version):
    """`_msg_callback` is what `ssl` offers to debuggers."""
    seen = []
    client = only(client_context(), version)
    client._msg_callback = lambda connection, direction, *_: seen.append((connection, direction))
    async with tls_pair(loop, client) as pair:
        assert {direction for _, direction in seen} == {"read", "write"}
        assert {connection for connection, _ in seen} == {pair.client.ssl_object}
        count = len(seen)
        await exchange(pair)
        assert len(seen) > count


async def test_a_message_callback_that_raises(loop):
    """The error is kept by `ssl` until its call returns, and comes out there as it is."""

    def fail(*_):
        raise LookupError("message callback")

    client = client_context()
    client._msg_callback = fail
    reports = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    client_error, _ = await failed(loop, client)
    assert isinstance(client_error, (LookupError, ConnectionError))


async def test_a_subclass_of_ssl_object(loop):
    class Special(ssl.SSLObject):
        pass

    client, server = client_context(), server_context()
    client.sslobject_class = Special
    async with tls_pair(loop, client, server) as pair:
        assert type(pair.client.ssl_object) is Special
        assert type(pair.server.ssl_object) is ssl.SSLObject


async def test_a_subclass_of_the_context(loop):
    """Programs override `wrap_bio`, or keep things of their own there."""

    class Special(ssl.SSLContext):
        wrapped = 0

        def wrap_bio(self, *args, **kwargs):
            type(self).wrapped += 1
            return super().wrap_bio(*args, **kwargs)

    client = Special(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    async with tls_pair(loop, client) as pair:
        assert Special.wrapped == 1
        assert pair.client.transport.get_extra_info("sslcontext") is client
        await exchange(pair)


async def test_a_context_may_be_changed_between_connections(loop):
    client, server = client_context(), server_context()
    for protocol in ("one", "two"):
        client.set_alpn_protocols([protocol])
        server.set_alpn_protocols([protocol])
        async with tls_pair(loop, client, server) as pair:
            assert pair.server.ssl_object.selected_alpn_protocol() == protocol


@pytest.mark.parametrize("name", ["server.test", "localhost", "127.0.0.1", "::1"])
async def test_names_and_addresses(loop, name):
    async with tls_pair(loop, server_hostname=name) as pair:
        assert pair.client.ssl_object.server_hostname == name
        await exchange(pair)


@pytest.mark.parametrize("name", ["127.0.0.1", "::1"])
async def test_an_address_is_not_sent_as_a_name(loop, name):
    seen = []
    server = server_context()
    server.sni_callback = lambda ssl_object, name, context: seen.append(name)
    async with tls_pair(loop, None, server, server_hostname=name):
        assert seen == [None]


async def test_an_international_name_is_sent_encoded(loop):
    seen = []
    server = server_context()
    server.sni_callback = lambda ssl_object, name, context: seen.append(name)
    client = client_context()
    client.check_hostname = False
    async with tls_pair(loop, client, server, server_hostname="bücher.test") as pair:
        assert seen == ["xn--bcher-kva.test"]
        assert pair.client.ssl_object.server_hostname == "xn--bcher-kva.test"


async def connect(loop, **arguments):
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        return await loop.create_connection(Recorder, sock=left, **arguments)


async def test_a_socket_needs_a_name(loop):
    with pytest.raises(ValueError, match="You must set server_hostname when using ssl without a host"):
        await connect(loop, ssl=client_context())


async def test_a_name_needs_tls(loop):
    with pytest.raises(ValueError, match="server_hostname is only meaningful with ssl"):
        await connect(loop, server_hostname=NAME)


def checks_demand_names():
    """Whether `ssl` itself refuses an object without a name whose context wants one, as newer versions do."""
    try:
        client_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
    except ValueError:
        return True
    return False


async def test_an_empty_name_is_no_name(loop):
    """The documented way round the check of the name; the authority counts all the same."""
    client = client_context()
    if checks_demand_names():
        with pytest.raises(ValueError, match="check_hostname requires server_hostname"):
            await connect(loop, ssl=client, server_hostname="")
        client.check_hostname = False
    async with tls_pair(loop, client, server_hostname="") as pair:
        assert pair.client.ssl_object.server_hostname is None
        await exchange(pair)
    client_error, _ = await failed(loop, client, server_context(certified=strange_certificate()), server_hostname="")
    assert isinstance(client_error, ssl.SSLCertVerificationError)


async def test_a_name_with_a_null_is_refused(loop):
    with pytest.raises((ValueError, TypeError)):
        await connect(loop, ssl=client_context(), server_hostname="server\0.test")


async def test_a_name_that_starts_with_a_dot_is_refused(loop):
    with pytest.raises(ValueError):
        await connect(loop, ssl=client_context(), server_hostname=".test")


async def test_the_host_is_the_name_unless_one_is_given(loop):
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_context())
    port = server.sockets[0].getsockname()[1]
    for host, name, expected in (
        ("127.0.0.1", None, "127.0.0.1"),
        ("localhost", None, "localhost"),
        ("127.0.0.1", NAME, NAME),
    ):
        transport, protocol = await loop.create_connection(
            Recorder, host, port, ssl=client_context(), server_hostname=name, family=socket.AF_INET
        )
        assert transport.get_extra_info("ssl_object").server_hostname == expected
        transport.close()
        await protocol.until("connection_lost")
    server.close()
    await server.wait_closed()


async def test_a_server_context_cannot_connect_and_the_reverse(loop):
    with pytest.raises(ssl.SSLError, match="Cannot create a client socket with a PROTOCOL_TLS_SERVER context"):
        await connect(loop, ssl=server_context(), server_hostname=NAME)
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        client = client_context()
        client.check_hostname = False
        with pytest.raises(ssl.SSLError, match="Cannot create a server socket with a PROTOCOL_TLS_CLIENT context"):
            await loop.connect_accepted_socket(Recorder, left, ssl=client)


@pytest.mark.parametrize("what", [True, False], ids=["true", "false"])
async def test_a_server_takes_no_bool(loop, what):
    with pytest.raises(TypeError, match="ssl argument must be an SSLContext or None"):
        await loop.create_server(Recorder, "127.0.0.1", 0, ssl=what)


@pytest.mark.parametrize("what", ["context", object(), 1], ids=["text", "object", "number"])
async def test_what_is_no_context_is_refused(loop, what):
    with pytest.raises((TypeError, AttributeError)):
        await connect(loop, ssl=what, server_hostname=NAME)

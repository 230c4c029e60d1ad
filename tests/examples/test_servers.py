"""The servers among the examples serve, and are as short as they say. # G14 N1 N2"""

from __future__ import annotations

import ast
import contextlib

import pytest

from tests.examples.programs import EXAMPLES, code_lines, connect, free_port, started


@pytest.fixture
def serve():
    """Starts a server example on a port of its own; returns how to connect to it, and its process."""
    with contextlib.ExitStack() as stack:

        def start(name, *arguments, runner=()):
            port = free_port()
            process = stack.enter_context(started(name, port, *arguments, runner=runner))
            return (lambda: stack.enter_context(connect(port, process))), process

        yield start


@pytest.mark.parametrize(("name", "most"), [("echo_server.py", 9), ("pubsub_server.py", 19)])
def test_the_short_servers_are_short(name, most):
    assert code_lines(name) <= most


ECHO = pytest.mark.parametrize("name", ["echo_server.py", "echo_protocol.py"])


@ECHO
def test_echo_server_sends_back_what_it_gets(serve, name):
    client, _ = serve(name)
    first, second = client(), client()
    for sock, text in [(first, b"one"), (second, b"two"), (first, b"three")]:
        sock.sendall(text)
        assert sock.recv(100) == text


@ECHO
def test_echo_server_survives_a_client_that_does_not_read(serve, name):
    client, _ = serve(name)
    stuck, other = client(), client()
    stuck.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            stuck.send(bytes(1 << 16))
    other.sendall(b"still there?")
    assert other.recv(100) == b"still there?"


def lines(sock):
    return sock.makefile("rb")


def test_pubsub_server_delivers_to_the_subscribers_of_a_topic(serve):
    client, _ = serve("pubsub_server.py")
    one, two, publisher = client(), client(), client()
    one.sendall(b"sub news\n")
    two.sendall(b"sub sport\nsub news\n")
    one_hears, two_hears = lines(one), lines(two)
    # What a client sends is served in order, so its own echo says that it is subscribed.
    one.sendall(b"pub news ready\n")
    assert one_hears.readline() == b"news ready\n"
    two.sendall(b"pub sport ready\n")
    while two_hears.readline() != b"sport ready\n":
        pass
    publisher.sendall(b"nonsense\n\npub news  a text with  spaces\npub weather fine\npub sport")
    publisher.sendall(b" 3:2\n")
    assert one_hears.readline() == b"news a text with  spaces\n"
    assert two_hears.readline() == b"news a text with  spaces\n"
    assert two_hears.readline() == b"sport 3:2\n"


def test_pubsub_server_forgets_who_has_gone_and_drops_who_falls_behind(serve):
    client, process = serve("pubsub_server.py")
    gone, stuck, publisher = client(), client(), client()
    for sock in (gone, stuck):
        sock.sendall(b"sub news\npub news ready\n")
        assert lines(sock).readline().endswith(b"ready\n")
    gone.close()
    publisher.sendall(b"sub end\n" + (b"pub news " + b"x" * 50_000 + b"\n") * 400 + b"pub end now\n")
    assert lines(publisher).readline() == b"end now\n"
    received = 0
    with contextlib.suppress(ConnectionResetError):
        while data := stuck.recv(1 << 20):
            received += len(data)
    assert received < 400 * 50_000, "was not dropped"
    assert process.poll() is None


@pytest.mark.parametrize("runner", [("-m", "tulipa", "run")], ids=["tulipa run"])
def test_callbacks_server_serves_and_ends_when_nothing_is_left(serve, runner):
    client, process = serve("callbacks_server.py", 2, runner=runner)
    first = client()
    first.sendall(b"one")
    assert first.recv(100) == b"ONE"
    second = client()
    second.sendall(b"two")
    assert second.recv(100) == b"TWO"
    first.close()
    second.close()
    assert process.wait(20) == 0
    assert b" connected\n" in process.stdout.read()


def test_callbacks_server_has_callbacks_only():
    tree = ast.parse((EXAMPLES / "callbacks_server.py").read_text())
    forbidden = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.AsyncFunctionDef, ast.Yield, ast.YieldFrom)
    assert [node for node in ast.walk(tree) if isinstance(node, forbidden)] == []
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"sys", "tulipa"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

"""Addresses of `tulipa pipe`: what each way of writing one means, and what is said of a wrong one. # G11"""

from __future__ import annotations

import pytest

from tests.cli.programs import TULIPA, run
from tulipa.cli.pipe import addresses

PIPE = (*TULIPA[:-1], "pipe")

GOOD = [
    ("stdio:", {}),
    ("-", {}),
    ("stdio:,raw", {"options": {"raw": True}}),
    ("tcp:example.org:80", {"host": "example.org", "port": 80}),
    ("tcp:[::1]:80", {"host": "::1", "port": 80}),
    ("tcp:[fe80::1%lo]:0", {"host": "fe80::1%lo", "port": 0}),
    ("tcp:host:http", {"host": "host", "port": "http"}),
    ("tcp:host:80,ipv4,timeout=2.5", {"options": {"ipv4": True, "timeout": 2.5}}),
    ("tcp-listen:80", {"host": None, "port": 80}),
    ("tcp-listen:127.0.0.1:80", {"host": "127.0.0.1", "port": 80}),
    ("tcp-listen:[::]:80,fork", {"host": "::", "port": 80, "options": {"fork": True}}),
    ("tls:host:443", {"host": "host", "port": 443, "tls": "client"}),
    ("tls:host:443,alpn=h2,alpn=http/1.1", {"options": {"alpn": ["h2", "http/1.1"]}}),
    ("tls+tcp:host:443", {"host": "host", "tls": "client"}),
    ("tls-listen:443,cert=a.pem", {"tls": "server", "host": None, "options": {"cert": "a.pem"}}),
    ("tls-server+exec:cat,cert=a.pem", {"tls": "server", "command": ("cat",)}),
    ("tls+unix:/run/x,name=host", {"tls": "client", "path": "/run/x", "options": {"name": "host"}}),
    ("tls+stdio:,insecure", {"tls": "client", "options": {"insecure": True}}),
    ("unix:/run/x", {"path": "/run/x"}),
    ("unix:@name", {"path": "@name"}),
    ("udp:host:53,size=512", {"host": "host", "port": 53, "options": {"size": 512.0}}),
    ("udp-listen:53", {"host": None, "port": 53}),
    ("file:a:b", {"path": "a:b"}),
    ("file:/tmp/x,append", {"path": "/tmp/x", "options": {"append": True}}),
    (r"file:a\,b", {"path": "a,b"}),
    ("file:'a,b',append", {"path": "a,b", "options": {"append": True}}),
    ('file:"a,b c"', {"path": "a,b c"}),
    (r"file:a\\b\'c", {"path": r"a\b'c"}),
    ("file: a b ", {"path": " a b "}),
    ("file:tülip#1", {"path": "tülip#1"}),
    ("pipe:/tmp/fifo,read", {"path": "/tmp/fifo", "options": {"read": True}}),
    ("tls+pipe:in,out=out,name=h", {"tls": "client", "path": "in", "options": {"out": "out", "name": "h"}}),
    ("exec:cat -u 'a b'", {"command": ("cat", "-u", "a b")}),
    ("exec:sh -c 'echo a, b',stderr", {"command": ("sh", "-c", "echo a, b"), "options": {"stderr": True}}),
    (r"exec:cut -d\, -f1", {"command": ("cut", "-d,", "-f1")}),
    ("exec:cat,cwd='/a b'", {"command": ("cat",), "options": {"cwd": "/a b"}}),
    ("pty:vi,size=80x24", {"command": ("vi",), "options": {"size": (80, 24)}}),
]
BAD = [
    ("", "an address begins with its kind and a colon"),
    ("tcp", "an address begins with its kind and a colon"),
    ("bogus:x", "there is no kind 'bogus'; kinds are exec:, file:, pipe:"),
    ("tls+bogus:x", "there is no kind 'tls+bogus'"),
    ("bogus+tcp:h:1", "there is no kind 'bogus+tcp'"),
    ("tls+tls+tcp:h:1", "there is no kind"),
    ("tls+file:x", "TLS needs both directions of a stream"),
    ("tls+udp:h:1", "TLS needs both directions of a stream"),
    ("stdio:x", "nothing comes behind this colon but options, and 'x' is none"),
    ("tcp:host", "the port is missing: host:port"),
    ("tcp:host:", "the port is missing"),
    ("tcp::80", "it needs host:port"),
    ("tcp:host:65536", "the port 65536 is more than 65535"),
    ("tcp:::1:80", "an IPv6 address goes in brackets: [::1]:80"),
    ("tcp:[::1]80", "an IPv6 address in brackets is followed by a colon and the port"),
    ("tcp:[::1:80", "an IPv6 address in brackets is followed by a colon and the port"),
    ("tcp-listen:", "the port is missing"),
    ("tcp:h:1,bogus", "there is no option 'bogus' here; options are ipv4, ipv6, timeout"),
    ("tcp:h:1,", "there is no option '' here"),
    ("tcp:h:1,fork", "there is no option 'fork' here"),
    ("tcp:h:1,ipv4=1", "the option ipv4 takes no value"),
    ("tcp:h:1,timeout", "the option timeout takes a value: a number"),
    ("tcp:h:1,timeout=", "the option timeout is empty"),
    ("tcp:h:1,timeout=x", "the option timeout is 'x', and must be a number"),
    ("tcp:h:1,timeout=-1", "the option timeout is '-1', and must be a number"),
    ("tcp:h:1,timeout=nan", "the option timeout is 'nan', and must be a number"),
    ("tcp:h:1,ipv4,ipv4", "the option ipv4 is given twice"),
    ("tcp:h:1,ipv4,ipv6", "ipv4 and ipv6 exclude each other"),
    ("unix:", "the path is missing"),
    ("file:x,read,write", "give one of the options that name a direction"),
    ("pipe:x,read,out=y", "give one of the options that name a direction"),
    ("tls+pipe:x,name=h", "TLS needs both directions of a stream, which pipe: does not have here"),
    ("file:'x", "the quote ' is not closed"),
    ("file:x\\", "a backslash stands at the end"),
    ("exec:", "the command is missing"),
    ("pty:vi,size=80", "the option size is '80', and must be COLUMNSxLINES"),
    ("tls-listen:443", "a TLS server needs a certificate: cert=PATH"),
    ("tls:h:1,key=x", "key=PATH needs cert=PATH"),
    ("tls+unix:/run/x", "whose certificate is expected? say name=HOST, or insecure"),
]


@pytest.mark.parametrize(("text", "meant"), GOOD, ids=[text for text, _ in GOOD])
def test_an_address_means(text, meant):
    address = addresses.read(text)
    assert {name: getattr(address, name) for name in meant} == meant
    assert str(address) == ("stdio:" if text == "-" else text)


@pytest.mark.parametrize(("text", "complaint"), BAD, ids=[text for text, _ in BAD])
def test_a_wrong_address_is_named_with_what_is_wrong(text, complaint):
    with pytest.raises(addresses.AddressError) as caught:
        addresses.read(text)
    assert str(caught.value).startswith(f"{text}: ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("stdio:", (True, True), (True, True)),
        ("file:x", (True, False), (False, True)),
        ("file:x,append", (False, True), (False, True)),
        ("file:x,read", (True, False), (True, False)),
        ("pipe:x", (True, False), (False, True)),
        ("pipe:x,out=y", (True, True), (True, True)),
    ],
)
def test_the_place_decides_the_direction_of_files(text, first, second):
    address = addresses.read(text)
    assert address.directions(is_first=True) == first
    assert address.directions(is_first=False) == second


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: A, B"),
        (["stdio:"], "the following arguments are required: B"),
        (["stdio:", "bogus:x"], "bogus:x: there is no kind 'bogus'"),
        (["-u", "-U", "stdio:", "stdio:"], "not allowed with argument -u"),
        (["--buffer", "x", "-", "tcp:h:1"], "'x' is no number of bytes"),
        (["--buffer", "0", "-", "tcp:h:1"], "'0' is no number of bytes"),
        (["--linger", "-1", "-", "tcp:h:1"], "is no number of seconds"),
        (["file:a,read", "file:b,read"], "no direction is left"),
        (["-U", "file:a", "file:b"], "no direction is left"),
        (["tcp-listen:0,fork", "tcp-listen:0,fork"], "only one of the two can serve many connections"),
    ],
)
def test_misuse_is_named_and_exits_with_2(tmp_path, arguments, complaint):
    found = run(PIPE, *arguments, cwd=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert complaint in found.stderr
    assert "Traceback" not in found.stderr


def test_a_wrong_driver_variable_is_named(tmp_path):
    found = run(PIPE, "stdio:", "exec:cat", cwd=tmp_path, TULIPA_DRIVER="bogus")
    assert found.returncode == 2
    assert "unknown driver 'bogus' (from the environment variable TULIPA_DRIVER)" in found.stderr


@pytest.mark.parametrize("driver", ["poll", "select"])
def test_any_driver_does(tmp_path, driver):
    found = run(PIPE, "stdio:", "exec:cat", cwd=tmp_path, stdin="tulip", TULIPA_DRIVER=driver)
    assert (found.returncode, found.stdout, found.stderr) == (0, "tulip", "")


def test_help_names_every_kind(tmp_path):
    found = run(PIPE, "--help", cwd=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    for name in [*addresses.KINDS, *addresses.TLS_KINDS]:
        assert f"  {name}:" in found.stdout

"""What `getaddrinfo` and `getnameinfo` answer is what the `socket` module answers. # T21"""

import itertools
import socket
import sys
import warnings

import pytest

IPV4 = ["127.0.0.1", "0.0.0.0", "255.255.255.255", "1.2.3.4"]
IPV6 = [
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::1.2.3.4",
    "::1:2",
    "64:ff9b::1.2.3.4",
    "1:0:0:2:0:0:0:3",
    "1:0:2:3:4:5:6:7",
    "FE80::ABCD",
    "fe80::1%lo",
    "fe80::1%7",
    "ff02::1%lo",
    "::1%lo",
    "fe80::1%no-such-zone",
    "fe80::1%",
]
# Forms that only the C library knows to be numbers, and what is none and never leaves this machine.
ODD = ["127.1", "0x7f.1", "2130706433", "127.0.0.1%lo", "localhost", "", "*", "a..b", "x" * 70, "\0", "127.0.0.1\0x"]
BYTES = [b"127.0.0.1", b"::1", b"fe80::1%lo", b"localhost", b"\xff", b"", b"127.0.0.1\0x"]
HOSTS = [None, *IPV4, *IPV6, *ODD, *BYTES]

PORTS = [None, 0, 80, 65535, 65536, -1, "80", "http", "no-such-service", "", b"80"]
ODD_PORTS = [
    2**40,
    "080",
    "-1",
    "+1",
    "99999",
    b"http",
    b"",
    b"\xff",
    "80\0",
    b"80\0",
    " 80",
    "\u0664",
    "\udc80",
    "4294967295",
    True,
]
FAMILIES = [0, socket.AF_INET, socket.AF_INET6]
KINDS = [0, socket.SOCK_STREAM, socket.SOCK_DGRAM, 77]
PROTOCOLS = [0, socket.IPPROTO_TCP]
FLAGS = [
    0,
    socket.AI_PASSIVE,
    socket.AI_NUMERICHOST,
    socket.AI_NUMERICSERV | socket.AI_CANONNAME,
    socket.AI_V4MAPPED | socket.AI_ALL,
    socket.AI_ADDRCONFIG,
    0x4000,
]
NAMES = ["localhost", "", "a..b", "\0", "*", "x" * 70, "127.0.0.1%lo", b"localhost", b"", b"\xff"]


def outcome(function, *args, **options):
    """What a call came to, in a form in which two can be compared, enumerations and texts of errors included."""
    try:
        found = function(*args, **options)
    except (OSError, UnicodeError, TypeError, ValueError, OverflowError) as error:
        return type(error), error.args
    return [tuple((type(part), part) for part in entry) for entry in found]


async def outcome_of(coroutine):
    try:
        found = await coroutine
    except (OSError, UnicodeError, TypeError, ValueError, OverflowError) as error:
        return type(error), error.args
    return [tuple((type(part), part) for part in entry) for entry in found]


def stays_here(host, family, flags):
    """Whether the question cannot reach a name server."""
    if host not in NAMES or flags & socket.AI_NUMERICHOST:
        return True
    return host in ("localhost", b"localhost") and family == socket.AF_INET


async def compare(loop, host, port, family, kind, protocol, flags):
    options = {"family": family, "type": kind, "proto": protocol, "flags": flags}
    expected = outcome(socket.getaddrinfo, host, port, **options)
    got = await outcome_of(loop.getaddrinfo(host, port, **options))
    assert got == expected, (host, port, options)


@pytest.mark.parametrize("host", HOSTS, ids=ascii)
async def test_every_combination_gives_what_the_socket_module_gives(loop, host):  # T21
    compared = 0
    for combination in itertools.product(PORTS, FAMILIES, KINDS, PROTOCOLS, FLAGS):
        port, family, kind, protocol, flags = combination
        # A service that is known by name, or not at all, costs a look into a file, or several.
        if isinstance(port, str) and not port.isdigit() and (kind, protocol) != (0, 0):
            continue
        if stays_here(host, family, flags):
            await compare(loop, host, *combination)
            compared += 1
    assert compared > (100 if host in NAMES else 1000)


@pytest.mark.parametrize("port", ODD_PORTS, ids=ascii)
async def test_odd_ports_give_what_the_socket_module_gives(loop, port):
    for host, kind, flags in itertools.product([None, "127.0.0.1", b"::1", "localhost"], KINDS, FLAGS):
        await compare(loop, host, port, socket.AF_INET, kind, 0, flags)


@pytest.mark.parametrize(
    "options",
    [
        {"host": 1},
        {"host": bytearray(b"127.0.0.1")},
        {"host": type("Text", (str,), {})("127.0.0.1")},
        {"host": type("Bytes", (bytes,), {})(b"127.0.0.1")},
        {"port": 1.5},
        {"port": object},
        {"port": type("Number", (int,), {})(80)},
        {"family": None},
        {"family": "2"},
        {"family": 2**31},
        {"family": True},
        {"family": socket.AF_UNIX},
        {"type": 1.0},
        {"proto": -(2**31) - 1},
        {"proto": -1},
        {"flags": 2**64},
        {"flags": -1},
        {"type": socket.SOCK_STREAM, "flags": None},
        {"type": socket.SOCK_STREAM, "flags": False},
        {"type": True},
        {"type": [1]},
        {"type": 1, "proto": None},
        {"type": 1, "proto": socket.IPPROTO_UDP},
        {"type": 1, "family": [2]},
        {"type": 1, "port": True},
        {"type": 1, "host": type("Text", (str,), {})("127.0.0.1")},
    ],
    ids=str,
)
async def test_odd_types_give_what_the_socket_module_gives(loop, options):
    arguments = {"host": "127.0.0.1", "port": 80, **options}
    expected = outcome(socket.getaddrinfo, **arguments)
    assert await outcome_of(loop.getaddrinfo(arguments.pop("host"), arguments.pop("port"), **arguments)) == expected


async def test_there_is_one_entry_for_each_kind_unless_one_is_asked_for(loop):  # T21
    kinds = [entry[1] for entry in await loop.getaddrinfo("127.0.0.1", 80)]
    assert kinds == [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW]
    assert len(await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)) == 1


async def test_a_zone_becomes_the_fourth_part_of_the_address(loop):
    index = socket.if_nametoindex("lo")
    for host in ("fe80::1%lo", b"fe80::1%lo", f"fe80::1%{index}"):
        [(family, *_, address)] = await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
        assert family is socket.AF_INET6
        assert address == ("fe80::1", 80, 0, index)


async def test_each_answer_is_the_askers_own(loop):
    first = await loop.getaddrinfo("localhost", 80, family=socket.AF_INET)
    first.clear()
    assert await loop.getaddrinfo("localhost", 80, family=socket.AF_INET)


ADDRESSES = [
    ("127.0.0.1", 80),
    ("::1", 80),
    ("::1", 80, 0),
    ("::1", 80, 0, 0),
    ("::1", 80, 5, 0),
    ("::ffff:1.2.3.4", 80, 0, 0),
    ("::1", 0, 0xFFFFF, 0xFFFFFFFF),
    ("fe80::1%lo", 80),
    ("fe80::1%lo", 80, 0, 0),
    ("fe80::1", 80, 0, 1),
    ("fe80::1", 80, 0, 77),
    ("127.0.0.1", -1),
    ("127.0.0.1", 70000),
    ("127.1", 80),
    ("127.0.0.1", True),
    # What is refused.
    ("name.test", 80),
    ("", 80),
    ("a..b", 80),
    ("127.0.0.1\0", 80),
    ("\u0664", 80),
    ("fe80::1%no-such-zone", 80),
    ("127.0.0.1", 80, 0),
    ("127.0.0.1", 80, 0, 0),
    ("::1", 80, 2**20, 0),
    ("::1", 80, -1, 0),
    ("::1", 80, 0, 2**32),
    ("::1", 80, 0, 0, 0),
    ("127.0.0.1", 2**31),
    ("127.0.0.1", "80"),
    ("127.0.0.1", None),
    (b"127.0.0.1", 80),
    (None, 80),
    ("127.0.0.1",),
    (),
    ["127.0.0.1", 80],
    "127.0.0.1",
    None,
    7,
]
NAME_FLAGS = [
    socket.NI_NUMERICHOST | socket.NI_NUMERICSERV,
    socket.NI_NUMERICHOST,
    socket.NI_NUMERICHOST | socket.NI_DGRAM,
    socket.NI_NUMERICHOST | socket.NI_NUMERICSERV | socket.NI_NAMEREQD,
    socket.NI_NUMERICHOST | -(2**31),
    2**31,
    None,
    1.0,
]


@pytest.mark.parametrize("address", ADDRESSES, ids=ascii)
async def test_getnameinfo_gives_what_the_socket_module_gives(loop, address):
    flags = [*NAME_FLAGS]
    if address in (("127.0.0.1", 80), ("::1", 80), ("::1", 80, 0, 0)):
        flags += [0, socket.NI_NUMERICSERV]  # known to this machine by name
    with warnings.catch_warnings():
        # 3.15 warns of numbers that it cuts; what becomes of a warning is different in a thread of the executor.
        warnings.filterwarnings("ignore", "integer value out of range", DeprecationWarning)
        for each in flags:
            expected = outcome(lambda flags=each: [socket.getnameinfo(address, flags)])
            got = await outcome_of(listed(loop.getnameinfo(address, each)))
            assert got == expected, (address, each)


async def listed(coroutine):
    return [await coroutine]


def test_a_closed_loop_answers_nothing(loop_factory):
    loop = loop_factory()
    loop.close()
    for call in (loop.getaddrinfo("127.0.0.1", 80), loop.getnameinfo(("127.0.0.1", 80))):
        with pytest.raises(RuntimeError, match="closed"):
            call.send(None)


async def test_what_is_audited_is_what_the_socket_module_audits(loop):
    events = []
    listening = True

    def hook(event, args):
        if listening and event.startswith("socket.get"):
            events.append((event, args, [type(part) for part in args]))

    sys.addaudithook(hook)
    try:
        for host in ("localhost", "127.0.0.1", b"127.0.0.1", None):
            options = {"family": socket.AF_INET, "type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}
            socket.getaddrinfo(host, "80", flags=socket.AI_PASSIVE, **options)
            await loop.getaddrinfo(host, "80", flags=socket.AI_PASSIVE, **options)
            expected, got = events
            assert got == expected
            events.clear()
        socket.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST)
        await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST)
        expected, got = events
        assert got == expected
    finally:
        listening = False

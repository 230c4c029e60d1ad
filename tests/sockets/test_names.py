"""`getaddrinfo` and `getnameinfo`. # T21"""

import asyncio
import socket

import pytest

HOSTS = ["127.0.0.1", "::1", "localhost", b"127.0.0.1", None, "", "fe80::1%lo", "0.0.0.0", "::ffff:127.0.0.1"]
PORTS = [80, "80", "http", b"80", None, 0, "", 65535]
TYPES = [0, socket.SOCK_STREAM, socket.SOCK_DGRAM]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: f"host {host!r}")
async def test_every_combination_gives_what_the_socket_module_gives(loop, host):  # T21
    for port in PORTS:
        for kind in TYPES:
            for family in (0, socket.AF_INET, socket.AF_INET6):
                if (host, family) == ("localhost", socket.AF_INET6):
                    continue  # may go out to a name server
                for flags in (0, socket.AI_PASSIVE, socket.AI_NUMERICHOST):
                    options = {"family": family, "type": kind, "flags": flags}
                    try:
                        expected = socket.getaddrinfo(host, port, **options)
                    except (OSError, UnicodeError) as error:
                        with pytest.raises(type(error)):
                            await loop.getaddrinfo(host, port, **options)
                    else:
                        got = await loop.getaddrinfo(host, port, **options)
                        assert got == expected, (host, port, options)
                        assert [type(entry[0]) for entry in got] == [type(entry[0]) for entry in expected]
                        assert [type(entry[1]) for entry in got] == [type(entry[1]) for entry in expected]


async def test_an_unknown_name_is_a_gaierror(loop):
    with pytest.raises(socket.gaierror):
        await loop.getaddrinfo("name.invalid", 80)


@pytest.mark.parametrize(
    "wrong",
    [{"host": 1, "port": 80}, {"host": "127.0.0.1", "port": 1.5}, {"host": "127.0.0.1", "port": object()}],
    ids=["host", "float port", "object port"],
)
async def test_wrong_types_are_refused_as_the_socket_module_does(loop, wrong):
    with pytest.raises(Exception) as expected:
        socket.getaddrinfo(**wrong)
    with pytest.raises(expected.type):
        await loop.getaddrinfo(**wrong)


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("::1", 80), ("::1", 80, 0, 0)], ids=str)
async def test_getnameinfo_gives_what_the_socket_module_gives(loop, address):
    for flags in (0, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV, socket.NI_NUMERICSERV):
        assert await loop.getnameinfo(address, flags) == socket.getnameinfo(address, flags)


async def test_getnameinfo_refuses_names(loop):
    with pytest.raises(OSError):
        await loop.getnameinfo(("name.invalid", 80))


async def test_resolving_does_not_block_the_loop(loop):
    results = await asyncio.gather(*(loop.getaddrinfo("localhost", port) for port in range(1, 50)))
    assert all(results)


async def test_resolving_can_be_cancelled(loop):
    task = loop.create_task(loop.getaddrinfo("localhost", 80))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or task.result()

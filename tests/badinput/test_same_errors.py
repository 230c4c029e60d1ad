"""Wrong arguments to every public method give what they give on asyncio: the same exception type, with a message.

Each parameter of each method is replaced by each kind of junk, the others stay valid; the same call runs on asyncio
and on the loop under test. # G11
"""

import asyncio
import inspect
import signal
import socket

import pytest

from tests.backends import ASYNCIO
from tests.support.differential import RETURNS, WAITS, outcomes, without_complaints


class Evil:
    """Raises whatever is asked of it."""

    def _raise(self, *args, **kwargs):
        raise LookupError("evil")

    __index__ = __int__ = __float__ = __len__ = __iter__ = __call__ = __bool__ = __getitem__ = __hash__ = __eq__ = (
        _raise
    )
    __lt__ = __gt__ = __add__ = __radd__ = __str__ = __fspath__ = fileno = _raise


def function(*args):
    pass


async def coroutine_function():
    pass


JUNK = {
    "None": None,
    "number": 999,  # as a descriptor: not open
    "negative": -1,
    "huge": 2**70,
    "float": 1.5,
    "nan": float("nan"),
    "text": "text",
    "bytes": b"bytes",
    "empty": "",
    "list": [],
    "tuple": (1, 2, 3),
    "object": object(),
    "class": int,
    "function": function,
    "coroutine function": coroutine_function,
    "evil": Evil(),
}

PROTOCOL = asyncio.Protocol
DATAGRAM = asyncio.DatagramProtocol

# The valid arguments of each method, made for a world.
CALLS = {
    "call_soon": lambda w: (function,),
    "call_soon_threadsafe": lambda w: (function,),
    "call_later": lambda w: (0.001, function),
    "call_at": lambda w: (w.loop.time(), function),
    "run_in_executor": lambda w: (None, function),
    "set_exception_handler": lambda w: (function,),
    "call_exception_handler": lambda w: ({"message": "x"},),
    "default_exception_handler": lambda w: ({"message": "x"},),
    "set_task_factory": lambda w: (None,),
    "set_default_executor": lambda w: (None,),
    "run_until_complete": lambda w: (None,),
    "add_reader": lambda w: (w.left, function),
    "add_writer": lambda w: (w.left, function),
    "remove_reader": lambda w: (w.left,),
    "remove_writer": lambda w: (w.left,),
    "add_signal_handler": lambda w: (signal.SIGUSR2, function),
    "remove_signal_handler": lambda w: (signal.SIGUSR2,),
    "sock_recv": lambda w: (w.left, 10),
    "sock_recv_into": lambda w: (w.left, bytearray(10)),
    "sock_recvfrom": lambda w: (w.datagram, 10),
    "sock_recvfrom_into": lambda w: (w.datagram, bytearray(10), 5),
    "sock_sendall": lambda w: (w.left, b"data"),
    "sock_sendto": lambda w: (w.datagram, b"data", w.datagram.getsockname()),
    "sock_accept": lambda w: (w.listener,),
    "sock_connect": lambda w: (socket.socket(fileno=w.left.detach()), w.listener.getsockname()),
    "sock_sendfile": lambda w: (w.left, w.file, 0, 5),
    "getaddrinfo": lambda w: ("127.0.0.1", 80),
    "getnameinfo": lambda w: (("127.0.0.1", 80), 0),
    "create_connection": lambda w: (PROTOCOL, *w.listener.getsockname()),
    "create_server": lambda w: (PROTOCOL, "127.0.0.1", 0),
    "create_unix_connection": lambda w: (PROTOCOL, w.path),
    "create_unix_server": lambda w: (PROTOCOL, w.path),
    "create_datagram_endpoint": lambda w: (DATAGRAM, ("127.0.0.1", 0)),
    "connect_accepted_socket": lambda w: (PROTOCOL, w.left),
    "connect_read_pipe": lambda w: (PROTOCOL, w.reader),
    "connect_write_pipe": lambda w: (PROTOCOL, w.writer),
    "start_tls": lambda w: (None, PROTOCOL(), None),
    "sendfile": lambda w: (None, w.file),
    "subprocess_exec": lambda w: (asyncio.SubprocessProtocol, "true"),
    "subprocess_shell": lambda w: (asyncio.SubprocessProtocol, "true"),
    "create_task": lambda w: (None,),
}

# Where asyncio takes what is wrong, and only finds out later, in somebody else's turn or never: there an error at once
# is as good. (name, position): reason.
POSTPONED = {
    ("call_soon", 0): "the callback is looked at in debug mode only",
    ("call_soon_threadsafe", 0): "the callback is looked at in debug mode only",
    ("call_later", 0): "a deadline that is not a number is found out by the heap",
    ("call_later", 1): "the callback is looked at in debug mode only",
    ("call_at", 0): "the deadline is found out when two are compared",
    ("call_at", 1): "the callback is looked at in debug mode only",
    ("add_reader", 1): "the callback is not looked at",
    ("add_writer", 1): "the callback is not looked at",
    ("add_signal_handler", 1): "the callback is not looked at",
    ("create_connection", 0): "what the factory made fails in `connection_made`, and the caller waits for ever",
    ("connect_accepted_socket", 0): "as above",
    ("connect_read_pipe", 0): "as above",
    ("connect_write_pipe", 0): "as above",
    ("create_datagram_endpoint", 0): "as above",
    ("sock_sendfile", 3): "a count beyond what the system can take is as good as no count",
    ("create_unix_server", 1): "an empty path is a slip of asyncio's (IndexError), and the kernel invents a name",
    ("writelines", 0): "asyncio takes None for an empty list",
}

# What asyncio's own code for children, which runs here as well, tells the caller or keeps him waiting for, by chance:
# what the factory made fails in `connection_made`, and it depends on whether the child has ended before.
BY_CHANCE = {("subprocess_exec", 0), ("subprocess_shell", 0)}


@pytest.fixture(autouse=True)
def quiet(no_descriptors_left):
    with without_complaints():
        yield


def call(name, position, junk):
    def action(world):
        arguments = list(CALLS[name](world))
        arguments[position] = junk
        return getattr(world.loop, name)(*arguments)

    return action


def positions(name):
    """How many positional arguments the valid call has."""

    class Anything:
        def __getattr__(self, _):
            return self

        def __call__(self, *_):
            return self

        def __iter__(self):
            return iter(("127.0.0.1", 80))

    if name == "sock_connect":
        return 2
    return len(CALLS[name](Anything()))


def test_every_public_method_is_in_the_table():
    """Methods without arguments have nothing to get wrong."""
    for name in dir(asyncio.AbstractEventLoop):
        if name.startswith("_"):
            continue
        parameters = list(inspect.signature(getattr(asyncio.SelectorEventLoop, name)).parameters)[1:]
        assert name in CALLS or not parameters or name in ("shutdown_default_executor", "set_debug"), name


@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments_fail_as_on_asyncio(backend, name):
    compare(backend, name, debug=False)


@pytest.mark.parametrize("name", [name for name in CALLS if name.startswith(("call_", "sock_", "add_", "run_"))])
def test_wrong_arguments_fail_as_on_asyncio_in_debug_mode(backend, name):
    compare(backend, name, debug=True)


def compare(backend, name, *, debug):
    differences = []
    for position in range(positions(name)):
        for kind, junk in JUNK.items():
            action = call(name, position, junk)
            options = {"debug": debug, "settle": 0.005 if "subprocess" in name else 0}
            if by_chance := (name, position) in BY_CHANCE:
                options["patience"] = (1,)
            (theirs, _), (ours, message) = outcomes(ASYNCIO.new_loop, backend.new_loop, action, **options)
            if by_chance and WAITS in (theirs, ours):
                continue
            if not equivalent(theirs, ours, kind, POSTPONED.get((name, position))):
                differences.append(f"argument {position} is {kind}: asyncio {theirs}, here {ours} ({message})")
            elif backend.is_tulipa and ours not in (RETURNS, WAITS) and not message:
                differences.append(f"argument {position} is {kind}: {ours} without a message")
    assert not differences, "\n".join(["", *differences])


def equivalent(theirs: str, ours: str, kind: str, postponed: str | None = None) -> bool:
    """The same type; a real exception where asyncio has a bare assertion or a slip; an error where asyncio waits."""
    if theirs == ours:
        return True
    if postponed and theirs in (RETURNS, WAITS, "IndexError", "OverflowError"):
        return True
    if kind == "evil" and ours == "LookupError" and theirs not in (RETURNS, WAITS):
        return True
    return theirs in ("AssertionError", "AttributeError") and ours in ("TypeError", "ValueError", "AttributeError")


TRANSPORT_CALLS = {
    "write": (b"data",),
    "writelines": ([b"data"],),
    "set_write_buffer_limits": (10, 5),
    "set_protocol": (asyncio.Protocol(),),
    "get_extra_info": ("socket", None),
}


@pytest.mark.parametrize("name", TRANSPORT_CALLS)
def test_wrong_arguments_to_transports_fail_as_on_asyncio(backend, name):
    differences = []

    def calling(position, junk):
        async def action(world):
            transport, _ = await world.loop.create_connection(asyncio.Protocol, sock=world.left)
            arguments = list(TRANSPORT_CALLS[name])
            arguments[position] = junk
            try:
                getattr(transport, name)(*arguments)
            finally:
                transport.abort()
                await asyncio.sleep(0)

        return action

    for position in range(len(TRANSPORT_CALLS[name])):
        for kind, junk in JUNK.items():
            (theirs, _), (ours, message) = outcomes(ASYNCIO.new_loop, backend.new_loop, calling(position, junk))
            if not equivalent(theirs, ours, kind, POSTPONED.get((name, position))):
                differences.append(f"argument {position} is {kind}: asyncio {theirs}, here {ours} ({message})")
    assert not differences, "\n".join(["", *differences])


@pytest.mark.parametrize("position", range(2))
@pytest.mark.parametrize("kind", ["sendto", "sendto of a connected one"])
def test_wrong_arguments_to_datagram_transports_fail_as_on_asyncio(backend, kind, position):
    differences = []

    def calling(junk):
        async def action(world):
            options = {"remote_addr": ("127.0.0.1", 9)} if "connected" in kind else {"local_addr": ("127.0.0.1", 0)}
            transport, _ = await world.loop.create_datagram_endpoint(asyncio.DatagramProtocol, **options)
            arguments = [b"data", ("127.0.0.1", 9)]
            arguments[position] = junk
            try:
                transport.sendto(*arguments)
            finally:
                transport.abort()
                await asyncio.sleep(0)

        return action

    for name, junk in JUNK.items():
        if (position, name) == (1, "None") and "connected" not in kind:
            continue  # asyncio finds out when it sends, and closes the transport
        (theirs, _), (ours, message) = outcomes(ASYNCIO.new_loop, backend.new_loop, calling(junk))
        if not equivalent(theirs, ours, name):
            differences.append(f"argument {position} is {name}: asyncio {theirs}, here {ours} ({message})")
    assert not differences, "\n".join(["", *differences])

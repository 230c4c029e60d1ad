"""Subclasses of the loop, attributes on it, and its types. # T6 # T39"""

import asyncio
import gc
import weakref

import pytest


def test_a_loop_is_an_asyncio_base_event_loop(loop):  # T6
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert isinstance(loop, asyncio.BaseEventLoop)


def test_attributes_can_be_set_on_a_loop(loop):
    loop.mine = 1
    assert loop.mine == 1
    assert "mine" in vars(loop)
    del loop.mine
    with pytest.raises(AttributeError):
        loop.mine  # noqa: B018


def test_methods_can_be_replaced_on_a_loop(loop):
    seen = []
    original = loop.call_later
    loop.call_later = lambda *args, **kw: (seen.append(args[0]), original(*args, **kw))[1]
    loop.run_until_complete(asyncio.sleep(0.001))
    assert seen == [0.001]


def test_a_loop_can_be_weakly_referenced_and_is_freed(loop_factory, backend):
    loop = backend.new_loop()
    reference = weakref.ref(loop)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    del loop
    gc.collect()
    assert reference() is None


def test_a_subclass_may_add_and_override(loop):
    calls = []

    class Mine(type(loop)):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.extra = "extra"

        def call_soon(self, callback, *args, context=None):
            calls.append("call_soon")
            return super().call_soon(callback, *args, context=context)

        def call_exception_handler(self, context):
            calls.append("handler")

        def create_future(self):
            calls.append("create_future")
            return super().create_future()

    mine = Mine()
    try:
        assert mine.extra == "extra"
        mine.call_soon(int, "no number")
        assert mine.run_until_complete(asyncio.sleep(0.001, 5)) == 5
        assert "call_soon" in calls
        assert "handler" in calls
        assert "create_future" in calls
    finally:
        mine.close()


def test_a_subclass_may_override_run_forever_and_close(loop):
    calls = []

    class Mine(type(loop)):
        def run_forever(self):
            calls.append("run")
            return super().run_forever()

        def close(self):
            calls.append("close")
            return super().close()

    mine = Mine()
    mine.run_until_complete(asyncio.sleep(0))
    mine.close()
    assert calls == ["run", "close"]


def test_a_mixin_comes_first(loop):
    class Counting:
        turns = 0

        def _run_once(self):
            self.turns += 1
            return super()._run_once()

    class Mine(Counting, type(loop)):
        pass

    mine = Mine()
    mine.run_until_complete(asyncio.sleep(0))
    mine.close()
    assert mine.turns >= 1


def test_attributes_can_be_set_on_transports_and_servers(loop):  # T39
    async def main():
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        server.mine = 1
        address = server.sockets[0].getsockname()
        transport, _ = await loop.create_connection(asyncio.Protocol, *address)
        transport.mine = 2
        written = []
        original = transport.write
        transport.write = lambda data: (written.append(data), original(data))
        transport.write(b"replaced")
        assert (server.mine, transport.mine, written) == (1, 2, [b"replaced"])
        assert weakref.ref(transport)() is transport
        transport.close()
        server.close()
        await asyncio.sleep(0.01)

    loop.run_until_complete(main())


def test_a_transport_with_attributes_that_refer_to_it_is_freed(loop):  # R9
    async def main():
        import socket

        class Plain(asyncio.Protocol):
            pass

        left, right = socket.socketpair()
        transport, protocol = await loop.create_connection(Plain, sock=left)
        transport.me = transport
        protocol.transport = transport
        references = [weakref.ref(transport), weakref.ref(protocol)]
        transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        right.close()
        return references

    references = loop.run_until_complete(main())
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_the_whole_public_surface_is_there(loop):
    for name in dir(asyncio.AbstractEventLoop):
        if not name.startswith("_"):
            assert callable(getattr(loop, name)), name


def test_signatures_take_keywords_as_asyncio_does(loop, backend):
    """Whoever calls by keyword must be able to go on doing so."""
    import inspect

    stock = asyncio.SelectorEventLoop
    for name in dir(asyncio.AbstractEventLoop):
        if name.startswith("_"):
            continue
        theirs = inspect.signature(getattr(stock, name))
        ours = inspect.signature(getattr(type(loop), name))
        keywords = {
            parameter.name
            for parameter in theirs.parameters.values()
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD) and parameter.name != "self"
        }
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in ours.parameters.values()):
            continue
        assert keywords <= set(ours.parameters), name

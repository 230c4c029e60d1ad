"""Asynchronous generators: finished by the loop when forgotten, and at shutdown."""

import asyncio
import gc
import warnings

import pytest


def test_shutdown_finishes_generators_that_are_suspended(loop):
    closed = []

    async def generate(name):
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(name)

    async def main():
        kept.extend([generate("a"), generate("b")])
        for generator in kept:
            await generator.__anext__()

    kept = []
    loop.run_until_complete(main())
    assert closed == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert sorted(closed) == ["a", "b"]


def test_a_forgotten_generator_is_finished_by_the_loop(loop):
    closed = []

    async def generate():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def main():
        async for _ in generate():
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert closed == [True]


def test_an_error_while_finishing_is_reported(loop, reported):
    async def generate():
        try:
            yield 1
        finally:
            raise LookupError("while closing")

    async def main():
        generator = generate()
        await generator.__anext__()
        return generator

    generator = loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    context = reported.pop()
    assert str(context["exception"]) == "while closing"
    assert context["asyncgen"] is generator


def test_iterating_after_shutdown_warns(loop):
    async def generate():
        yield 1

    async def main():
        async for _ in generate():
            pass

    loop.run_until_complete(loop.shutdown_asyncgens())
    with pytest.warns(ResourceWarning, match="was scheduled after"):
        loop.run_until_complete(main())


def test_hooks_of_the_thread_are_restored_after_the_run(loop):
    import sys

    before = sys.get_asyncgen_hooks()

    async def main():
        assert sys.get_asyncgen_hooks() != before

    loop.run_until_complete(main())
    assert sys.get_asyncgen_hooks() == before


def test_a_generator_finished_from_another_thread_is_closed_on_the_loop(loop):
    """The finalizer may run in any thread; it must use the thread-safe way to the loop."""
    closed = []

    async def generate():
        try:
            yield 1
        finally:
            closed.append(asyncio.get_running_loop() is loop)

    async def main():
        generator = generate()
        await generator.__anext__()
        holder = [generator]
        del generator
        await asyncio.to_thread(holder.clear)
        for _ in range(5):
            await asyncio.sleep(0)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop.run_until_complete(main())
    assert closed == [True]

"""How a program gets a loop and runs on it: each name of the package, with the type that its user sees."""

from __future__ import annotations

import asyncio
from typing import assert_type

import tulipa


async def answer() -> int:
    loop = tulipa.current_loop()
    assert_type(loop, tulipa.Loop)
    assert_type(loop.driver, str)
    return 42


async def nothing() -> None:
    await asyncio.sleep(0)


def run_coroutines() -> None:
    assert_type(tulipa.run(answer()), int)
    assert_type(tulipa.run(answer(), debug=True), int)
    tulipa.run(nothing(), loop_factory=lambda: tulipa.new_event_loop(driver="poll"))
    tulipa.run(nothing(), loop_factory=tulipa.Loop)


def make_loops() -> None:
    loop = tulipa.new_event_loop()
    assert_type(loop, tulipa.Loop)
    assert_type(loop.run_until_complete(answer()), int)
    loop.run_until_idle()
    loop.close()

    for name in ("epoll", "poll", "select", None):
        made = tulipa.Loop(driver=name)
        assert_type(made, tulipa.Loop)
        made.close()
        tulipa.new_event_loop(name).close()


def hand_to_asyncio() -> None:
    with asyncio.Runner(loop_factory=tulipa.new_event_loop) as runner:
        assert_type(runner.run(answer()), int)
        assert_type(runner.get_loop(), asyncio.AbstractEventLoop)


def takes_any_loop(loop: asyncio.AbstractEventLoop) -> bool:
    return loop.is_running()


def is_asyncios() -> None:
    loop: asyncio.BaseEventLoop = tulipa.new_event_loop()
    assert not takes_any_loop(loop)
    loop.close()


class Named(tulipa.Loop):
    """A loop of the program's own."""

    def __init__(self, name: str, *, driver: str | None = None) -> None:
        super().__init__(driver=driver)
        self.name = name


def derive() -> None:
    loop = Named("mine", driver="epoll")
    assert_type(loop, Named)
    assert_type(loop.name, str)
    loop.close()


def look_around() -> None:
    assert_type(tulipa.__version__, str)
    assert_type(tulipa.info(), dict[str, dict[str, bool | int | str]])


def install_variants() -> None:
    """Not called: it would change the whole process."""
    tulipa.install()
    tulipa.install(everywhere=True, default_loop=tulipa.new_event_loop)


def main() -> None:
    run_coroutines()
    make_loops()
    hand_to_asyncio()
    is_asyncios()
    derive()
    look_around()


if __name__ == "__main__":
    main()

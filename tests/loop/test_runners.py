"""`run`, `Runner`, `install`, the policy. # T29"""

import asyncio
import sys

import pytest

from tests.support.programs import check_program, run_program


def test_a_runner_takes_the_loop_factory(loop_factory):
    async def main():
        return asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) is runner.get_loop()
        assert runner.run(main()) is runner.get_loop()
    assert runner._loop is None


def test_a_runner_cancels_what_is_left(loop_factory):
    ended = []

    async def forever():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    async def main():
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return task

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        task = runner.run(main())
    assert task.cancelled()
    assert ended == [True]


def test_a_runner_in_debug_mode(loop_factory):
    async def main():
        return asyncio.get_running_loop().get_debug()

    with asyncio.Runner(debug=True, loop_factory=loop_factory) as runner:
        assert runner.run(main()) is True


def test_a_runner_turns_an_interrupt_into_a_cancelled_main_task(backend):  # T23
    source = """
        import os, signal
        async def main():
            loop = asyncio.get_running_loop()
            loop.call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("cancelled")
                raise
        try:
            run(main())
        except KeyboardInterrupt:
            print("interrupt")
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """
    assert check_program(backend, source) == "cancelled\ninterrupt\nTrue\n"


def test_a_runner_leaves_a_custom_interrupt_handler_alone(backend):  # T23
    source = """
        import os, signal
        seen = []
        signal.signal(signal.SIGINT, lambda *args: seen.append("mine"))
        async def main():
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.01)
        run(main())
        print(seen)
    """
    assert check_program(backend, source) == "['mine']\n"


@pytest.mark.only_tulipa
def test_tulipa_run_runs_on_tulipa(backend):
    source = """
        import tulipa
        async def main(value):
            loop = asyncio.get_running_loop()
            return isinstance(loop, tulipa.Loop), loop.get_debug(), value
        print(tulipa.run(main(1)))
        print(tulipa.run(main(2), debug=True))
    """
    assert check_program(backend, source) == "(True, False, 1)\n(True, True, 2)\n"


@pytest.mark.only_tulipa
def test_tulipa_run_refuses_what_asyncio_run_refuses(backend):
    import tulipa

    async def main():
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="running event loop"):
            tulipa.run(coroutine)
        coroutine.close()

    tulipa.run(main())
    with pytest.raises((ValueError, TypeError)):
        tulipa.run(main)
    with pytest.raises((ValueError, TypeError)):
        tulipa.run(None)


@pytest.mark.only_tulipa
def test_tulipa_run_obeys_a_loop_factory(backend):
    import tulipa

    async def main():
        return type(asyncio.get_running_loop()).__module__.split(".")[0]

    assert tulipa.run(main(), loop_factory=backend.new_loop) == "tulipa"
    assert tulipa.run(main(), loop_factory=asyncio.SelectorEventLoop) == "asyncio"


@pytest.mark.only_tulipa
def test_install_makes_asyncio_run_use_tulipa(backend):
    source = """
        import tulipa
        tulipa.install()
        async def main():
            return isinstance(asyncio.get_running_loop(), tulipa.Loop)
        print(asyncio.run(main()))
        with asyncio.Runner() as runner:
            print(runner.run(main()))
        loop = asyncio.new_event_loop()
        print(isinstance(loop, tulipa.Loop))
        loop.close()
    """
    done = run_program(backend, source)
    assert done.stdout == "True\nTrue\nTrue\n", done.stderr


@pytest.mark.only_tulipa
def test_the_policy_is_a_deprecated_attribute_where_python_has_policies(backend):  # T29
    import tulipa

    if sys.version_info >= (3, 16):
        assert not hasattr(tulipa, "EventLoopPolicy")
        return
    with pytest.warns(DeprecationWarning):
        policy = tulipa.EventLoopPolicy
    loop = policy().new_event_loop()
    assert isinstance(loop, tulipa.Loop)
    loop.close()


@pytest.mark.only_tulipa
def test_importing_tulipa_changes_nothing(backend):
    source = """
        import sys
        warned = "warnings" in sys.modules
        import tulipa
        loop = asyncio.new_event_loop()
        print(isinstance(loop, tulipa.Loop))
        loop.close()
    """
    assert check_program(backend, source, flags=("-X", "dev", "-W", "error")) == "False\n"


@pytest.mark.only_tulipa
@pytest.mark.parametrize("wrong", ["uring?", "EPOLL", "kqueue on linux", 1, b""])
def test_an_unknown_driver_is_refused_with_the_known_ones(backend, wrong):
    import tulipa

    with pytest.raises((ValueError, TypeError)) as caught:
        tulipa.new_event_loop(driver=wrong)
    if isinstance(caught.value, ValueError):
        assert "epoll" in str(caught.value)


@pytest.mark.only_tulipa
def test_the_driver_can_be_chosen_by_the_environment(backend):
    source = """
        import tulipa
        loop = tulipa.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0))
        print(loop.driver if hasattr(loop, "driver") else repr(loop))
        loop.close()
    """
    done = run_program(backend, source, env={"TULIPA_DRIVER": "poll"})
    assert "poll" in done.stdout.replace("epoll", ""), done.stdout + done.stderr
    done = run_program(backend, source, env={"TULIPA_DRIVER": "nonsense"})
    assert done.returncode != 0
    assert "TULIPA_DRIVER" in done.stderr or "nonsense" in done.stderr

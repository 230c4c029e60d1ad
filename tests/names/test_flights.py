"""Look-ups under way: who shares one, who may leave, and what is left when they end. # G18 # R5

In the programs below the names that begin with `slow` are not answered before the gate is open.
"""

import pytest

only_tulipa = pytest.mark.only_tulipa


@only_tulipa
def test_equal_questions_at_the_same_time_are_looked_up_once(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            shut_gate()
            askers = [loop.create_task(loop.getaddrinfo("slow.test", 80)) for _ in range(50)]
            await until(asked)
            askers.append(loop.create_task(loop.getaddrinfo(b"slow.test", "80")))
            await asyncio.sleep(0)
            open_gate()
            answers = await asyncio.gather(*askers)
            assert all(answer == answers[0] for answer in answers), answers
            assert len({id(answer) for answer in answers}) == 51, "each may change his own list"
            assert asked() == ["slow.test"], asked()
            await loop.getaddrinfo("slow.test", 80)
            assert asked() == ["slow.test"] * 2, "an answer that was given is not kept"
        run(main())
    """
    check(source)


def test_different_questions_are_looked_up_apart(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            shut_gate()
            others = [{"family": socket.AF_INET}, {"type": socket.SOCK_STREAM}, {"flags": socket.AI_PASSIVE}]
            askers = [loop.create_task(loop.getaddrinfo("slow.test", 80, **options)) for options in [{}, *others]]
            askers.append(loop.create_task(loop.getaddrinfo("slow.test", 81)))
            await until(lambda: len(asked()) == 5)
            open_gate()
            answers = await asyncio.gather(*askers)
            assert len(answers[2]) == 1 < len(answers[0])
            assert answers[4][0][4] == ("127.0.0.1", 81)
        run(main())
    """
    check(source)


def test_the_loop_runs_while_names_are_looked_up(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            shut_gate()
            asker = loop.create_task(loop.getaddrinfo("slow.test", 80))
            await until(asked)
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert not asker.done()
            open_gate()
            assert (await asker)[0][4] == ("127.0.0.1", 80)
        run(main())
    """
    check(source)


def test_cancelling_one_asker_leaves_the_others(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            shut_gate()
            askers = [loop.create_task(loop.getaddrinfo("slow.test", 80)) for _ in range(3)]
            await until(asked)
            askers[0].cancel()
            await asyncio.wait([askers[0]])
            assert askers[0].cancelled() and not askers[1].done()
            open_gate()
            first, second = await asyncio.gather(*askers[1:])
            assert first == second and first[0][4] == ("127.0.0.1", 80)
        run(main())
    """
    check(source)


@only_tulipa
def test_with_the_last_asker_the_lookup_is_forgotten(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            shut_gate()
            askers = [loop.create_task(loop.getaddrinfo("slow.test", 80)) for _ in range(3)]
            await until(asked)
            for asker in askers:
                asker.cancel()
            await asyncio.wait(askers)
            assert all(asker.cancelled() for asker in askers)
            again = loop.create_task(loop.getaddrinfo("slow.test", 80))
            await until(lambda: len(asked()) == 2)
            open_gate()
            assert (await again)[0][4] == ("127.0.0.1", 80)
        run(main())
    """
    check(source)


@only_tulipa
def test_a_question_that_is_cancelled_while_it_waits_is_never_asked(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            shut_gate()
            askers = [loop.create_task(loop.getaddrinfo(f"slow{n}.test", 80)) for n in range(60)]
            await until(lambda: len(asked()) == 32)
            busy = set(asked())
            for n, asker in enumerate(askers):
                if f"slow{n}.test" not in busy:
                    asker.cancel()
            await asyncio.sleep(0)
            open_gate()
            await asyncio.wait(askers)
            assert len(await loop.getaddrinfo("after.test", 80)) == 3
            assert set(asked()) == busy | {"after.test"}, asked()
            assert sum(not asker.cancelled() for asker in askers) == len(busy)
        run(main())
    """
    check(source)


@only_tulipa
def test_a_thousand_questions_are_answered_by_a_bounded_number_of_threads(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            shut_gate()
            askers = [loop.create_task(loop.getaddrinfo(f"slow{n}.test", n)) for n in range(1000)]
            await until(lambda: len(asked()) == 32)
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert threads() == 32 == len(asked()), (threads(), len(asked()))
            open_gate()
            answers = await asyncio.gather(*askers)
            assert [answer[0][4][1] for answer in answers] == list(range(1000))
            assert sorted(asked()) == sorted(f"slow{n}.test" for n in range(1000))
            assert threads() <= 32
            assert loop._default_executor is None, "the program's executor is the program's"
        run(main())
    """
    check(source)


@only_tulipa
def test_literals_need_no_thread(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            for host in (None, "127.0.0.1", "::1", "fe80::1%lo", b"127.0.0.1"):
                call = loop.getaddrinfo(host, 80)
                try:
                    call.send(None)
                except StopIteration as stop:
                    assert stop.value == socket.getaddrinfo(host, 80)
                else:
                    raise AssertionError(f"{host!r} was waited for")
            numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
            assert await loop.getnameinfo(("::1", 80, 0, 0), numeric) == ("::1", "80")
            assert os.listdir("/proc/self/task") == [str(os.getpid())]
        run(main())
    """
    check(source)


@only_tulipa
def test_threads_end_when_there_is_nothing_to_look_up(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.getaddrinfo(f"quick{n}.test", 80) for n in range(10)))
            assert threads() > 0
            await until(lambda: threads() == 0)
            assert await loop.getaddrinfo("later.test", 80)
        run(main())
    """
    check(source)


@only_tulipa
def test_a_busy_executor_does_not_hold_names_up(check):
    source = """
        import concurrent.futures, threading
        async def main():
            loop = asyncio.get_running_loop()
            release = threading.Event()
            loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
            blocked = loop.run_in_executor(None, release.wait)
            assert await loop.getaddrinfo("quick.test", 80)
            release.set()
            await blocked
        run(main())
    """
    check(source)


@only_tulipa
def test_signals_do_not_reach_the_threads(check):
    source = """
        import signal
        async def main():
            loop = asyncio.get_running_loop()
            assert await loop.getaddrinfo("quick.test", 80)
            [thread] = [task for task in os.listdir("/proc/self/task") if task != str(os.getpid())]
            with open(f"/proc/self/task/{thread}/status") as file:
                blocked = next(line.split()[1] for line in file if line.startswith("SigBlk"))
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1):
                assert int(blocked, 16) & 1 << number - 1, (number, blocked)
        run(main())
    """
    check(source)


def test_errors_are_those_of_the_socket_module(check):
    source = """
        def error_of(call):
            try:
                call()
            except OSError as error:
                return type(error), error.args, error.errno, error.strerror, str(error)
        async def ask(host):
            loop = asyncio.get_running_loop()
            asker = loop.getaddrinfo(host, 80)
            try:
                await asker
            except OSError as error:
                return type(error), error.args, error.errno, error.strerror, str(error)
        async def main():
            for host in ("again.test", "system.test"):
                expected = error_of(lambda: socket.getaddrinfo(host, 80))
                assert expected and await ask(host) == expected, host
                print(expected[0].__name__, expected[2])
        run(main())
    """
    assert check(source) == "gaierror -3\nOSError 24\n"


def test_each_asker_has_an_exception_of_his_own(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            askers = [loop.getaddrinfo("again.test", 80) for _ in range(10)]
            errors = await asyncio.gather(*askers, return_exceptions=True)
            assert len(set(map(id, errors))) == 10
            assert all(type(error) is socket.gaierror for error in errors), errors
        run(main())
    """
    check(source)


@only_tulipa
def test_without_a_thread_it_is_an_error_and_the_next_time_is_another(check):
    source = """
        import resource
        async def main():
            loop = asyncio.get_running_loop()
            with open("/proc/self/statm") as file:
                size = int(file.read().split()[0]) * resource.getpagesize()
            soft, hard = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (size + 2**20, hard))  # too little for a thread's stack
            try:
                await loop.getaddrinfo(b"quick.test", 80)
            except RuntimeError as error:
                print(str(error)[:22])
            finally:
                resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            assert await loop.getaddrinfo(b"quick.test", 80)
            assert asked()[-1:] == ["quick.test"]
        run(main())
    """
    assert check(source) == "can't start new thread\n"


def test_names_in_other_scripts_are_encoded(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            assert await loop.getaddrinfo("b\\u00fccher.test", 80)
            assert await loop.getaddrinfo(b"plain.test", 80)
            assert asked() == ["xn--bcher-kva.test", "plain.test"], asked()
        run(main())
    """
    check(source)


@only_tulipa
def test_closing_the_loop_does_not_wait_for_a_lookup(check):
    source = """
        def wakers():
            count = 0
            for fd in os.listdir("/proc/self/fd"):
                try:
                    count += "eventfd" in os.readlink(f"/proc/self/fd/{fd}")
                except FileNotFoundError:
                    pass  # it was that of the listing
            return count
        loop = new_loop()
        assert wakers() == 1
        shut_gate()
        askers = [loop.create_task(loop.getaddrinfo(f"slow{n}.test", 80)) for n in range(40)]
        loop.run_until_complete(until(lambda: len(asked()) == 32))
        for asker in askers:
            asker.cancel()
        loop.run_until_complete(asyncio.wait(askers[:1]))
        loop.close()
        assert wakers() == 0, "kept for a thread that is at work"
        # Another loop has threads of its own, and those of the first end once they are let go.
        open_gate()
        other = new_loop()
        assert other.run_until_complete(other.getaddrinfo("quick.test", 80))
        other.run_until_complete(until(lambda: threads() == 0))
        other.close()
        assert len(asked()) == 33, "what waited for a thread was dropped"
    """
    check(source)


@only_tulipa
def test_a_loop_that_is_closed_under_its_askers_drops_them(check):
    source = """
        import gc
        shut_gate()
        loop = new_loop()
        loop.set_exception_handler(lambda loop, context: None)  # "Task was destroyed but it is pending"
        asker = loop.create_task(loop.getaddrinfo("slow.test", 80))
        loop.run_until_complete(until(asked))
        loop.close()
        open_gate()
        del asker, loop
        gc.collect()
        assert not [found for found in gc.get_objects() if isinstance(found, asyncio.BaseEventLoop)]
    """
    check(source)


def test_a_program_may_end_while_a_name_is_looked_up(check):
    source = """
        async def main():
            loop = asyncio.get_running_loop()
            shut_gate()
            asker = loop.create_task(loop.getaddrinfo("slow.test", 80))
            await until(asked)
            asker.cancel()
            loop.call_later(0.05, open_gate)  # asyncio waits for its threads
        run(main())
        print("ended")
    """
    assert check(source) == "ended\n"


def test_a_child_looks_names_up_while_its_parent_does(check):
    source = """
        import gc
        async def ask(host):
            return await asyncio.get_running_loop().getaddrinfo(host, 80)
        async def main():
            loop = asyncio.get_running_loop()
            shut_gate()
            asker = loop.create_task(ask("slow.test"))
            await until(asked)
            child = os.fork()
            if not child:
                try:
                    gc.collect()
                    os._exit(0 if run(ask("quick.test")) else 1)
                finally:
                    os._exit(99)
            status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status[1]) == 0, status
            open_gate()
            assert await asker
            assert sorted(asked()) == ["quick.test", "slow.test"]
        run(main())
    """
    check(source, flags=("-W", "ignore::DeprecationWarning"))


@only_tulipa
def test_a_lookup_is_work_left_to_do(check):
    source = """
        found = []
        async def ask():
            found.extend(await loop.getaddrinfo("quick.test", 80))
        loop = new_loop()
        task = loop.create_task(ask())
        loop.run_until_idle()
        assert found and task.done()
        loop.close()
    """
    check(source)


@pytest.mark.parametrize("slow", [True, False])
def test_debug_mode_logs_questions_and_slow_answers(check, slow):
    source = f"""
        import logging
        records = []
        class Keep(logging.Handler):
            def emit(self, record):
                if "address info" in record.getMessage():
                    records.append(record)
        logger = logging.getLogger("asyncio")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(Keep())
        logger.propagate = False
        async def main():
            loop = asyncio.get_running_loop()
            loop.slow_callback_duration = 0 if {slow} else 1000
            answer = await loop.getaddrinfo("quick.test", 80, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            question, report = records
            text = f"quick.test:80, type={{socket.SOCK_STREAM!r}}, flags={{socket.AI_PASSIVE!r}}"
            assert question.getMessage() == f"Get address info {{text}}", question.getMessage()
            assert question.levelno == logging.DEBUG
            start, end = report.getMessage().split(" took ")
            assert start == f"Getting address info {{text}}", start
            assert end.partition("ms: ")[2] == repr(answer), end
            assert report.levelno == (logging.INFO if {slow} else logging.DEBUG)
        run(main(), debug=True)
    """
    check(source)

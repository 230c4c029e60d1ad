"""What counts what a process holds can count while it changes."""

import threading

from tests.support.descriptors import threads_named


def test_threads_are_counted_while_they_end():
    done = threading.Event()

    def begin_and_end():
        while not done.is_set():
            threads = [threading.Thread(target=int) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    churn = threading.Thread(target=begin_and_end)
    churn.start()
    try:
        # About one count of 500 met a thread that ended after its file was open.
        assert {threads_named("of no thread") for _ in range(5000)} == {0}
    finally:
        done.set()
        churn.join()

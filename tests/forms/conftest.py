"""What holds for the tests of this room beside what holds for all."""

from __future__ import annotations

import threading

import pytest


@pytest.fixture(autouse=True)
def no_threads_left():
    """What a form starts, it ends. # R5"""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive(), f"left running: {thread}"

"""Makes a process of uvloop's tests ready: which loop `import uvloop` gives, in it and in its child programs."""

import importlib
import multiprocessing
import os

from loops import is_tulipa, let_tests_fill_the_backlog


def prepare(specification, driver):
    """Let `import uvloop` give the loop named by `specification`; the stand-in itself is in `uvloop_stand_in`."""
    os.environ["UVLOOP_STAND_IN"] = specification.partition(":")[0]
    if driver is not None:
        os.environ["TULIPA_DRIVER"] = driver
    # What the tests were written for; 3.14 starts each process anew, and `test_regr1` gives ten of them 5 seconds.
    multiprocessing.set_start_method("fork")
    importlib.import_module("uvloop._testbase")
    if is_tulipa(specification):
        let_tests_fill_the_backlog()

"""CPython's own asyncio tests pass on tulipa, but for the differences listed in `expected.py`.

One test here is one module of `test.test_asyncio`.
"""

import cpython
import harness
import pytest

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.skipif(
        not cpython.is_there(),
        reason="this Python came without test.test_asyncio (on Debian: libpython3.x-testsuite)",
    ),
]

SUITE = cpython.suite()


@pytest.fixture(scope="module")
def runner(needs_tulipa):
    return harness.Runner(SUITE, module_limit=100)


@pytest.mark.parametrize("module", SUITE.modules)
def test_asyncio_suite_of_this_python(module, check):
    check(module)

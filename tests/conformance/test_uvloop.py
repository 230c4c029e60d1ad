"""uvloop's own tests pass with tulipa in uvloop's place, but for the differences listed in `expected_uvloop.py`.

One test here is one module of uvloop's. Their source is downloaded once; without network these tests are skipped, save
in CI, where they fail.
"""

import os

import expected_uvloop
import harness
import pytest
import uvloop_suite

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def suite():
    try:
        archive = uvloop_suite.archive()
    except uvloop_suite.NotDownloadedError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(f"uvloop's tests are not in target/, and {error}")
    with uvloop_suite.unpacked(archive) as found:
        yield found


@pytest.fixture(scope="module")
def runner(needs_tulipa, suite):
    return harness.Runner(suite, module_limit=150)


@pytest.mark.parametrize("module", uvloop_suite.MODULES)
def test_uvloop_suite(module, check):
    check(module)


def test_no_module_of_the_suite_is_forgotten(suite):
    named = [*uvloop_suite.MODULES, *expected_uvloop.MODULES_LEFT_OUT]
    assert sorted(named) == sorted(uvloop_suite.modules_of(suite))

"""Programs in which some names are looked up slowly."""

import pytest

from tests.support.slow_names import check_with_slow_names, compile_library


@pytest.fixture(scope="session")
def slow_names_library(tmp_path_factory):
    return compile_library(tmp_path_factory.mktemp("slow_names"))


@pytest.fixture
def check(backend, slow_names_library, tmp_path):
    """Runs a program on the backend; what it printed. See `tests/support/slow_names.py` for what it finds."""
    return lambda source, **options: check_with_slow_names(backend, slow_names_library, tmp_path, source, **options)

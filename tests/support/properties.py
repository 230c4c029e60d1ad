"""What property tests on a loop share: settings, and contexts that are made once for all examples."""

from __future__ import annotations

import functools
import os
import ssl
import warnings

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.certificates import client_context, only, server_context

EXAMPLES = int(os.environ.get("TULIPA_FUZZ_SEEDS", 25))
property_test = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a hang takes its whole time limit, and shrinking it a hundred times that
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@functools.cache
def contexts(version: ssl.TLSVersion) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For the client and the server. Making keys is what takes time."""
    return only(client_context(), version), server_context()


# The first property test of a process makes hypothesis' own generator of random numbers. On CPython 3.14 it takes
# this object for a temporary one, by its count of references, and warns; warnings fail our tests.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    settings(max_examples=1, database=None)(given(st.none())(lambda _: None))()

"""The same random program gives the same observable trace on asyncio and on tulipa.

Each run tries the same programs. `TULIPA_DIFFERENTIAL=20000` tries so many of each kind, new ones in each run. A
program that fails is printed, cut down, as a command that shows both traces.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests import backends
from tests.differential import strategies
from tests.differential.compare import differences

EXAMPLES = int(os.environ.get("TULIPA_DIFFERENTIAL", 0))
KINDS = {
    "small": (strategies.SMALL_PROGRAMS, 300),
    "large": (strategies.LARGE_PROGRAMS, 150),
    "lasting": (strategies.LASTING_PROGRAMS, 150),
    "datagrams": (strategies.DATAGRAM_PROGRAMS, 120),
    "served": (strategies.SERVED_PROGRAMS, 100),
    "pipes": (strategies.PIPE_PROGRAMS, 100),
    "tls": (strategies.TLS_PROGRAMS, 60),
}


@pytest.mark.only_tulipa  # asyncio is the other side
@pytest.mark.timeout(60 + EXAMPLES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_random_program_does_the_same_as_on_asyncio(backend, kind, caplog):
    caplog.set_level("CRITICAL", "asyncio")
    programs, few = KINDS[kind]

    @settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(programs)
    def same(program):
        found = differences(program, backends.ASYNCIO.new_loop, backend.new_loop)
        assert not found, f"on {backend.name}:\n{program.script}\n{found}"

    same()

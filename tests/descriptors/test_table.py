"""The table of docs/reference/descriptors.md says what is so. # P5 # P6 # P9"""

from __future__ import annotations

import json

import pytest

from tests.descriptors import measure
from tests.descriptors.kinds import KINDS, Unavailable


def test_the_page_shows_what_is_recorded():
    record = measure.load()
    assert measure.PAGE.read_text() == measure.page(record), "run tests/descriptors/measure.py"
    assert list(record["results"]) == list(measure.LOOPS)
    assert json.dumps(record)  # plain data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.timeout(120)
def test_tulipa_does_what_is_recorded(kind):
    recorded = measure.load()["results"]["tulipa"][kind]
    found = {}
    for operation in KINDS[kind][1]:
        try:
            found[operation] = measure.measure("tulipa", kind, operation)
        except Unavailable as unavailable:
            pytest.skip(f"this machine has no {kind}: {unavailable}")
    assert found == recorded


def test_no_flag_of_a_description_changes_and_no_neighbour_is_harmed():
    """Whatever is recorded: these cells may not say anything else."""
    for operations in measure.load()["results"]["tulipa"].values():
        for operation, result in operations.items():
            if operation.startswith("flags") or operation == "kill -9":
                assert result in ("as before", "flags as before")
            if operation.startswith("neighbour"):
                assert result == "unharmed"
            assert not result.startswith(("hangs", "aborts", "dies", "leaves"))

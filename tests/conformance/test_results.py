"""The tables in docs/compatibility.md are those of the recorded results, the records those of today's lists."""

import pytest
import results

RECORDS = [kept for records in results.recorded().values() for kept in records]


def test_the_page_shows_what_is_recorded():
    page = results.PAGE.read_text()
    assert page.count(results.BEGIN) == page.count(results.END) == 1
    assert page == results.written(page, results.recorded()), "tests/conformance/results.py writes the tables anew"


@pytest.mark.parametrize("kept", RECORDS, ids=lambda kept: f"{kept['suite']}-{results.version_of(kept)}")
def test_what_is_recorded_is_what_is_listed(kept):
    assert kept["different"] == sorted(results.listed(kept)), "record it anew: `make compatibility PYTHON=...`"
    assert kept["failed"] == []

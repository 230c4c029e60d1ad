"""The tables in docs/compatibility.md are those of the recorded results, the records those of today's lists."""

import expected
import expected_uvloop
import pytest
import results

LISTS = {"cpython": expected.DIFFERENCES, "uvloop": expected_uvloop.DIFFERENCES}
RECORDS = [kept for records in results.recorded().values() for kept in records]


def test_the_page_shows_what_is_recorded():
    page = results.PAGE.read_text()
    assert page.count(results.BEGIN) == page.count(results.END) == 1
    assert page == results.written(page, results.recorded()), "`make compatibility` writes the tables anew"


@pytest.mark.parametrize("kept", RECORDS, ids=lambda kept: f"{kept['suite']}-{results.version_of(kept)}")
def test_what_is_recorded_is_what_is_listed(kept):
    version = tuple(map(int, kept["python"].split(".")))
    listed = {}
    for entry in LISTS[kept["suite"]]:
        if entry.concerns(version):
            listed.setdefault(entry.reason, []).extend(entry.tests)
    listed = {reason: sorted(tests) for reason, tests in listed.items()}
    assert kept["expected_differences"] == listed, "record it anew: `make compatibility PYTHON=...`"
    assert kept["failed"] == []

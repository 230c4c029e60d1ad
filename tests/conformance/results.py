"""The recorded results, one file for each suite and Python version, and the tables that docs/compatibility.md shows.

    python tests/conformance/cpython.py --record      # runs the suite and records it; the other suites likewise
    python tests/conformance/results.py               # writes the tables of all that is recorded

A record holds what a run found and nothing that depends on when or where it ran.
"""

import collections
import json
import pathlib
import sys

import expected
import expected_uvloop

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / "results"
PAGE = HERE.parents[1] / "docs" / "compatibility.md"

BEGIN = "<!-- tables of recorded results: written by tests/conformance/results.py -->"
END = "<!-- end of the tables -->"

#: In the order of the tables: the suites, and what the page calls them.
TITLES = {"cpython": "CPython's `test.test_asyncio`", "uvloop": "uvloop's tests"}
DIFFERENCES = {"cpython": expected.DIFFERENCES, "uvloop": expected_uvloop.DIFFERENCES}


def record(result):
    """Keep the summary of a whole run on tulipa."""
    kept = {name: result[name] for name in ("suite", "suite_version", "python", "passed", "skipped")}
    kept["failed"] = sorted([*result["failures"], *result["fails_on_asyncio_too"]])
    kept["different"] = sorted(result["expected_differences"])
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{result['suite']}-{version_of(result)}.json"
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
    return path


def version_of(result):
    """The version of Python as the tables name it."""
    return ".".join(result["python"].split(".")[:2])


def recorded():
    """All records by suite, in the order of the Python versions."""
    records = [json.loads(path.read_text()) for path in FOLDER.glob("*.json")]
    records.sort(key=lambda kept: [int(part) for part in kept["python"].split(".")])
    suites = [suite for suite in TITLES if any(kept["suite"] == suite for kept in records)]
    return {suite: [kept for kept in records if kept["suite"] == suite] for suite in suites}


def listed(kept):
    """The reason of each test that is listed for the suite and version of a record."""
    version = tuple(map(int, kept["python"].split(".")))
    entries = [entry for entry in DIFFERENCES[kept["suite"]] if entry.concerns(version)]
    return {test: entry.reason for entry in entries for test in entry.tests}


def tables(by_suite):
    """The Markdown of the tables."""
    lines = [
        "| suite | Python | tests | pass | skip themselves | differ, as listed | fail |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for suite, records in by_suite.items():
        for kept in records:
            title = TITLES[suite] + ("" if kept["suite_version"] == kept["python"] else f" {kept['suite_version']}")
            counts = (kept["passed"], kept["skipped"], len(kept["different"]), len(kept["failed"]))
            lines.append(row((title, kept["python"], sum(counts), *counts)))
    for suite, records in by_suite.items():
        lines += ["", *reasons(TITLES[suite], records)]
    return "\n".join(lines)


def reasons(title, records):
    """The table of the listed differences of one suite: the reason, and how many tests on which version."""
    counts = [collections.Counter(listed(kept).get(test) for test in kept["different"]) for kept in records]
    lines = [
        row((f"{title}: a test that differs", *map(version_of, records))),
        row(["---", *["---:"] * len(records)]),
    ]
    for reason in dict.fromkeys(entry.reason for entry in DIFFERENCES[records[0]["suite"]]):
        if any(count[reason] for count in counts):
            lines.append(row((reason, *(count[reason] or "–" for count in counts))))
    return lines


def row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def written(page, by_suite):
    """`page` with the tables of `by_suite` between the two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables(by_suite)}\n\n{END}{after}"


def main():
    PAGE.write_text(written(PAGE.read_text(), recorded()))


if __name__ == "__main__":
    sys.exit(main())

"""The recorded results, one file for each suite and Python version, and the tables that docs/compatibility.md shows.

    python tests/conformance/cpython.py --record      # runs the suite and records it; the other suites likewise
    python tests/conformance/results.py               # writes the tables of all that is recorded

A record holds what a run found and nothing that depends on when or where it ran.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / "results"
PAGE = HERE.parents[1] / "docs" / "compatibility.md"

BEGIN = "<!-- tables of recorded results: written by tests/conformance/results.py -->"
END = "<!-- end of the tables -->"

#: In the order of the tables: the suites, and what the page calls them.
SUITES = {"cpython": "CPython's `test.test_asyncio`", "uvloop": "uvloop's tests"}


def record(result):
    """Keep the summary of a whole run on tulipa."""
    by_reason = {}
    for test, reason in result["expected_differences"].items():
        by_reason.setdefault(reason, []).append(test)
    kept = {name: result[name] for name in ("suite", "suite_version", "python", "passed", "skipped")}
    kept["failed"] = sorted(result["failures"])
    kept["fails_on_asyncio_too"] = sorted(result["fails_on_asyncio_too"])
    kept["expected_differences"] = {reason: sorted(tests) for reason, tests in sorted(by_reason.items())}
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
    return {suite: [kept for kept in records if kept["suite"] == suite] for suite in SUITES}


def tables(by_suite):
    """The Markdown of the tables."""
    lines = [
        "| suite | Python | tests | pass | skip themselves | differ, as listed | fail |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for suite, records in by_suite.items():
        for kept in records:
            title = SUITES[suite] + ("" if kept["suite_version"] == kept["python"] else f" {kept['suite_version']}")
            different = sum(map(len, kept["expected_differences"].values()))
            failed = len(kept["failed"]) + len(kept["fails_on_asyncio_too"])
            counts = (kept["passed"], kept["skipped"], different, failed)
            lines.append(row((title, kept["python"], sum(counts), *counts)))
    for suite, records in by_suite.items():
        lines += ["", *differences(SUITES[suite], records)]
    return "\n".join(lines)


def differences(title, records):
    """The table of the listed differences of one suite: the reason, and how many tests on which version."""
    lines = [
        row((f"{title}: what a test that differs does", *map(version_of, records))),
        row(["---", *["---:"] * len(records)]),
    ]
    reasons = sorted({reason for kept in records for reason in kept["expected_differences"]})
    for reason in reasons:
        counts = [len(kept["expected_differences"].get(reason, ())) or "–" for kept in records]
        lines.append(row((reason, *counts)))
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

"""The command line that the suites here share: what can be chosen, and how a run is shown."""

import argparse
import collections
import json
import os
import pathlib
import sys
import time

import harness
import loops
import results


def summary(runner, reports, seconds):
    """The numbers of a run, as plain data for the tables in the documentation."""
    totals = collections.Counter()
    for report in reports:
        for outcome in report.outcomes.values():
            totals[outcome.kind] += 1
    suite = runner.suite
    return {
        "suite": suite.name,
        "suite_version": suite.version,
        "python": ".".join(map(str, sys.version_info[:3])),
        "loop": runner.loop,
        "loop_version": loops.version_of(runner.loop),
        "driver": runner.driver,
        "seconds": round(seconds, 1),
        "tests": totals.total(),
        "passed": totals["passed"],
        "skipped": totals["skipped"],
        "failed": sum(len(report.unexpected) for report in reports),
        "fails_on_asyncio_too": [outcome.test for report in reports for outcome in report.on_asyncio_too],
        "expected_differences": {test: suite.listed[test].reason for report in reports for test in report.differences},
        "stale": [test for report in reports for test in report.stale],
        "failures": {
            outcome.test: {"kind": outcome.kind, "detail": outcome.detail}
            for report in reports
            for outcome in report.unexpected
        },
        "modules": {
            report.module: {
                "passed": report.count("passed"),
                "skipped": report.count("skipped"),
                "failed": len(report.unexpected),
                "expected_differences": len(report.differences),
                "fails_on_asyncio_too": len(report.on_asyncio_too),
                "seconds": report.seconds,
            }
            for report in reports
        },
        "modules_left_out": suite.left_out,
    }


def print_report(report, verbose):
    mark = "ok  " if report.ok else "FAIL"
    print(
        f"{mark} {report.module:<26} {report.count('passed'):>4} passed {report.count('skipped'):>3} skipped"
        f" {len(report.unexpected):>3} failed {len(report.differences):>3} expected"
        f" {len(report.on_asyncio_too):>2} on asyncio too {report.seconds:>6.1f} s",
        flush=True,
    )
    for outcome in report.unexpected:
        print(f"     {outcome.kind}: {outcome.test}: {gist(outcome)}")
    for outcome in report.on_asyncio_too:
        print(f"     fails on asyncio too: {outcome.test}: {gist(outcome)}")
    for test, wrong in report.wrongly_listed():
        print(f"     {test}: {wrong}")
    if verbose:
        print(report.complaint())
        slow = sorted(report.outcomes.values(), key=lambda outcome: -outcome.seconds)[:5]
        print("     slowest: " + ", ".join(f"{outcome.test} {outcome.seconds:.1f} s" for outcome in slow))


def gist(outcome):
    """One line of the detail: the error, or where the test stood."""
    lines = [line.strip() for line in outcome.detail.splitlines() if line.strip()]
    if outcome.kind in ("hung", "crashed"):
        lines = [line for line in lines if line.startswith('File "')][:1]
    return lines[-1][:160] if lines else ""


def parser(description):
    """The arguments that the programs here share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--loop", default=loops.DEFAULT, help='"package.module:factory", or "asyncio" for no change')
    parser.add_argument("--driver", help="the driver of loops that a test does not choose one for (tulipa only)")
    parser.add_argument("--module", action="append", help="only this module (repeatable)")
    parser.add_argument("--test", action="append", help="only this test, as module.Class.test (repeatable)")
    parser.add_argument("--json", type=pathlib.Path, help="write the summary here")
    parser.add_argument("--record", action="store_true", help="keep the result for the tables (a whole run on tulipa)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--test-limit", type=float, default=harness.TEST_LIMIT, metavar="SECONDS")
    parser.add_argument("--module-limit", type=float, default=harness.MODULE_LIMIT, metavar="SECONDS")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks and the slowest tests")
    return parser


def parse(parser):
    """The arguments of this process, refused where they contradict each other."""
    options = parser.parse_args()
    whole = options.module is None and options.test is None and options.driver is None
    if options.record and not (whole and options.loop == loops.DEFAULT):
        parser.error("what is recorded is a whole run on tulipa, with its default driver")
    return options


def run(suite, options):
    """Run what `options` choose of `suite`, print it, and return the exit status."""
    runner = harness.Runner(suite, options.loop, options.driver, options.test_limit, options.module_limit)
    started = time.monotonic()
    reports = []
    if options.test:
        by_module = collections.defaultdict(list)
        for test in options.test:
            by_module[test.partition(".")[0]].append(test)
        running = (runner.report(module, only) for module, only in by_module.items())
    else:
        running = harness.run_all(runner, options.module or suite.modules, options.jobs)
    for report in running:
        print_report(report, options.verbose)
        reports.append(report)

    result = summary(runner, reports, time.monotonic() - started)
    print(
        f"{result['loop']} on Python {result['python']}: {result['passed']} passed, {result['skipped']} skipped,"
        f" {result['failed']} failed, {len(result['expected_differences'])} expected differences,"
        f" {len(result['fails_on_asyncio_too'])} fail on asyncio too; {result['seconds']} s"
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if options.record:
        print(f"recorded in {results.record(result)}")
    return 0 if all(report.ok for report in reports) else 1

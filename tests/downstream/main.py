"""Runs the suites of large projects on asyncio and on tulipa, unpatched: what passes on asyncio must pass on tulipa.

    make downstream                                    every project, with a build that is up to date
    make downstream ARGS=anyio                         one
    make downstream ARGS='aiohttp -- -k websocket'     part of one: pytest's own arguments follow the dashes

The release, its tests included, is downloaded by pip, pinned by version and hash, into target/downstream/; nothing of
it is kept in the tree. It runs once on each loop. A test that passed on asyncio and did not on tulipa is run again on
both: if asyncio fails it too, it is shown as unstable on asyncio, else it is a difference, and the command fails.
"""

import argparse
import dataclasses
import json
import platform
import signal
import sys

from comparison import candidates, compare
from explained import explained_for
from isolate import isolation
from projects import PROJECTS
from suite import LOOPS, Suite, SuiteError
from workplace import ROOT, prepared

#: How often a test that differs is run again on each loop.
AGAIN = 3


def run_again(suite, found, times):
    """Run the tests that differ again, and note in each how it went."""
    tests = [difference.test for difference in found if difference.kind != "missing"]
    for loop in LOOPS if tests else ():
        for _ in range(times):
            run = suite.run(loop, only=tests)
            for difference in found:
                outcome = run.outcomes.get(difference.test)
                if outcome is not None:
                    difference.again.setdefault(loop, []).append(outcome.passed)


def report(project, suite, options):
    """Run one project and print what came out; returns it as plain data, too."""
    version = suite.workplace.version
    print(f"{project.name} {version}: {project.exercises}", flush=True)
    runs = {}
    for loop in LOOPS:
        runs[loop] = run = suite.run(loop)
        print(
            f"  {loop:<8}{run.count('passed'):>6} passed {run.count('skipped', 'xfailed'):>6} skipped"
            f" {sum(outcome.failed for outcome in run.outcomes.values()):>5} failed {run.seconds:>8.1f} s",
            flush=True,
        )
    found = candidates(*runs.values())
    run_again(suite, found, options.again)
    # Part of a suite says nothing about entries that it leaves out.
    reasons = {} if suite.arguments else explained_for(project.name, sys.version_info)
    comparison = compare(*runs.values(), found, reasons)
    print_comparison(comparison, reasons)
    return comparison.ok, {
        "suite": project.name,
        "version": version,
        "python": platform.python_version(),
        "isolated": bool(suite.isolation),
        "loops": {
            loop: {
                "classes": run.loop_classes,
                "seconds": run.seconds,
                "tests": len(run.outcomes),
                "passed": run.count("passed"),
                "skipped": run.count("skipped", "xfailed"),
                "failed": sum(outcome.failed for outcome in run.outcomes.values()),
            }
            for loop, run in runs.items()
        },
        "passed_on_both": sum(
            outcome.passed and runs["tulipa"].outcomes[test].passed
            for test, outcome in runs["asyncio"].outcomes.items()
            if test in runs["tulipa"].outcomes
        ),
        **dataclasses.asdict(comparison),
        "reasons": {difference.test: reasons[difference.test] for difference in comparison.explained},
    }


def print_comparison(comparison, reasons):
    # Tests that fail for one cause say the same in the end; it is shown once.
    shown = set()
    for difference in comparison.differences:
        print(f"  DIFFERS  {difference.test}: {difference.kind} on tulipa; {how_again(difference)}")
        lines = difference.detail.partition("\n-- ")[0].rstrip().splitlines()
        if lines and lines[-1] not in shown:
            shown.add(lines[-1])
            print("".join(f"           {line}\n" for line in lines[-40:]), end="")
    for test in comparison.stale:
        print(f"  STALE    {test} is in explained.py, but passes or does not exist: take it off the list")
    for difference in comparison.unstable:
        print(f"  unstable on asyncio  {difference.test}: {how_again(difference)}")
    for difference in comparison.explained:
        print(f"  explained  {difference.test}: {reasons[difference.test]}")
    for test in comparison.passes_on_tulipa_only:
        print(f"  passes on tulipa only  {test}")
    print(
        f"  {len(comparison.differences)} differences, {len(comparison.explained)} explained,"
        f" {len(comparison.unstable)} unstable on asyncio, {len(comparison.fails_on_both)} fail on both,"
        f" {len(comparison.passes_on_tulipa_only)} pass on tulipa only",
        flush=True,
    )


def how_again(difference):
    return "run again it passed " + ", ".join(
        f"{sum(passed)} of {len(passed)} times on {loop}" for loop, passed in difference.again.items()
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="What follows -- goes to pytest.")
    parser.add_argument("projects", nargs="*", metavar="project", help=", ".join(PROJECTS))
    parser.add_argument("--limit", type=float, default=Suite.limit, help="seconds for one run of a suite (%(default)s)")
    parser.add_argument("--again", type=int, default=AGAIN, help="how often a test that differs is run again")
    parser.add_argument("--json", help="the file for the results, by default below target/downstream")
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:split])
    for name in options.projects:
        if name not in PROJECTS:
            parser.error(f"no project {name!r}: choose from {', '.join(PROJECTS)}")

    # A shell that starts this in the background has SIGINT ignored, and so would every test of it be run.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prefix = tuple(isolation())
    if not prefix:
        print("note: this kernel allows no network of its own; tests meet the machine's")
    results = []
    all_ok = True
    for name in options.projects or PROJECTS:
        workplace = prepared(PROJECTS[name])
        suite = Suite(workplace, isolation=prefix, limit=options.limit, arguments=tuple(arguments[split + 1 :]))
        try:
            ok, result = report(PROJECTS[name], suite, options)
        except SuiteError as error:
            sys.exit(f"{name}: {error}")
        all_ok = all_ok and ok
        results.append(result)
    path = options.json or ROOT / "target" / "downstream" / f"results-{platform.python_version()}.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    print(f"results: {path}")
    return 0 if all_ok else 1


if __name__ == "__main__":
    sys.exit(main())

"""Two runs of one suite, test by test: what passes on asyncio must pass on tulipa. Knows nothing of how they ran."""

import dataclasses


@dataclasses.dataclass
class Difference:
    """A test that passed on asyncio and did not on tulipa, with what became of it when it was run again."""

    test: str
    #: What became of it on tulipa; "missing" if tulipa's run does not have it.
    kind: str
    detail: str
    #: By loop, whether it passed, for each time that it was run again.
    again: dict[str, list[bool]] = dataclasses.field(default_factory=dict)

    @property
    def unstable_on_asyncio(self):
        """Whether asyncio too failed it once. Nothing that happens on tulipa makes a test unstable."""
        return not all(self.again.get("asyncio", ()))


@dataclasses.dataclass
class Comparison:
    """What a suite says of tulipa."""

    #: Passed on asyncio, not on tulipa, and nothing explains it.
    differences: list[Difference]
    #: The same, but asyncio failed it as well when it was run again.
    unstable: list[Difference]
    #: The same, with an entry in explained.py.
    explained: list[Difference]
    #: Failed on both.
    fails_on_both: list[str]
    #: Failed on asyncio, passed on tulipa.
    passes_on_tulipa_only: list[str]
    #: Entries of explained.py that passed on tulipa, or whose test does not exist.
    stale: list[str]

    @property
    def ok(self):
        return not self.differences and not self.stale


def candidates(asyncio, tulipa):
    """The tests that passed in the run `asyncio` and did not in the run `tulipa`."""
    found = []
    for test, outcome in asyncio.outcomes.items():
        if not outcome.passed:
            continue
        on_tulipa = tulipa.outcomes.get(test)
        if on_tulipa is None:
            found.append(Difference(test, "missing", "tulipa's run has no such test"))
        elif not on_tulipa.passed:
            found.append(Difference(test, on_tulipa.kind, on_tulipa.detail))
    return found


def compare(asyncio, tulipa, found, reasons):
    """Sort `found` (what `candidates` gave, run again since), and the rest of both runs."""
    unexplained = [difference for difference in found if difference.test not in reasons]
    common = [(asyncio.outcomes[test], tulipa.outcomes[test]) for test in asyncio.outcomes if test in tulipa.outcomes]
    return Comparison(
        differences=[difference for difference in unexplained if not difference.unstable_on_asyncio],
        unstable=[difference for difference in unexplained if difference.unstable_on_asyncio],
        explained=[difference for difference in found if difference.test in reasons],
        fails_on_both=[a.test for a, t in common if a.failed and t.failed],
        passes_on_tulipa_only=[a.test for a, t in common if a.failed and t.passed],
        stale=[
            test
            for test in reasons
            if (test not in asyncio.outcomes and test not in tulipa.outcomes)
            or (test in tulipa.outcomes and tulipa.outcomes[test].passed)
        ],
    )

"""The tests of other projects that pass on asyncio and are known not to pass on tulipa, each with the reason.

Only tests that look inside asyncio belong here: whatever asyncio promises is tulipa's to keep. The list is strict: an
entry that passes, or whose test does not exist, fails the run until it is taken off.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Explained:
    """One test, why it does not pass, and the versions of Python for which that holds."""

    test: str
    reason: str
    since: tuple[int, int] = (3, 11)
    before: tuple[int, int] = (4, 0)


EXPLAINED: dict[str, tuple[Explained, ...]] = {}


def explained_for(project, version):
    """The reasons by test, for a project on the Python `version`."""
    return {
        entry.test: entry.reason for entry in EXPLAINED.get(project, ()) if entry.since <= version[:2] < entry.before
    }

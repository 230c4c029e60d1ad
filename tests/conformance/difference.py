"""What an expected difference is: the form of the entries in `expected.py` and `expected_uvloop.py`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Tests that fail for one reason, on Python versions from `since` up to and without `before`.

    A test that is listed runs all the same and must fail: one that passes has to be taken off the list. `hangs` says
    that it would sit until the time limit; such a test is not run at all, and is the only kind that is not.
    `on_purpose` says that asyncio passes it, and that docs/compatibility.md lists why tulipa does not.
    """

    reason: str
    tests: tuple[str, ...]
    since: tuple[int, ...] = (3, 11)
    before: tuple[int, ...] = (4,)
    hangs: bool = False
    on_purpose: bool = False

    def concerns(self, version):
        return self.since <= version < self.before

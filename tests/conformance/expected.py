"""Where tulipa is known to differ from what `test.test_asyncio` checks, test by test, with the reason.

A test that is listed runs all the same and must fail: one that passes has to be taken off the list. `hangs=True` says
that it would sit until the time limit; such a test is not run at all, and is the only kind that is not.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Tests that fail for one reason, on Python versions from `since` up to and without `before`."""

    reason: str
    tests: tuple[str, ...]
    since: tuple[int, ...] = (3, 11)
    before: tuple[int, ...] = (4,)
    hangs: bool = False

    def concerns(self, version):
        return self.since <= version < self.before


#: Modules that never touch the loop under test, whichever it is: running them would only pad the numbers.
MODULES_LEFT_OUT = {
    "test_selector_events": "builds asyncio's own BaseSelectorEventLoop and its transports over mock sockets",
    "test_proactor_events": "builds asyncio's own BaseProactorEventLoop and its transports over mock sockets",
    "test_windows_events": "is about Windows completion ports; skips itself elsewhere",
    "test_windows_utils": "is about Windows pipes; skips itself elsewhere",
}

DIFFERENCES = ()


def differences_for(version):
    """Map each test name that concerns `version` (a tuple such as `sys.version_info[:3]`) to its `Difference`."""
    return {test: entry for entry in DIFFERENCES if entry.concerns(version) for test in entry.tests}

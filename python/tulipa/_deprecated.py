"""Names that are still there, with a warning where Python itself has given them up.

Lives here: what `tulipa.__getattr__` answers. Rule: the warning comes from the running
version on: 3.14 deprecates policies, 3.16 has none.
"""

from __future__ import annotations

import warnings

from ._compat import POLICIES_EXIST
from ._policy import EventLoopPolicy

__all__ = ["event_loop_policy"]


def event_loop_policy() -> type[EventLoopPolicy]:
    """Return `EventLoopPolicy`; raise AttributeError where Python has no policies any more."""
    if not POLICIES_EXIST:
        raise AttributeError(
            "tulipa.EventLoopPolicy went with Python's event loop policies in 3.16; "
            "use tulipa.run() or asyncio.Runner(loop_factory=tulipa.new_event_loop)"
        )
    warnings.warn(
        "'tulipa.EventLoopPolicy' is deprecated: Python is giving up event loop policies; "
        "use tulipa.run() or asyncio.Runner(loop_factory=tulipa.new_event_loop)",
        DeprecationWarning,
        stacklevel=3,
    )
    return EventLoopPolicy

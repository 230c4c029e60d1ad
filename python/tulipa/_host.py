"""What the mixins of the loop may expect of the loop they become part of.

Lives here: the type `Host`, for the type checkers only. Not here: any behaviour.
Rule: at run time `Host` is `object`, so the mixins add methods and nothing else, and
`class Loop(LoopCore, <mixins>, BaseEventLoop)` has one base with a layout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from tulipa._native import LoopCore

    class Host(LoopCore, asyncio.BaseEventLoop):
        """The native core over asyncio's base class, seen as one type."""

else:
    Host = object

__all__ = ["Host"]

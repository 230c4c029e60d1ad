"""tulipa: a drop-in asyncio event loop, written in Rust.

Lives here: the public names. Not here: any logic. Rule: what is not in `__all__`, or is
in a module with a leading underscore, may change without notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._commands import ChildTransport, connect_child, open_child
from ._event_source import EventSource
from ._files import File, open_file
from ._generators import spawn, wait_readable, wait_writable
from ._info import info
from ._input import Input
from ._install import install
from ._joining import JoinedTransport, join
from ._loop import Loop
from ._native import __version__
from ._output import Output
from ._pty import Pty, PtyTransport, open_pty
from ._run import current_loop, new_event_loop, run
from ._standard import stderr, stdin, stdio, stdout

if TYPE_CHECKING:
    from ._policy import EventLoopPolicy as EventLoopPolicy

__all__ = [
    "ChildTransport",
    "EventSource",
    "File",
    "Input",
    "JoinedTransport",
    "Loop",
    "Output",
    "Pty",
    "PtyTransport",
    "__version__",
    "connect_child",
    "current_loop",
    "info",
    "install",
    "join",
    "new_event_loop",
    "open_child",
    "open_file",
    "open_pty",
    "run",
    "spawn",
    "stderr",
    "stdin",
    "stdio",
    "stdout",
    "wait_readable",
    "wait_writable",
]


def __getattr__(name: str) -> object:
    if name == "EventLoopPolicy":
        from ._deprecated import event_loop_policy

        return event_loop_policy()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

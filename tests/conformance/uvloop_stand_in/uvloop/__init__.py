"""What `import uvloop` gives to uvloop's tests and to their child programs.

On tulipa that is the module with which `tulipa.install(everywhere=True)` stands in for uvloop, as in `tulipa run`; on
asyncio, the same names for asyncio's own. The base class of the tests comes from uvloop's source distribution.
"""

import asyncio
import os
import sys
from pathlib import Path

if os.environ["UVLOOP_STAND_IN"] == "tulipa":
    import tulipa

    # Puts its own module in the place of this one; the tests of asyncio's loop run on tulipa then, too.
    tulipa.install(everywhere=True)
else:

    class Loop(asyncio.SelectorEventLoop):
        """asyncio's loop in a module of another name: some tests spare asyncio's own what they ask of others."""

    EventLoopPolicy = asyncio.DefaultEventLoopPolicy
    EventLoopPolicy._loop_factory = Loop
    new_event_loop = Loop
    run = asyncio.run

sys.modules["uvloop"].__path__.append(str(Path(os.environ["UVLOOP_SOURCE"], "uvloop")))

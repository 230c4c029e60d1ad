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
    Loop = asyncio.SelectorEventLoop
    EventLoopPolicy = asyncio.DefaultEventLoopPolicy
    new_event_loop = asyncio.new_event_loop
    run = asyncio.run

sys.modules["uvloop"].__path__.append(str(Path(os.environ["UVLOOP_SOURCE"], "uvloop")))

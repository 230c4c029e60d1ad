"""How a loop is named on the command line: "package.module:factory", or "asyncio" for asyncio's own."""

import importlib
import sys

DEFAULT = "tulipa:new_event_loop"

#: Means "leave asyncio as it is".
STOCK = "asyncio"


def is_tulipa(specification):
    return specification.partition(":")[0].partition(".")[0] == "tulipa"


def version_of(specification):
    """The version of the package that makes the loop, or None."""
    if specification == STOCK:
        return sys.version.split()[0]
    try:
        package = importlib.import_module(specification.partition(":")[0].partition(".")[0])
    except ImportError:
        return None
    return getattr(package, "__version__", None)

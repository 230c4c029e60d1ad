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


def let_tests_fill_the_backlog():
    """Give TLS transports the method by which asyncio's own lets its tests queue what is not to be encrypted yet."""
    from tulipa._tls_transport import SSLTransport

    def append(self, data):
        self._ssl_protocol.pause_writing()
        self.write(data)

    SSLTransport._test__append_write_backlog = append

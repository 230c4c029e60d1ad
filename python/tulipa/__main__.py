"""`python -m tulipa`: the command line (see `tulipa.cli`)."""

import sys

from tulipa.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m herdwick` is the `herdwick` command."""

import sys

from herdwick.server.command import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m minidelta` is the command `minidelta`."""

import sys

from minidelta.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Runs the command line: `python -m fast3r` is `fast3r`."""

import sys

from fast3r.cli import main

if __name__ == "__main__":
    sys.exit(main())

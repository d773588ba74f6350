"""`python -m moreish` and the command `moreish`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from moreish.faces.cli import run

    sys.exit(run())


if __name__ == "__main__":
    main()

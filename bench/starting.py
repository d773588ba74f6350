"""How long `moreish --help` takes, beside a process that imports what it is drawn with."""

from __future__ import annotations

import sys
from pathlib import Path

from timing import Measured, clock, run_process

REPEATS = 11


def help_page(lists: dict[str, str]) -> Measured:
    """`moreish --help` and `python -c "import typer, rich"`, whole processes."""
    script = Path(sys.executable).with_name("moreish")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "moreish"]
    ours, reference = [], []
    for repeat in range(REPEATS + 1):  # the first one compiles what was changed
        one, _ = run_process([*command, "--help"])
        other, _ = run_process([sys.executable, "-c", "import typer, rich"])
        if repeat:
            ours.append(one)
            reference.append(other)
    return Measured([t.wall for t in ours], [t.wall for t in reference], clock=clock(ours))

"""Reading, examining and comparing lists of millions of lines. Nothing here may load torch."""

from __future__ import annotations

import sys
from functools import partial

from timing import MIB, REPEATS, Measured, Timing, clock, in_turn, measure, memory_peak, run_process

INSPECT = """
import sys
from moreish.faces.cli import run
code = run(["inspect", sys.argv[1], "--json"])
sys.exit("torch was loaded" if "torch" in sys.modules else code)
"""


def inspect(lists: dict[str, str]) -> dict[str, Measured]:
    """`moreish inspect`, the whole process."""
    (path,) = lists.values()
    ran = [run_process([sys.executable, "-c", INSPECT, path]) for _ in range(REPEATS)]
    timings = [timing for timing, _ in ran]
    return {
        "seconds": Measured([t.wall for t in timings], clock=clock(timings)),
        "memory": Measured([peak / MIB for _, peak in ran]),
    }


def read(lists: dict[str, str]) -> dict[str, Measured]:
    """`Corpus.read`, its split included: a fresh process for each repeat, the imports left out of the time."""
    ran = [measure("inspecting:read_once", lists, 200) for _ in range(REPEATS)]
    shared = clock([Timing(once["wall"], once["cpu"]) for once in ran])
    return {
        "seconds": Measured([once["wall"] for once in ran], clock=shared),
        "memory": Measured([once["memory"] / MIB for once in ran]),
    }


def read_once(lists: dict[str, str]) -> dict[str, float]:
    from moreish import Corpus  # here, for the processes that start others must hold little memory

    (path,) = lists.values()
    kept = []
    (timings,) = in_turn(lambda: kept.append(Corpus.read(path)), repeats=1)
    assert "torch" not in sys.modules
    return {"wall": timings[0].wall, "cpu": timings[0].cpu, "memory": memory_peak()}


def typos(lists: dict[str, str]) -> Measured:
    """Every pair of long lines one edit apart, for the unique lines of a list in memory."""
    from moreish import Corpus
    from moreish.text.typos import probable_typos

    (path,) = lists.values()
    lines = Corpus.read(path, split="none").unique_train
    (timings,) = in_turn(partial(probable_typos, lines, limit=1 << 16))
    found = probable_typos(lines, limit=1)
    note = f"{len(lines):,} unique lines, {found.long:,} of 8 or more symbols, {found.count:,} pairs one edit apart"
    return Measured([t.wall for t in timings], note=note, clock=clock(timings))

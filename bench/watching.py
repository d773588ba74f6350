"""Learning with the vitals read at the default interval, and written down, beside the same steps unwatched.

Both sides are the same training, batches and dropout included, in one process and in turn, step by step. What is timed
are the steps themselves, with none of the evaluations and checkpoints that `moreish train` makes on its way: these
would make the share of the readings look smaller. Each block of 100 steps has one reading, its file's line with it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from moreish import Corpus, make_recipe
from moreish.learning.steps import begin
from moreish.learning.training import Training
from moreish.learning.watching import is_read, watched
from moreish.runs.vitals import line_of
from moreish.storage import append_line
from timing import REPEATS, Measured, Timing, clock


def mlp(lists: dict[str, str]) -> Measured:
    """The catalog's MLP."""
    return _measured(lists["names"], "mlp")


def mlp_bn(lists: dict[str, str]) -> Measured:
    """The lectures' MLP with BatchNorm, whose steps are the shortest."""
    return _measured(lists["names"], "mlp-bn")


def gru(lists: dict[str, str]) -> Measured:
    """The catalog's GRU, which learns by hand and is read by autograd, symbol by symbol."""
    return _measured(lists["names"], "gru")


def transformer(lists: dict[str, str]) -> Measured:
    """The catalog's transformer: 35 sites, 51 parameters."""
    return _measured(lists["names"], "transformer")


def _measured(path: str, model: str) -> Measured:
    corpus = Corpus.read(path)
    recipe = make_recipe(corpus, model)
    sides = [begin(each, corpus.train, corpus.alphabet) for each in (recipe, replace(recipe, watch_every=0))]
    with TemporaryDirectory() as where:
        file = Path(where) / "vitals.jsonl"
        _block(sides, recipe.watch_every, file)  # the first step's reading, and whatever else comes once
        blocks = [_block(sides, recipe.watch_every, file) for _ in range(REPEATS + 2)]
    ours, theirs = zip(*blocks)
    note = f"batches of {recipe.batch} lines, a reading every {recipe.watch_every} steps, {recipe.steps:,} in all"
    return Measured([t.wall for t in ours], [t.wall for t in theirs], note, clock=clock(list(ours)))


def _block(sides: list[Training], steps: int, file: Path) -> list[Timing]:
    """Milliseconds a step of each side, which take turns step by step: the machine's moods last longer than that."""
    walls, cpus = [0.0] * len(sides), [0.0] * len(sides)
    for _ in range(steps):
        for i, side in enumerate(sides):
            began, worked = time.perf_counter(), time.process_time()
            _advance(side, file)
            walls[i] += time.perf_counter() - began
            cpus[i] += time.process_time() - worked
    return [Timing(1e3 * wall / steps, 1e3 * cpu / steps) for wall, cpu in zip(walls, cpus)]


def _advance(training: Training, file: Path) -> None:
    if is_read(training.recipe, training.step + 1):
        _, vitals = watched(training)
        append_line(file, line_of(vitals))
    else:
        training.advance()

"""Learning with the vitals read at the default interval, and written down, beside the same steps unwatched.

Both sides are the same training, steps, batches and dropout included, in one process and in turn. What is timed is the
steps themselves, with none of the evaluations and checkpoints that `moreish train` makes on its way: these would make
the share of the readings look smaller. Each block of 100 steps has one reading, its file's line with it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from moreish import Corpus, make_recipe
from moreish.learning.steps import begin
from moreish.learning.training import Training
from moreish.learning.watching import is_read, watched
from moreish.runs.vitals import line_of
from moreish.storage import append_line
from timing import REPEATS, Measured, clock, in_turn


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
    steps = recipe.watch_every
    with TemporaryDirectory() as where:
        file = Path(where) / "vitals.jsonl"
        works = [partial(_advance, side, steps, file) for side in sides]
        for work in works:
            work()  # the first step's reading, and whatever else comes once
        watched_side, unwatched = in_turn(*works, repeats=REPEATS + 2)
    note = (
        f"batches of {recipe.batch} lines; a reading every {steps} steps, and {recipe.steps:,} steps in all by default"
    )
    return Measured(
        [1e3 * t.wall / steps for t in watched_side], [1e3 * t.wall / steps for t in unwatched], note,
        clock=clock(watched_side),
    )  # fmt: skip


def _advance(training: Training, steps: int, file: Path) -> None:
    for _ in range(steps):
        if is_read(training.recipe, training.step + 1):
            _, vitals = watched(training)
            append_line(file, line_of(vitals))
        else:
            training.advance()

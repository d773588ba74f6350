"""Runs of one list and one split, compared on the lines that none of them learnt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from moreish.errors import RunError, UsageError
from moreish.learning.intervals import Bootstrap, Loss
from moreish.learning.recipe import Trained
from moreish.learning.steps import fit_lines
from moreish.runs.advice import advise
from moreish.runs.directory import count_looks, load, record_look
from moreish.runs.standing import (
    Comparison,
    HeldOut,
    Standing,
    check_holds_out,
    few_samples,
    held_out,
    held_out_in_turn,
    note_on,
    turns,
)
from moreish.text.alphabet import printable
from moreish.text.corpus import Corpus

PARTS = ("dev", "test")


def compare(runs: Sequence[str | Path], part: str = "dev", *, device: str = "cpu", seed: int = 0) -> Comparison:
    """Compare runs of the same list and split on a part of it; differences are from the first run.

    A look at the test part is written down in every run. Of a list too short to hold lines out, the runs' recipes learn
    from folds in turn.

    Args:
        part: `dev` or `test`.
        seed: decides the draws behind the intervals.

    Raises:
        UsageError: fewer than two runs, one of them twice, no such part, or lists or splits that differ.
        RunError: one of them is no run, or kept no list.
        CheckpointError
    """
    if isinstance(runs, (str, os.PathLike)) or len(runs) < 2:
        raise UsageError("compare takes two runs or more. For one, use moreish evaluate RUN.")
    if part not in PARTS:
        raise UsageError(f"runs cannot be compared on {part!r:.40}. Use one of: {', '.join(PARTS)}.")
    there = [os.path.realpath(run) for run in runs]
    for i, path in enumerate(there):
        if path in there[:i]:
            raise UsageError(f"{printable(str(runs[i]))} is given twice. Give each run once.")
    loaded = [load(run, device) for run in runs]
    for trained in loaded:
        check_alike(loaded[0], trained)
    of = next((trained.corpus for trained in loaded if trained.corpus.elsewhere), loaded[0].corpus)  # its note is said
    standings = Standings(of, part, seed)
    for trained in loaded:
        row = Standing(
            model=trained.recipe.model, run=printable(trained.run), settings=trained.recipe.settings,
            parameters=trained.parameters, steps=trained.recipe.steps, counted=trained.model.fitted_by_counting,
            samples=few_samples(trained, seed), note=note_on(trained.recipe.model),
        )  # fmt: skip
        standings.add(row, _measured(trained, part, device))
    looks = [record_look(run, part) if part == "test" else count_looks(run) for run in runs]
    standings.rows = [replace(row, test_looks=count) for row, count in zip(standings.rows, looks)]
    return standings.comparison(reference=0)


class Standings:
    """Takes models in one by one, and says at the end where each of them stands."""

    def __init__(self, corpus: Corpus, part: str = "dev", seed: int = 0):
        self.corpus, self.part, self.seed = corpus, part, seed
        self.rows: list[Standing] = []
        self.losses: list[Loss | None] = []
        self.first: HeldOut | None = None
        self._bootstrap: Bootstrap | None = None

    def add(self, row: Standing, held: HeldOut | None = None) -> Standing:
        """Take a row in; returns it with its loss. Without `held` it is one that failed."""
        if held is not None:
            if self._bootstrap is None or self.first is None:
                self.first, self._bootstrap = held, Bootstrap(held.sizes, seed=self.seed)
            assert np.array_equal(self.first.sizes, held.sizes), "models measured on different lines"
            loss = self._bootstrap.loss(held.nats)
            self.losses.append(loss)
            row = row.with_loss(loss.interval(), held)
        else:
            self.losses.append(None)
        self.rows.append(row)
        return row

    def comparison(self, reference: int) -> Comparison:
        """All rows, with their differences from one of them, or from the first with a loss where that one has none."""
        if self.losses[reference] is None:
            reference = next((i for i, loss in enumerate(self.losses) if loss is not None), reference)
        base, rows = self.losses[reference], self.rows
        if base is not None:
            rows = [
                row if loss is None else row.with_difference(loss.minus(base)) for row, loss in zip(rows, self.losses)
            ]
        corpus, first = self.corpus, self.first
        return Comparison(
            list=corpus.name, split=corpus.split, split_seed=corpus.split_seed,
            part="kfold" if first and first.folds else self.part, lines=len(first.sizes) if first else 0,
            symbols=int(first.sizes.sum()) if first else 0, folds=first.folds if first else 0, leaks=corpus.leaks,
            note=corpus.note, reference="" if base is None else rows[reference].label, rows=rows,
            advice=advise(rows, self.losses),
        )  # fmt: skip


def check_alike(first: Trained, other: Trained) -> None:
    """Refuse runs whose losses are not on the same lines and symbols.

    Raises:
        UsageError: says what differs from what.
        RunError: a run kept no list.
    """
    one, two = printable(first.run), printable(other.run)
    if other.hashes is not None:
        raise RunError(f"{two} kept only hashes of its list, so it cannot be compared. Train again with --keep-list.")
    a, b = first.corpus, other.corpus
    check_holds_out(b)
    if a.fingerprint != b.fingerprint:
        raise UsageError(
            f"{two} learnt another list than {one}: {_listed(b)}, not {_listed(a)}. Compare runs of one list."
        )
    for what, flag, mine, theirs in (
        ("split", "--split", a.split, b.split),
        ("split seed", "--split-seed", a.split_seed, b.split_seed),
        ("kind of symbol", "--symbols", a.alphabet.kind, b.alphabet.kind),
    ):
        if mine != theirs:
            raise UsageError(f"{two} has the {what} {theirs}, {one} has {mine}. Train one again with {flag} {mine}.")
    if a.part("train") != b.part("train"):
        raise UsageError(f"{two} and {one} split their list differently. Train one of them again.")


def _listed(corpus: Corpus) -> str:
    return f"{printable(corpus.name)} (fingerprint {corpus.fingerprint[:8]})"


def _measured(trained: Trained, part: str, device: str) -> HeldOut:
    if not trained.corpus.kfold:
        return held_out(trained, part)
    if part != "dev":
        trained.corpus.part(part)  # says that there is none
    models = (
        (fit_lines(trained.recipe, learnt, trained.alphabet, device), learnt, out)
        for learnt, out in turns(trained.corpus)
    )
    return held_out_in_turn(models, trained.alphabet)

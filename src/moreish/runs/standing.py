"""Where models stand on one split: their losses on the same lines, with intervals, and what stands beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from moreish.errors import MoreishError, UsageError
from moreish.generating.sampler import default_max_length, draw_lines
from moreish.learning.evaluate import Evaluation, as_new, copy_mass, evaluate, line_nats
from moreish.learning.intervals import Interval
from moreish.learning.recipe import Trained
from moreish.models.model import LanguageModel
from moreish.text.alphabet import Alphabet, printable
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines

SAMPLES = 5
FOLDS = 5
"""Folds of a list too short to hold lines out for good: few enough for a network to learn from each."""

HOLD_THE_LIST = ("mixture",)
HOLDS_THE_LIST = "its table of whole prefixes holds the list as a trie, so it knows which lines are no news"


@dataclass(frozen=True)
class Standing:
    """One model among others. Losses are nats per symbol, the end of the line included.

    `low` to `high` is the loss's 95 % interval, for the lines that happened to be held out; `difference` with
    `difference_low` and `difference_high` is how much larger the loss is than the reference's on the same lines, so
    less than 0 is better. `seconds` is what learning took, choosing and planning included and measuring not; None for a
    run, which does not say. `steps` is how many were taken and `full_steps` how many the model's recipe would take.
    Where `failed` says why there is no loss, all figures are None.
    """

    model: str
    run: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    nats_per_symbol: float | None = None
    low: float | None = None
    high: float | None = None
    bits_per_symbol: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    copy_mass: float | None = None
    nats_given_new: float | None = None
    parameters: int | None = None
    seconds: float | None = None
    steps: int | None = None
    full_steps: int | None = None
    counted: bool = False
    """Whether it was fitted by counting, in one step."""
    samples: list[str] = field(default_factory=list)
    test_looks: int | None = None
    """How often the test part of a run has been looked at, this time included."""
    note: str = ""
    failed: str = ""

    @property
    def label(self) -> str:
        """The model, or the run and its model, as people call it."""
        shown = f"{self.model} of order {self.settings['order']}" if "order" in self.settings else self.model
        return f"{self.run} ({shown})" if self.run else shown

    def with_loss(self, loss: Interval, held: HeldOut) -> Standing:
        """The same, measured."""
        return replace(
            self, nats_per_symbol=loss.value, low=loss.low, high=loss.high, bits_per_symbol=loss.value / math.log(2),
            copy_mass=held.copy_mass, nats_given_new=held.nats_given_new,
        )  # fmt: skip

    def with_difference(self, apart: Interval) -> Standing:
        """The same, and how much larger its loss is than the reference's."""
        return replace(self, difference=apart.value, difference_low=apart.low, difference_high=apart.high)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which knows no infinity: null stands for it."""
        return {key: _finite(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Comparison:
    """Models compared on a part of one split.

    `advice` is sentences made from the figures. `reference` is what the rows' differences are from, by its label.
    """

    list: str
    split: str
    split_seed: int
    part: str
    lines: int
    symbols: int
    folds: int
    leaks: bool
    note: str
    reference: str
    rows: list[Standing]
    advice: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {key: _finite(value) for key, value in vars(self).items() if key != "rows"}
        return {**plain, "runs": [row.to_dict() for row in self.rows]}


@dataclass(frozen=True)
class HeldOut:
    """What a model makes of the held-out lines: nats float64 [lines] and symbols int64 [lines] of each."""

    nats: np.ndarray
    sizes: np.ndarray
    copy_mass: float | None
    nats_given_new: float | None
    folds: int = 0


def held_out(trained: Trained, part: str = "dev", evaluation: Evaluation | None = None) -> HeldOut:
    """Measure on a part of a split. `evaluation` is what was measured of it already.

    Raises:
        UsageError: the split has no such part.
        MoreishError: the run kept no lines.
    """
    evaluation = evaluation or evaluate(trained, part)
    nats, sizes = line_nats(trained.model, trained.alphabet, trained.corpus.part(part))
    _check_numbers(nats, trained.run or trained.recipe.model)
    return HeldOut(nats, sizes, evaluation.copy_mass, evaluation.nats_given_new)


def held_out_in_turn(found: Iterable[tuple[LanguageModel[Any], Lines, Lines]], alphabet: Alphabet) -> HeldOut:
    """Measure over folds: a model, the lines it learnt and those held out, of each."""
    nats, sizes, new, masses = [], [], [], []
    for model, learnt, out in found:
        fold_nats, fold_sizes = line_nats(model, alphabet, out)
        masses.append(copy_mass(model, alphabet, learnt))
        nats.append(fold_nats)
        sizes.append(fold_sizes)
        new.append(as_new(fold_nats, masses[-1]))
        _check_numbers(fold_nats, str(model.__class__.__name__))
    symbols = np.concatenate(sizes)
    left = float(np.concatenate(new).sum() / symbols.sum())
    return HeldOut(np.concatenate(nats), symbols, float(np.mean(masses)), left, len(masses))


def turns(corpus: Corpus) -> list[tuple[Lines, Lines]]:
    """(learn from, hold out) of a short list's folds: every line is held out once, and by every model in the same."""
    count = len(corpus.train)
    fold = np.arange(count) % min(FOLDS, count)  # train is in shuffled order already
    out = [fold == i for i in range(min(FOLDS, count))]
    return [(corpus.train.take(np.flatnonzero(~held)), corpus.train.take(np.flatnonzero(held))) for held in out]


def check_holds_out(corpus: Corpus) -> None:
    """Refuse a list of which nothing is held out: on the lines it learnt, the largest model always looks best.

    Raises:
        UsageError, MoreishError
    """
    if corpus.split == "none":
        raise UsageError(
            f"--split none holds nothing of {corpus.name} out, and on the lines they learnt models cannot be compared. "
            f"Use --split unique."
        )
    if corpus.kfold and len(corpus.train) < 2:
        raise MoreishError(
            f"{corpus.name} has one unique line, so there is nothing to hold out and to compare models on. Add lines."
        )


def _check_numbers(nats: np.ndarray, what: str) -> None:
    if np.isnan(nats).any():
        raise MoreishError(f"{printable(what)} gives {int(np.isnan(nats).sum()):,} lines a loss that is no number.")


def note_on(model: str) -> str:
    """What must be said beside a model's figures; empty where there is nothing to say."""
    return HOLDS_THE_LIST if model in HOLD_THE_LIST else ""


def few_samples(trained: Trained, seed: int = 0) -> list[str]:
    """A few lines, as the model draws them."""
    drawn = next(
        draw_lines(
            trained.model, trained.alphabet, max_length=default_max_length(trained.longest), seed=seed, at_once=SAMPLES
        )
    )
    return [text for text in drawn.texts if text]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

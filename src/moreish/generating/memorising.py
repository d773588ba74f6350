"""Does a model make lines, or remember them? Its lines against the training lines, beside two others' of which we know.

Three kinds of line are held against the lines that were learnt: those drawn, those that a count model draws which
learnt the same lines, and held-out lines, which nobody learnt. Dev and test are left out of what they are held
against: a line of dev is drawn by a model that generalises, and remembered by none.

Like with like: where the split is by unique line no held-out line is among the training lines, so their `rate` is 1 by
the split and no aim; it is the count model's that a rate compares with. `farther` is of the new ones alone, and
compares with all. And `preference` compares the two parts of the list: a random split gives a model no reason to draw a
training line more often than a held-out one, other than that it has seen it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from moreish.errors import MoreishError
from moreish.generating.constraints import Conditions
from moreish.generating.draws import PLAIN, How
from moreish.generating.novelty import Novelty, wilson
from moreish.generating.sources import begin_with, compile_for, meets, source_of
from moreish.learning.fit import fit
from moreish.learning.recipe import Trained
from moreish.models.ngram import NGram
from moreish.text.edits import NONE
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

ORDER = 5
"""Of the count model: Kneser-Ney, as `moreish train --model ngram` has it."""
COMPARED = 2_000
"""Lines of each kind that are compared, at most: a share of so many is known to two percent."""
PAIRS = 100_000_000
"""Fewer are compared where so many pairs of lines would have to be measured: a second or two of measuring."""
MOST_COUNTED = 1_000_000
"""With more training lines no count model is fitted on the way: it would take many seconds."""


@dataclass(frozen=True)
class TrainNovelty:
    """How new some lines are to the training lines. Intervals are of 95 % (Wilson 1927).

    `rate`, from `low` to `high`: those of the `lines` that are not among the training lines. `farther`, from
    `farther_low` to `farther_high`: of these new ones those more than the distance from every training line; None where
    none is new. `preference`: how many times as often a training line is among them as a line of dev, lines drawn again
    not counted again (else a few likely short lines that happen to be in one part would decide); 1: nothing is
    remembered. Its interval is that of the share of train in the copies of both.
    None is without end, or unknown: for held-out lines, splits not by unique line, and where neither was drawn.
    """

    lines: int
    rate: float
    low: float
    high: float
    farther: float | None
    farther_low: float | None
    farther_high: float | None
    preference: float | None
    preference_low: float | None
    preference_high: float | None


@dataclass(frozen=True)
class AgainstTrain:
    """Lines held against the training lines alone: those drawn, a count model's, and held-out ones (dev).

    `drawn` are the first 2,000 drawn, kept or not (fewer where a distance of 2 or more is asked of a list of over
    50,000 lines); None where nothing was. `count_model` is a Kneser-Ney 5-gram of the training lines, drawn from under
    the same conditions and settings; None where the model is itself that, there are over a million training lines, or
    the temperature is 0. `held_out` are the lines of dev that meet the conditions; None where there are none.
    """

    distance: int
    train_lines: int
    unique_split: bool
    """The split is by unique line, so that no held-out line can be among the training lines."""
    drawn: TrainNovelty | None
    count_model: TrainNovelty | None
    held_out: TrainNovelty | None


@dataclass(frozen=True)
class Drawing:
    """How lines were drawn."""

    conditions: Conditions = field(default_factory=Conditions)
    how: How = PLAIN
    max_length: int = 1_000


def against_train(trained: Trained, texts: list[str], distance: int, how: Drawing) -> AgainstTrain:
    """Compare `texts`, drawn from the run, with the training lines, beside the count model's and the held-out lines.

    The count model is fitted at the first call and kept; it, its lines and the held-out ones are compared again only
    for other settings.
    """
    assert trained.hashes is None, "a run that kept its list"
    train = trained.corpus.train
    known = trained.once("against train", lambda: _Known(trained))
    count = COMPARED if distance < 2 else min(COMPARED, max(PAIRS // max(len(train), 1), 1))
    count_model, held_out = trained.once(
        "others against train",
        lambda: (
            known.novelty(_counted(trained, count, how), distance, how),
            known.novelty(_held_out(trained, count, how), distance, None),
        ),
        settings=(distance, how),
    )
    drawn = known.novelty(texts[:count], distance, how)
    return AgainstTrain(distance, len(train), known.unique_split, drawn, count_model, held_out)


class _Known:
    """The parts of a list that lines are held against."""

    def __init__(self, trained: Trained):
        self._trained, corpus = trained, trained.corpus
        self.unique_split = corpus.split == "unique" and not corpus.elsewhere
        self._novelty = Novelty(corpus.train)
        self._train, self._dev = corpus.train, corpus.dev

    def novelty(self, texts: list[str], distance: int, drawn: Drawing | None) -> TrainNovelty | None:
        """None without texts. `drawn`: how they were drawn; None: they are no model's."""
        if not texts:
            return None
        found = self._novelty.nearest(texts, distance).distance
        new, far = int((found != 0).sum()), int((found == NONE).sum())
        farther = (far / new, *wilson(far, new)) if new else (None, None, None)
        of_train = len({text for text, apart in zip(texts, found.tolist()) if apart == 0})
        preference = self._preference(texts, of_train, drawn) if drawn is not None else (None,) * 3
        return TrainNovelty(len(texts), new / len(texts), *wilson(new, len(texts)), *farther, *preference)

    def _preference(self, texts: list[str], of_train: int, drawn: Drawing) -> tuple[float | None, ...]:
        sizes = [int(_meeting(self._trained, part, drawn).sum()) for part in (self._train, self._dev)]
        of_dev = len(np.intersect1d(line_hashes(Lines.of(texts)), line_hashes(self._dev)))
        if not self.unique_split or not of_train + of_dev or not all(sizes):
            return None, None, None
        shares = (of_train / (of_train + of_dev), *wilson(of_train, of_train + of_dev))
        return tuple(None if share == 1 else share / (1 - share) * sizes[1] / sizes[0] for share in shares)


def _meeting(trained: Trained, lines: Lines, drawn: Drawing) -> np.ndarray:
    """Which lines meet the conditions that others were drawn under: bool [lines]."""
    if drawn.conditions.only_prefix:
        return begin_with(drawn.conditions.prefix, trained.alphabet, lines)
    return meets(compile_for(trained, drawn.conditions, drawn.max_length), trained.alphabet, lines)


def _counted(trained: Trained, count: int, drawn: Drawing) -> list[str]:
    """Lines of the count model, none where there is to be none."""
    model, corpus = trained.model, trained.corpus
    itself = isinstance(model, NGram) and (model.config.order, model.config.smoothing) == (ORDER, "kneser-ney")
    if itself or not len(corpus.train) or len(corpus.train) > MOST_COUNTED or drawn.how[0] == 0:
        return []
    counted = trained.once("count model", lambda: fit(corpus, "ngram", order=ORDER, smoothing="kneser-ney"))
    try:
        batches = source_of(counted, drawn.conditions, drawn.how, drawn.max_length).batches(0, count)
        texts = [text for batch in islice(batches, 1) for text in batch.texts]
    except MoreishError:  # conditions that this model cannot meet
        return []
    return [text for text in texts if text]


def _held_out(trained: Trained, count: int, drawn: Drawing) -> list[str]:
    dev = trained.corpus.dev
    return dev.take(np.flatnonzero(_meeting(trained, dev, drawn))[:count]).texts()

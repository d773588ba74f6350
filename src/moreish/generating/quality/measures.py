"""The rows of the table, measured: samples, real unseen lines, and the training lines that both are held against."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float

from moreish.generating.novelty import Novelty, wilson
from moreish.generating.quality.coded import Coded, shared_alphabet
from moreish.generating.quality.distances import gram_distance, length_distance, predicted, repeated
from moreish.generating.quality.nearest import affordable, edits_to_nearest
from moreish.generating.quality.rows import Row, row
from moreish.generating.quality.two_sample import told_apart
from moreish.generating.sampler import default_max_length
from moreish.learning.evaluate import line_nats
from moreish.learning.intervals import Bootstrap, Interval, Loss
from moreish.learning.recipe import Trained
from moreish.models.counts import count_grams
from moreish.models.ngram import NGram, NGramConfig
from moreish.randomness import shuffled
from moreish.text.alphabet import Alphabet
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

MOST_SETS = 20
"""Sets of training lines that a distance is taken to: unless samples or held-out lines are few there are eight."""
SMALLEST_SET = 20
"""Sets of fewer lines have no distance worth telling, nor is a loss taken over fewer."""
FEWEST_TOLD_APART = 100
"""A classifier learns nothing from fewer lines."""


class Measures:
    """The samples, the real unseen lines, and the training lines that both are held against."""

    def __init__(self, trained: Trained, drawn: Lines, real: Lines | None, seed: int):
        self.trained, self.drawn, self.real, self.seed = trained, drawn, real, seed
        self.train = trained.corpus.train
        known = line_hashes(self.train)
        self.is_new = ~np.isin(line_hashes(drawn), known)
        self.real_is_new = np.zeros(0, bool) if real is None else ~np.isin(line_hashes(real), known)
        self.size = min(len(drawn), len(self.train) // 4 if real is None else len(real))
        self.unknown = "" if real is not None else _no_real_lines(trained)
        self.fitted = min(len(drawn), len(self.train))
        wanted = min(len(self.train), max(MOST_SETS * self.size, self.fitted))
        if trained.corpus.split == "none":  # as they stand in the file, which may be sorted; the others are shuffled
            some = self.train.take(shuffled(len(self.train), seed)[:wanted].astype(np.int64))
        else:
            some = self.train[:wanted]
        sets = (some, drawn) if real is None else (some, drawn, real)
        self.alphabet = shared_alphabet(trained.alphabet.kind, *sets)
        self.coded = Coded.of(drawn, self.alphabet)
        self.coded_train = Coded.of(some, self.alphabet)
        self.coded_real = None if real is None else Coded.of(real, self.alphabet)

    @property
    def by_split(self) -> bool:
        """Whether no held-out line can be a training line, because the split says so."""
        return self.trained.corpus.split == "unique"

    def rows(self, nats: Float[np.ndarray, " samples"], cut: int) -> tuple[Row, ...]:
        """The whole table.

        Args:
            nats: what the model spends on each sample.
            cut: samples that had not ended at the default maximum length.
        """
        return (
            *self.novelty(), self.distinct(), self.cut(cut), self.surprise(nats), *self.distances(),
            *self.nearness(), *self.counting(), self.told_apart(),
        )  # fmt: skip

    def cut(self, count: int) -> Row:
        """Lines that had not ended; those of a list all have."""
        real = None if self.real is None else _certain(0.0)
        longest = default_max_length(self.trained.longest)
        return row("cut", _share(count, len(self.drawn)), real, self.unknown, max_length=longest)

    def novelty(self) -> list[Row]:
        """New lines, and those of them that are real."""
        new = int(self.is_new.sum())
        if self.real is None:
            return [row("new", _share(new, len(self.drawn)), None, self.unknown), self._unknown("held_out")]
        real_new = int(self.real_is_new.sum())
        share = _certain(1.0) if self.by_split else _share(real_new, len(self.real))
        first = self._once_each(row("new", _share(new, len(self.drawn)), share, ""))
        if not new:
            return [first, row("held_out", None, _certain(1.0), "No sample is new.")]
        true = np.isin(line_hashes(self.drawn), line_hashes(self.real)) & self.is_new
        return [first, row("held_out", _share(int(true.sum()), new), _certain(1.0), "")]

    def distinct(self) -> Row:
        """Different lines, in sets of one size."""

        def share(sets: list[Coded]) -> Interval:
            return predicted([len(np.unique(line_hashes(each.lines))) / len(each) for each in sets])

        if self.size < SMALLEST_SET:
            return self._too_small("distinct")
        made = share(self.coded.sets(self.size, MOST_SETS))
        if self.coded_real is None:
            return row("distinct", made, None, self.unknown, size=self.size)
        real = _certain(1.0) if self.by_split else share(self.coded_real.sets(self.size, MOST_SETS))
        return self._once_each(row("distinct", made, real, "", size=self.size))

    def surprise(self, nats: np.ndarray) -> Row:
        """What the model itself spends on new lines, of its own and real."""
        made = _mean(nats[self.is_new])
        if self.real is None:
            return row("new_nats", made, None, self.unknown)
        unseen = self.real.take(np.flatnonzero(self.real_is_new))
        spent = line_nats(self.trained.model, self.trained.alphabet, unseen)[0] if len(unseen) else np.zeros(0)
        return row("new_nats", made, _mean(spent), "No sample is new, or no held-out line.")

    def distances(self) -> list[Row]:
        """Of lengths and 3-grams, to sets of training lines."""
        if self.size < SMALLEST_SET:
            return [self._too_small("lengths"), self._too_small("grams")]
        against = self.coded_train.sets(self.size, MOST_SETS)
        found = []
        for name, measure in (("lengths", length_distance), ("grams", gram_distance)):
            made = repeated(measure, self.coded.sets(self.size, MOST_SETS), against)
            real = None
            if self.coded_real is not None:
                real = repeated(measure, self.coded_real.sets(self.size, MOST_SETS), against)
            found.append(row(name, made, real, self.unknown, size=self.size))
        return found

    def nearness(self) -> list[Row]:
        """Edits from new lines to their nearest training line."""
        known, asked = Novelty(self.train), affordable(self.train)

        def measured(lines: Lines, new: np.ndarray) -> np.ndarray:
            return edits_to_nearest(known, lines.take(np.flatnonzero(new)[:asked]))

        made = measured(self.drawn, self.is_new)
        real = None if self.real is None else measured(self.real, self.real_is_new)
        unknown = self.unknown or "No sample is new, or no held-out line."
        kinds: list[tuple[str, Callable[[np.ndarray], Interval | None]]] = [
            ("edits_1", partial(_where, lambda edits: edits == 1)),
            ("edits_2", partial(_where, lambda edits: edits == 2)),
            ("edits_3", partial(_where, lambda edits: edits >= 3)),
            ("edits", _mean),
        ]
        return [row(name, told(made), None if real is None else told(real), unknown) for name, told in kinds]

    def counting(self) -> list[Row]:
        """The held-out loss of a count model of the samples, and of one of as many training lines."""
        unseen = None if self.real is None else self.real.take(np.flatnonzero(self.real_is_new))
        if unseen is None or len(unseen) < SMALLEST_SET:
            why = self.unknown or f"Fewer than {SMALLEST_SET} held-out lines were never seen."
            return [row(name, None, None, why, fitted=self.fitted) for name in ("count_loss", "count_excess")]
        made, real = (
            _loss_under(each.part(0, self.fitted).lines, unseen, self.alphabet)
            for each in (self.coded, self.coded_train)
        )
        return [
            row("count_loss", made.interval(), real.interval(), "", fitted=self.fitted),
            row("count_excess", made.minus(real), _certain(0.0), "", fitted=self.fitted),
        ]

    def told_apart(self) -> Row:
        """How often a classifier is right about samples and held-out lines, and about training lines and those."""
        if self.coded_real is None:
            return self._unknown("told_apart", size=self.size)
        if self.size < FEWEST_TOLD_APART:
            return self._too_small("told_apart", FEWEST_TOLD_APART)
        real = self.coded_real.part(0, self.size)
        made, known = (
            _share(*told_apart(each.part(0, self.size), real, self.seed)) for each in (self.coded, self.coded_train)
        )
        return row("told_apart", made, known, "", size=self.size)

    def _once_each(self, found: Row) -> Row:
        """A row that says where its real figure is 100 % because of the split, and so no target."""
        if not self.by_split:
            return found
        return replace(found, explanation=f"{found.explanation} Real lines: all, for this split has each line once.")

    def _unknown(self, name: str, **said: int) -> Row:
        return row(name, None, None, self.unknown, **said)

    def _too_small(self, name: str, needed: int = SMALLEST_SET) -> Row:
        why = f"Sets of {self.size} lines are too small: {needed} are needed."
        return row(name, None, None, why, size=self.size)


def _no_real_lines(trained: Trained) -> str:
    if trained.corpus.kfold:
        return f"All {len(trained.corpus.train):,} lines were learnt: the list is too short to hold any out."
    return "All lines were learnt: with --split none nothing is held out."


def _loss_under(lines: Lines, unseen: Lines, alphabet: Alphabet) -> Loss:
    config = NGramConfig(symbols=len(alphabet))
    nats, sizes = line_nats(NGram.fit(config, count_grams(lines, alphabet, config.order)), alphabet, unseen)
    return Bootstrap(sizes).loss(nats)


def _share(some: int, of: int) -> Interval:
    return Interval(some / of, *wilson(some, of))


def _where(test: Callable[[np.ndarray], np.ndarray], edits: np.ndarray) -> Interval | None:
    return _share(int(test(edits).sum()), len(edits)) if len(edits) else None


def _certain(value: float) -> Interval:
    """What is so by definition, and has no interval."""
    return Interval(value, math.nan, math.nan)


def _mean(values: np.ndarray) -> Interval | None:
    if not len(values):
        return None
    return Bootstrap(np.ones(len(values), np.int64)).loss(values.astype(np.float64)).interval()

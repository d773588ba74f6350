"""How good a generator is: many lines of it held against its list, beside real unseen lines held against the same.

No figure of a generator has its best at an extreme. One that only makes new lines need not know the list, one whose
3-grams are exactly the list's may be a copier. So the target of each row is the row of real lines that training never
saw, dev or test. What depends on how many lines there are is measured on sets of one size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from moreish.errors import MoreishError, UsageError
from moreish.generating.novelty import Novelty, wilson
from moreish.generating.quality.coded import Coded, shared_alphabet
from moreish.generating.quality.distances import gram_distance, length_distance, predicted, repeated
from moreish.generating.quality.nearest import affordable, edits_to_nearest
from moreish.generating.quality.rows import Row, row
from moreish.generating.quality.two_sample import told_apart
from moreish.generating.sample import sample
from moreish.generating.sampler import default_max_length
from moreish.learning.evaluate import Evaluation, evaluate, line_nats
from moreish.learning.intervals import Bootstrap, Interval, Loss
from moreish.learning.recipe import Trained
from moreish.models.counts import count_grams
from moreish.models.ngram import NGram, NGramConfig
from moreish.randomness import shuffled
from moreish.text.alphabet import Alphabet
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

FEWEST_SAMPLES, MOST_SAMPLES = 100, 1_000_000
MOST_SETS = 20
"""Sets of training lines that a distance is taken to: unless samples or held-out lines are few there are eight."""
SMALLEST_SET = 20
"""Sets of fewer lines have no distance worth telling, nor is a loss taken over fewer."""
FEWEST_TOLD_APART = 100
"""A classifier learns nothing from fewer lines."""


@dataclass(frozen=True)
class Quality:
    """The table. `samples` lines were drawn, `size` are in a set where the size matters, `real` are held out.

    `evaluation` is what `evaluate` says of the same part.
    """

    model: str
    part: str
    split: str
    leaks: bool
    note: str
    samples: int
    real: int
    size: int
    seed: int
    temperature: float
    top_k: int | None
    top_p: float | None
    evaluation: Evaluation
    rows: tuple[Row, ...]

    def __getitem__(self, name: str) -> Row:
        return next(found for found in self.rows if found.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "evaluation": self.evaluation.to_dict(), "rows": [each.to_dict() for each in self.rows]}


def quality(
    trained: Trained,
    samples: int = 10_000,
    *,
    part: str = "dev",
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Quality:
    """Draw lines and measure them: new, true, distinct, distances, nearness, what they leave out, whether they show.

    Most of the time goes into drawing where the model is a network, and else into measuring edits, line against line.

    Args:
        samples: lines drawn, from 100 to 1,000,000.
        part: the real lines to compare with, `dev` or `test`. A list too short to hold any out has none; then only
            what needs none is known.
        seed: the same seed gives the same lines, those of `sample`, and the same figures.
        temperature, top_k, top_p: how they are drawn, as in `sample`.

    Raises:
        UsageError: a setting that means nothing, or a part that is not held out.
        MoreishError: the run kept no list, or the model makes only empty lines.
    """
    check_samples(samples)
    if part not in ("dev", "test"):
        raise UsageError(f"part={part!r:.40} holds no unseen lines to compare samples with. Use dev or test.")
    evaluation = evaluate(trained, part)  # refuses a run without its list
    made = sample(trained, samples, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p).lines
    if not made:
        raise MoreishError("this model makes nothing but empty lines, so there is nothing to measure. Train it longer.")
    cut = sum(line.cut for line in made)
    drawn = Lines.of(line.text for line in made)
    nats = np.array([line.nats for line in made])
    corpus = trained.corpus
    has_real = not corpus.kfold and corpus.split != "none"
    real = corpus.part(part) if has_real else None
    lists = _Lists(trained, drawn, real, seed)
    rows = [
        *lists.novelty(), lists.distinct(), row(
            "cut", _share(cut, len(made)), None if real is None else _certain(0.0), lists.unknown,
            max_length=default_max_length(trained.longest),
        ),
        lists.surprise(nats), *lists.distances(), *lists.nearness(), *lists.counting(), lists.told_apart(),
    ]  # fmt: skip
    return Quality(
        trained.recipe.model, evaluation.part, corpus.split, corpus.leaks, corpus.note, len(made),
        0 if real is None else len(real), lists.size, seed, temperature, top_k, top_p, evaluation, tuple(rows),
    )  # fmt: skip


def check_samples(samples: int) -> None:
    """Refuse a number of samples that means nothing, before anything is loaded.

    Raises:
        UsageError
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or not FEWEST_SAMPLES <= samples <= MOST_SAMPLES:
        raise UsageError(
            f"samples={samples!r} is not a whole number from {FEWEST_SAMPLES} to {MOST_SAMPLES:,}. Use 10000, say."
        )


class _Lists:
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

    def novelty(self) -> list[Row]:
        """New lines, and those of them that are real."""
        new = int(self.is_new.sum())
        if self.real is None:
            return [row("new", _share(new, len(self.drawn)), None, self.unknown), self._unknown("held_out")]
        real_new = int(self.real_is_new.sum())
        share = _certain(1.0) if self.by_split else _share(real_new, len(self.real))
        first = row("new", _share(new, len(self.drawn)), share, "")
        if self.by_split:
            said = f"{first.explanation} Real held-out lines are new because this split has each line once."
            first = replace(first, explanation=said)
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
        return row("distinct", made, real, "", size=self.size)

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
            return edits_to_nearest(known, self.train, lines.take(np.flatnonzero(new)[:asked]))

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

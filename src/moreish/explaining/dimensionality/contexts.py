"""Contexts that could be against contexts that are, by length; and count models, which need each to be seen.

Source: Bengio, Ducharme, Vincent and Jauvin 2003, section 1, on why tables of n-grams do not reach far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moreish.learning.evaluate import line_nats
from moreish.models.counts import Grams, count_grams, find_rows, sum_by, unique_rows
from moreish.models.ngram import NGram, NGramConfig
from moreish.text.alphabet import Alphabet
from moreish.text.lines import Lines

ADDED = 0.1
"""Added to every count: so little that a long context still trusts what it saw."""


@dataclass(frozen=True)
class ContextLength:
    """Contexts of `length` symbols in the training lines.

    `possible` is V^length, with the boundary as one of V symbols, as the lectures count; of them only those can stand
    in a list whose boundaries all stand at the left, before a line: `reachable`. `seen` are in train; `mean_count` and
    `median_count` say how often each, `once` which share of them only once. `dev_unseen` is the share of dev's
    positions whose context is not among them. Losses are nats per symbol of the count model of this length, smoothed by
    add-k alone, and `backoff_dev` of Kneser-Ney, which takes shorter contexts where the long one fails. What is about
    dev is None where the list has none.
    """

    length: int
    possible: int
    reachable: int
    seen: int
    mean_count: float
    median_count: float
    once: float
    dev_unseen: float | None
    train: float
    dev: float | None
    backoff_dev: float | None


@dataclass(frozen=True)
class Counted:
    """A count model of one context length with add-k: P(s | c) = (n(c, s) + k) / (n(c) + k V), 1 / V where c is new.

    Shapes: rows int32 [G L+1] and counts int64 [G] of what was counted; contexts int32 [K L], totals int64 [K].
    """

    symbols: int
    rows: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray

    @classmethod
    def of(cls, grams: Grams) -> Counted:
        """The model of some n-grams, whose last symbol is what is predicted."""
        contexts, owner = unique_rows(grams.rows[:, :-1], grams.symbols)
        return cls(grams.symbols, grams.rows, grams.counts, contexts, sum_by(owner, grams.counts, len(contexts)))

    def known(self, rows: np.ndarray) -> np.ndarray:
        """How often each row's context was counted: int64 [N]; 0 for what is new. Rows are int [N L+1]."""
        at = find_rows(rows[:, :-1], self.contexts, self.symbols)
        return np.where(at >= 0, self.totals[at], 0)

    def nats(self, rows: np.ndarray, added: float = ADDED) -> np.ndarray:
        """The negative log-probability of each row's last symbol after those before it: float64 [N]."""
        at = find_rows(rows, self.rows, self.symbols)
        seen = np.where(at >= 0, self.counts[at], 0)
        return -np.log((seen + added) / (self.known(rows) + added * self.symbols))

    def loss(self, grams: Grams) -> float:
        """The mean over all that some n-grams count, in nats per symbol."""
        return float(self.nats(grams.rows) @ grams.counts / grams.counts.sum())


def reachable(symbols: int, length: int) -> int:
    """Contexts whose boundaries, if any, all stand at the left: all there are, for each number of symbols after."""
    return sum((symbols - 1) ** inside for inside in range(length + 1))


def counted(length: int, train: Lines, dev: Lines | None, alphabet: Alphabet) -> ContextLength:
    """All that is counted of one length."""
    symbols = len(alphabet)
    grams = count_grams(train, alphabet, length + 1)
    model = Counted.of(grams)
    unseen = loss = backoff = None
    if dev is not None:
        held_out = count_grams(dev, alphabet, length + 1)
        new = model.known(held_out.rows) == 0
        unseen = float(held_out.counts[new].sum() / held_out.counts.sum())
        loss = model.loss(held_out)
        kneser_ney = NGram.fit(NGramConfig(symbols, length + 1, "kneser-ney"), grams)
        nats, sizes = line_nats(kneser_ney, alphabet, dev)
        backoff = float(nats.sum() / sizes.sum())
    return ContextLength(
        length=length,
        possible=symbols**length,
        reachable=reachable(symbols, length),
        seen=len(model.contexts),
        mean_count=float(model.totals.mean()),
        median_count=float(np.median(model.totals)),
        once=float((model.totals == 1).mean()),
        dev_unseen=unseen,
        train=model.loss(grams),
        dev=loss,
        backoff_dev=backoff,
    )

"""The bigram, from the problem to the model and its loss, on a list: which symbol comes next?

In steps, each measured: the pairs of a line, the table of counts, the likelihood as a product and what is made of it,
the one-layer network that says the same, smoothing beside weight decay, and why descent finds the minimum of this
network wherever it starts. The sentences are in words.py.

Source: Karpathy, makemore part 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from moreish.explaining.bigram.convexity import Bent, Convex, bent_of, convex_of
from moreish.explaining.bigram.likelihood import Likelihood, likelihood_of
from moreish.explaining.bigram.network import (
    STEPS,
    Choice,
    Descent,
    Exponentials,
    choice_of,
    descent_of,
    exponentials_of,
    start,
)
from moreish.explaining.bigram.smoothing import Smoothing, smoothing_of
from moreish.explaining.bigram.table import Table, table_of
from moreish.explaining.telling import Told, last
from moreish.text.corpus import Corpus

EXAMPLE_SYMBOLS = 12
"""Of a line that is shown pair by pair, at most."""


@dataclass(frozen=True)
class Example:
    """One symbol of a line: after `before` came `after`; how often it does so in the list, and its share."""

    before: str
    after: str
    count: int
    probability: float


@dataclass(frozen=True)
class Bigram:
    """All that was measured on a list's train part. `labels` are of the rows and columns of `counts`, the boundary
    first; `uniform` and `counted` are the losses of knowing nothing and of the table, in nats per symbol.
    """

    list: str
    seed: int
    lines: int
    symbols: int
    pairs: int
    pairs_seen: int
    pairs_possible: int
    uniform: float
    counted: float
    labels: list[str]
    counts: list[list[int]]
    example: list[Example]
    likelihood: Likelihood
    choice: Choice
    descent: Descent
    exponentials: Exponentials
    smoothing: Smoothing
    convex: Convex
    bent: Bent

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def explain_bigram(corpus: Corpus, seed: int = 0) -> Bigram:
    """From the problem to the model on a list: counts, likelihood, one-layer network, smoothing, convexity.

    Args:
        corpus: what is learnt from is its train part; all of it where it was read with `split="none"`.
        seed: of all weights that are drawn.

    Raises:
        ListError: the list has more than 256 symbols.
        UsageError: the seed is none.
    """
    return last(measured(corpus, seed), Bigram)


def measured(corpus: Corpus, seed: int = 0) -> Iterator[Told | Bigram]:
    """The same as a stream: after each step of the explanation how far it is, at last what was measured.

    Raises:
        ListError: the list has more than 256 symbols.
        UsageError: the seed is none.
    """
    table = table_of(corpus)
    model = start(table, seed)
    choice = choice_of(table, model.weight.detach())
    yield Told(1, 5)
    descent = descent_of(table, model, STEPS)
    yield Told(2, 5)
    smoothing = smoothing_of(table)
    yield Told(3, 5)
    convex = convex_of(table, seed, STEPS, descent.rate)
    yield Told(4, 5)
    yield Bigram(
        list=corpus.name,
        seed=seed,
        lines=len(corpus.train),
        symbols=table.symbols,
        pairs=table.positions,
        pairs_seen=int((table.counts > 0).sum()),
        pairs_possible=table.symbols**2,
        uniform=float(np.log(table.symbols)),
        counted=table.nats(table.probabilities),
        labels=table.labels,
        counts=table.counts.tolist(),
        example=_example(table),
        likelihood=likelihood_of(table),
        choice=choice,
        descent=descent,
        exponentials=exponentials_of(table, model.weight.detach()),
        smoothing=smoothing,
        convex=convex,
        bent=bent_of(table, seed),
    )


def _example(table: Table) -> list[Example]:
    """The first line that is learnt, pair by pair."""
    ids = table.stream[: EXAMPLE_SYMBOLS + 1]
    ends = np.flatnonzero(ids[1:] == 0)
    ids = ids[: int(ends[0]) + 2] if len(ends) else ids
    p = table.probabilities
    return [
        Example(table.labels[a], table.labels[b], int(table.counts[a, b]), float(p[a, b])) for a, b in pairwise(ids)
    ]

"""What a learnt embedding's nearest neighbours are worth as predictors, by context length, and the work they take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from moreish.explaining.dimensionality.contexts import Counted
from moreish.explaining.dimensionality.distances import (
    POINTS,
    QUERIES,
    Concentration,
    concentration,
    effective_dimensions,
    scattered,
)
from moreish.learning.batches import Batches, Windows
from moreish.models.counts import Grams, unique_rows
from moreish.models.mlp import MLP
from moreish.ops.loss import cross_entropy
from moreish.randomness import stream

NEAREST = 20
REFERENCES, ASKED = 1 << 15, 1000
AT_ONCE = 128
SAME = 1e-6
"""Squared distances that differ by less, as a share of the points' mean square, are the same: float32 rounds."""
PRIOR = 5.0
"""Neighbours' worth of how often each symbol stands anywhere, added to what they say: none is then impossible."""


@dataclass(frozen=True)
class Neighbours:
    """Predicting dev's next symbols from training windows: the `nearest` by the embedding, and all who are as far.

    `taken` is how many that makes, the median. `same_next` is the share of neighbours that are followed by what follows
    the query, and `chance` that of any window; `same_window` the share that are the very same context. Losses in nats
    per symbol on the same `queries`: of the neighbours' next symbols, of counting the same `references`, and of the
    network, which learnt from all.
    """

    nearest: int
    taken: float
    references: int
    queries: int
    same_next: float
    chance: float
    same_window: float
    accuracy: float
    network_accuracy: float
    knn: float
    counted: float
    network: float


@dataclass(frozen=True)
class Learnt:
    """Distances between a network's contexts, their embeddings side by side, and between as many random numbers.

    `effective_dimensions` is in how many directions the contexts really spread.
    """

    effective_dimensions: float
    embeddings: Concentration
    random: Concentration


def embedded(model: MLP, windows: Int[Tensor, "M C"]) -> Float[Tensor, "M D"]:
    """The embeddings of a window's symbols side by side: what the network's first layer sees."""
    return model.embedding.weight.detach()[windows].flatten(1)


def learnt_distances(model: MLP, train: Batches, dev: Batches, seed: int) -> Learnt | None:
    """Concentration from dev's distinct contexts to train's; None where there are fewer than three of either."""
    symbols, context = model.config.symbols, model.context
    draw = stream(seed, f"dimensionality/contexts/{context}")
    points, queries = (
        _some_distinct(batches, context, symbols, most, draw) for batches, most in ((train, POINTS), (dev, QUERIES))
    )
    if min(len(points), len(queries)) < 3:
        return None
    at = embedded(model, points)
    found = concentration(at, embedded(model, queries))
    alike = scattered("normal", at.shape[1], seed, len(points), len(queries))
    return Learnt(effective_dimensions(at), found, alike)


def _some_distinct(
    batches: Batches, context: int, symbols: int, most: int, draw: torch.Generator
) -> Int[Tensor, "K C"]:
    every = batches.windows_of(np.arange(batches.symbols), context).windows
    distinct, _ = unique_rows(every.numpy().astype(np.int32), symbols)
    chosen = torch.randperm(len(distinct), generator=draw)[:most].numpy()
    return torch.from_numpy(distinct[chosen]).long()


@torch.no_grad()
def neighbours(model: MLP, train: Batches, dev: Batches, seed: int) -> Neighbours | None:
    """What the nearest training windows say of dev's next symbols; None where train has no more than twice as many."""
    symbols, context = model.config.symbols, model.context
    draw = stream(seed, f"dimensionality/neighbours/{context}")
    references, queries = (
        batches.windows_of(torch.randperm(batches.symbols, generator=draw)[:most].numpy(), context)
        for batches, most in ((train, REFERENCES), (dev, ASKED))
    )
    if len(references.targets) <= 2 * NEAREST:
        return None
    near = nearest(embedded(model, references.windows), embedded(model, queries.windows), NEAREST)
    follows = torch.nn.functional.one_hot(references.targets, symbols).float()
    votes, taken = (near.float() @ follows).double(), near.sum(1).double()
    anywhere = follows.double().mean(0)
    p = (votes + PRIOR * anywhere) / (taken[:, None] + PRIOR)
    p += (p == 0) * 1e-12  # a symbol that no reference has
    right = queries.targets[:, None]
    same = _same_windows(near, references.windows, queries.windows)
    logits = model.score(queries.windows)
    counted = Counted.of(_grams(references, symbols))
    rows = torch.cat([queries.windows, queries.targets[:, None]], 1).numpy().astype(np.int32)
    return Neighbours(
        nearest=NEAREST,
        taken=float(taken.median()),
        references=len(references.targets),
        queries=len(queries.targets),
        same_next=float((votes.gather(1, right)[:, 0] / taken).mean()),
        chance=float(anywhere[queries.targets].mean()),
        same_window=float((same / taken).mean()),
        accuracy=float((p.argmax(1) == queries.targets).double().mean()),
        network_accuracy=float((logits.argmax(1) == queries.targets).double().mean()),
        knn=float(-p.gather(1, right).log().mean()),
        counted=float(counted.nats(rows).mean()),
        network=float(cross_entropy(logits.double(), queries.targets)),
    )


def nearest(points: Float[Tensor, "P D"], queries: Float[Tensor, "Q D"], k: int) -> Bool[Tensor, "Q P"]:
    """Which points are among the k nearest of each query, or as far as the last of them, by looking at all."""
    rows = []
    squares = points.square().sum(1)
    rounding = SAME * float(squares.mean())
    for some in queries.split(AT_ONCE):
        far = squares - 2 * some @ points.T  # less the query's own square, which changes no order
        last = far.kthvalue(k, dim=1, keepdim=True).values
        rows.append(far <= last + rounding)
    return torch.cat(rows)


def _same_windows(
    near: Bool[Tensor, "Q P"], points: Int[Tensor, "P C"], queries: Int[Tensor, "Q C"]
) -> Float[Tensor, " Q"]:
    """How many of each query's neighbours are the very same context."""
    out = [(mine & (points == query).all(1)).sum() for mine, query in zip(near, queries)]
    return torch.stack(out).double()


def _grams(seen: Windows, symbols: int) -> Grams:
    rows = torch.cat([seen.windows, seen.targets[:, None]], 1).numpy().astype(np.int32)
    distinct, place = unique_rows(rows, symbols)
    return Grams(symbols, distinct, np.bincount(place, minlength=len(distinct)).astype(np.int64))

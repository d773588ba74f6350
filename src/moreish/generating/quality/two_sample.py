"""A classifier that tries to tell made lines from real ones: what it can, is a difference (Lopez-Paz and Oquab 2017).

"Revisiting classifier two-sample tests", section 3: learn on half of both sets, and test on the other half. Here both
halves take turns, so every line is judged once, by a classifier that never met it. Logistic regression on how often a
line has each 1-, 2- and 3-gram, a boundary at each end, and on its length.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from moreish.generating.quality.coded import Coded
from moreish.randomness import stream_seed
from moreish.shapes import BOUNDARY

STEPS = 100
"""Of L-BFGS at most; a hundred is beyond where the share of right answers still moves."""
PENALTY = 1.0
"""Half of this times the sum of squared weights is added to the summed loss."""


def told_apart(made: Coded, real: Coded, seed: int = 0) -> tuple[int, int]:
    """How many lines of two sets a classifier puts into the right one, of how many: half, where it cannot tell.

    Args:
        made, real: two sets over one alphabet, of one size.
        seed: decides the halves.
    """
    assert len(made) == len(real), (len(made), len(real))
    count = len(made)
    columns, starts, kinds = _features(made, real)
    labels = np.repeat([1, 0], count)
    generator = np.random.default_rng(stream_seed(seed, "two-sample"))
    half = np.concatenate([generator.permutation(count) % 2 for _ in range(2)])
    right = 0
    for learnt in (0, 1):
        rows = np.flatnonzero(half == learnt)
        others = np.flatnonzero(half != learnt)
        weights = _learn(*_chosen(columns, starts, rows), torch.from_numpy(labels[rows]).double(), kinds)
        scores = _scores(*_chosen(columns, starts, others), weights)
        right += int(((scores > 0).numpy() == labels[others]).sum())
    return right, 2 * count


def _features(made: Coded, real: Coded) -> tuple[Int[np.ndarray, " entries"], Int[np.ndarray, " bounds"], int]:
    """(columns, starts, how many columns): line i has the entries columns[starts[i] : starts[i + 1]]."""
    lines, keys, kinds = [], [], []
    for first, coded in ((0, made), (len(made), real)):
        stream, boundary = coded.stream, coded.stream == BOUNDARY
        owner = np.cumsum(boundary) - 1  # of each id; the boundary before a line is that line's
        inside = ~boundary
        for kind, (which, key) in enumerate((
            (coded.line, coded.trigrams),
            (owner[:-1], stream[:-1] * coded.symbols + stream[1:]),
            (owner[inside], stream[inside]),
            (np.arange(len(coded)), coded.lengths),
        )):  # fmt: skip
            lines.append(which + first)
            keys.append(key)
            kinds.append(kind)
    columns, width = [], 0
    for kind in sorted(set(kinds)):
        parts = [key for key, of in zip(keys, kinds) if of == kind]
        known, inverse = np.unique(np.concatenate(parts), return_inverse=True)
        columns.append(inverse + width)
        width += len(known)
    line = np.concatenate([which for kind in sorted(set(kinds)) for which, of in zip(lines, kinds) if of == kind])
    order = np.argsort(line, kind="stable")
    starts = np.searchsorted(line[order], np.arange(len(made) + len(real) + 1))
    return np.concatenate(columns)[order], starts, width


def _chosen(columns: np.ndarray, starts: np.ndarray, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """The entries of some lines, one after the other, and where each line's begin."""
    sizes = starts[rows + 1] - starts[rows]
    begin = np.cumsum(sizes) - sizes
    at = np.repeat(starts[rows] - begin, sizes) + np.arange(int(sizes.sum()))
    return torch.from_numpy(columns[at]), torch.from_numpy(begin)


def _scores(columns: Tensor, begin: Tensor, weights: Tensor) -> Tensor:
    return torch.nn.functional.embedding_bag(columns, weights[:-1, None], begin, mode="sum")[:, 0] + weights[-1]


def _learn(columns: Tensor, begin: Tensor, labels: Tensor, kinds: int) -> Tensor:
    """The weights of each column, and at the end the one that every line has: float64 [kinds + 1]."""
    weights = torch.zeros(kinds + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scores = _scores(columns, begin, weights)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels, reduction="sum")
        loss = (loss + PENALTY / 2 * weights[:-1].square().sum()) / len(labels)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[arg-type]
    return weights.detach()

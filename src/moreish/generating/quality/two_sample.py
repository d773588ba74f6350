"""A classifier that tries to tell made lines from real ones: what it can, is a difference (Lopez-Paz and Oquab 2017).

"Revisiting classifier two-sample tests", section 3: learn on half of both sets, and test on the other half. Here both
halves take turns, so every line is judged once, by a classifier that never met it. Logistic regression on how often a
line has each 1-, 2- and 3-gram, a boundary at each end, and on its length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from moreish.generating.quality.coded import Coded
from moreish.randomness import stream_seed
from moreish.shapes import BOUNDARY

PENALTY = 10.0
"""Half of this times the sum of squared weights is added to the summed loss."""
NEWTON_STEPS, HALVINGS, CONJUGATE_STEPS = 30, 20, 100
SMALL = 1e-3
"""Steps of weights below this change no line's side, but those that stand on the fence."""


def told_apart(made: Coded, real: Coded, seed: int = 0) -> tuple[int, int]:
    """How many lines of two sets a classifier puts into the right one, of how many: half, where it cannot tell.

    It can be right less than half the time: a line that stands in both sets is learnt as one and met as the other.

    Args:
        made, real: two sets over one alphabet, of one size, at least two lines each.
        seed: decides the halves.
    """
    assert len(made) == len(real), (len(made), len(real))
    design = _design(made, real)
    labels = np.repeat([1.0, 0.0], len(made))
    generator = np.random.default_rng(stream_seed(seed, "two-sample"))
    half = np.concatenate([generator.permutation(len(made)) % 2 for _ in range(2)])
    right = 0
    for learnt in (0, 1):
        rows, others = np.flatnonzero(half == learnt), np.flatnonzero(half != learnt)
        weights = _learn(design.take(rows), labels[rows])
        right += int(((design.take(others).times(weights) > 0) == (labels[others] > 0)).sum())
    return right, len(labels)


def _design(made: Coded, real: Coded) -> _Design:
    """Each line's entries: its 3-, 2- and 1-grams as often as they come, and its length."""
    lines, columns, width = [], [], 0
    for (line, key), (other, other_key) in zip(_features(made), _features(real)):
        known, inverse = np.unique(np.concatenate([key, other_key]), return_inverse=True)
        lines += [line, other + len(made)]
        columns.append(inverse + width)
        width += len(known)
    line = np.concatenate(lines)
    order = np.argsort(line, kind="stable")
    starts = np.searchsorted(line[order], np.arange(len(made) + len(real) + 1))
    return _Design(np.concatenate(columns)[order], starts, width)


def _features(coded: Coded) -> list[tuple[np.ndarray, np.ndarray]]:
    """(line, what it has) for each kind of feature."""
    stream, inside = coded.stream, coded.stream != BOUNDARY
    owner = np.cumsum(~inside) - 1  # of each id; the boundary before a line is that line's
    return [
        (coded.line, coded.trigrams),
        (owner[:-1], stream[:-1] * coded.symbols + stream[1:]),
        (owner[inside], stream[inside]),
        (np.arange(len(coded)), coded.lengths),
    ]


@dataclass(frozen=True)
class _Design:
    """Some lines as a sparse matrix: the columns of each line's entries, one after the other, and their bounds."""

    columns: Int[np.ndarray, " entries"]
    starts: Int[np.ndarray, " bounds"]
    width: int

    def take(self, rows: Int[np.ndarray, " rows"]) -> _Design:
        sizes = self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(sizes)
        at = np.repeat(self.starts[rows] - ends + sizes, sizes) + np.arange(int(sizes.sum()))
        return _Design(self.columns[at], np.concatenate([[0], ends]), self.width)

    def times(self, weights: Float[np.ndarray, " width"]) -> Float[np.ndarray, " rows"]:
        """Each line's sum of the weights of its entries; a line has an entry at least, its length."""
        return np.add.reduceat(weights[self.columns], self.starts[:-1])

    def transposed_times(self, values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " width"]:
        """For each column the sum of the values of its lines."""
        return np.bincount(self.columns, np.repeat(values, np.diff(self.starts)), self.width)


def _learn(design: _Design, labels: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " width"]:
    """The weights with the least penalised logistic loss: Newton's steps, each by conjugate gradients.

    Komarek and Moore 2003, "Fast robust logistic regression for large sparse datasets with binary outputs".
    torch.optim would do as well, but takes four seconds to load.
    """

    def loss(weights: np.ndarray) -> float:
        scores = design.times(weights)
        return float((np.logaddexp(0, scores) - labels * scores).sum() + PENALTY / 2 * (weights @ weights))

    weights = np.zeros(design.width)
    for _ in range(NEWTON_STEPS):
        share = 1 / (1 + np.exp(-design.times(weights)))
        left = design.transposed_times(labels - share) - PENALTY * weights  # minus the gradient
        step = _solved(partial(_curved, design, share * (1 - share)), left)
        before, halvings = loss(weights), 0
        while loss(weights + step) > before and halvings < HALVINGS:
            step, halvings = step / 2, halvings + 1
        weights += step
        if np.abs(step).max() < SMALL:
            break
    return weights


def _curved(design: _Design, curvature: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The Hessian times x."""
    return design.transposed_times(curvature * design.times(x)) + PENALTY * x


def _solved(product: Callable[[np.ndarray], np.ndarray], right: np.ndarray) -> np.ndarray:
    """x with product(x) = right, nearly, for a symmetric positive definite product (Hestenes and Stiefel 1952)."""
    x, residual = np.zeros_like(right), right.copy()
    direction, size = residual.copy(), float(residual @ residual)
    enough = SMALL**2 * size
    for _ in range(CONJUGATE_STEPS):
        if size <= enough:
            break
        image = product(direction)
        rate = size / float(direction @ image)
        x += rate * direction
        residual -= rate * image
        before, size = size, float(residual @ residual)
        direction = residual + size / before * direction
    return x

"""Smoothing beside weight decay: both pull to the uniform distribution, and they are not the same.

Add-k puts k more of every pair into the table (Lidstone 1920; Chen and Goodman 1996, section 2). Weight decay adds
lambda times the mean of W squared to the loss, as the lecture does; where that is least, the derivative is 0:

    n_i p_ij = n_ij - kappa W_ij,    kappa = 2 lambda N / V^2    and so each row of W sums to 0

It too adds to the counts, not k but -kappa W_ij: something to what is improbable, growing as its logit falls, and
something off what is probable. The probabilities are Gaussian-prior maximum entropy (Chen and Rosenfeld 1999, section
3), which is found here by Newton's method, whose Hessian is diagonal plus rank one a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moreish.explaining.bigram.table import Table

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
"""The k that are added."""
NEWTON_STEPS, HALVINGS = 200, 40
ENOUGH = 1e-12
"""A row's largest derivative, as a share of what was counted in it, at which it is at its minimum."""
BISECTIONS = 60


@dataclass(frozen=True)
class Smoothed:
    """One way of smoothing: losses in nats per symbol on train and dev, `dev` null where there is none.

    `distance` is the mean over the list's symbols of how far the row is from uniform: half the sum of |p - 1/V|, the
    probability that would have to move. `common` and `rare` are those of one row each; `unseen` is the probability,
    the mean likewise, of what was never seen.
    """

    train: float
    dev: float | None
    distance: float
    common: float
    rare: float
    unseen: float


@dataclass(frozen=True)
class Strength:
    """Add-k and the weight decay that is as far from uniform; `furthest` is their largest difference in a probability.

    Decay adds to a pair's count -kappa W_ij, between `adds_least` (below 0: it takes) and `adds_most`; add-k adds k.
    `identity` is how far n_i p_ij is from n_ij - kappa W_ij at most, as a share of n_i: 0 but for rounding.
    """

    k: float
    weight_decay: float
    add_k: Smoothed
    decayed: Smoothed
    furthest: float
    adds_least: float
    adds_most: float
    identity: float


@dataclass(frozen=True)
class Smoothing:
    """What both do at several strengths; `none` is the table as it is.

    `dev_reason` says why its `dev` is null, "" where it is not: there is none, or it is infinite. `common` and `rare`
    are the symbols whose rows were counted most and least often, `common_count` and `rare_count` times.
    """

    none: Smoothed
    dev_reason: str
    common: str
    common_count: int
    rare: str
    rare_count: int
    strengths: list[Strength]


def smoothing_of(table: Table) -> Smoothing:
    """Both ways, at strengths that are as far from uniform."""
    rows = table.rows
    common = int(rows.argmax())
    rare = int(np.where(rows > 0, rows, rows.max() + 1).argmin())
    strengths = [_strength(table, k, common, rare) for k in STRENGTHS]
    none = _smoothed(table, table.probabilities, common, rare)
    infinite = "unsmoothed, dev is infinite: a pair stands there that was never seen in train"
    reason = "the list has no dev part" if table.dev is None else infinite if none.dev is None else ""
    return Smoothing(
        none, reason,
        table.labels[common], int(rows[common]), table.labels[rare], int(rows[rare]), strengths,
    )  # fmt: skip


def add_k(counts: np.ndarray, k: float) -> np.ndarray:
    """(n_ij + k) / (n_i + k V): float64 [V V]."""
    return (counts + k) / (counts.sum(1, keepdims=True) + k * len(counts))


def decayed(counts: np.ndarray, kappa: float, start: np.ndarray | None = None) -> np.ndarray:
    """The logits at which each row's loss plus kappa / 2 times the sum of their squares is least: float64 [V V].

    Newton's method from `start` or from 0, each step halved until the row's loss falls. The row's Hessian is
    D - n p p^T with D = n p + kappa, whose inverse is Sherman and Morrison's.
    """
    n = counts.sum(1, keepdims=True).astype(float)
    w = np.zeros(counts.shape) if start is None else start.copy()
    for _ in range(NEWTON_STEPS):
        p = _softmax(w)
        gradient = n * p - counts + kappa * w
        if np.abs(gradient / np.maximum(n, 1)).max() < ENOUGH:
            break
        d = n * p + kappa
        along, across = gradient / d, p / d
        # 1 - n sum p^2 / d, without the digits that a difference would lose: the p of a row sum to 1.
        rest = kappa * across.sum(1, keepdims=True)
        step = along + n * across * (p * along).sum(1, keepdims=True) / rest
        w = _stepped(counts, n, kappa, w, gradient, step)
    return w


def _stepped(
    counts: np.ndarray, n: np.ndarray, kappa: float, w: np.ndarray, gradient: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """Each row a whole step down, or half, or a quarter, ..., until its loss falls by a share of what is promised."""
    before, promised = _row_losses(counts, n, kappa, w), (gradient * step).sum(1, keepdims=True)
    size = np.ones_like(n)
    for _ in range(HALVINGS):
        short = _row_losses(counts, n, kappa, w - size * step) > before - 1e-4 * size * promised + 1e-12 * np.abs(
            before
        )
        if not short.any():
            break
        size = np.where(short, size / 2, size)
    return w - size * step


def _row_losses(counts: np.ndarray, n: np.ndarray, kappa: float, w: np.ndarray) -> np.ndarray:
    most = w.max(1, keepdims=True)
    log_z = most + np.log(np.exp(w - most).sum(1, keepdims=True))
    return n * log_z - (counts * w).sum(1, keepdims=True) + kappa / 2 * (w * w).sum(1, keepdims=True)


def _softmax(w: np.ndarray) -> np.ndarray:
    e = np.exp(w - w.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _strength(table: Table, k: float, common: int, rare: int) -> Strength:
    added = add_k(table.counts, k)
    kappa, w = _as_far(table, _distance(table, added))
    p, n = _softmax(w), table.rows[:, None]
    identity = np.abs(n * p - (table.counts - kappa * w)) / np.maximum(n, 1)
    return Strength(
        k,
        kappa * table.symbols**2 / (2 * table.positions),
        _smoothed(table, added, common, rare),
        _smoothed(table, p, common, rare),
        float(np.abs(added - p).max()),
        float(-kappa * w.max()),
        float(-kappa * w.min()),
        float(identity.max()),
    )


def _as_far(table: Table, distance: float) -> tuple[float, np.ndarray]:
    """The kappa whose minimum is so far from uniform, and that minimum: by bisection, for more decay comes nearer."""
    low, high = np.log(1e-6), np.log(1e12)
    w, middle = np.zeros(table.counts.shape), (low + high) / 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        w = decayed(table.counts, float(np.exp(middle)), w)
        if _distance(table, _softmax(w)) > distance:
            low = middle
        else:
            high = middle
    return float(np.exp(middle)), w


def _distance(table: Table, p: np.ndarray) -> float:
    return float((_distances(p) * table.rows).sum() / table.positions)


def _distances(p: np.ndarray) -> np.ndarray:
    """Half the sum of |p - 1/V| of each row."""
    return np.abs(p - 1 / p.shape[1]).sum(1) / 2


def _smoothed(table: Table, p: np.ndarray, common: int, rare: int) -> Smoothed:
    dev = None if table.dev is None else table.nats(p, table.dev)
    unseen = (np.where(table.counts == 0, p, 0).sum(1) * table.rows).sum() / table.positions
    apart = _distances(p)
    return Smoothed(
        table.nats(p), dev if dev is None or np.isfinite(dev) else None, _distance(table, p), float(apart[common]),
        float(apart[rare]), float(unseen),
    )  # fmt: skip

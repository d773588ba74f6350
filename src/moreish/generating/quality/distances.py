"""Distances between sets of lines, and how far apart two sets of real lines are by chance alone.

A distance between counts is never 0 for two finite sets, and falls as they grow. So all are taken between sets of one
size, and several times, against disjoint sets of training lines. The interval is of prediction: where 95 % of such
sets come to lie, t sqrt(1 + 1 / k) standard deviations of the k distances to either side. For real unseen lines that
is the noise floor: a generator whose mean lies inside it cannot be told from them by this distance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Num

from moreish.generating.quality.coded import Coded
from moreish.learning.intervals import Interval, t_quantile

LEAST_FOR_INTERVAL = 4
"""Fewer repetitions say too little of how much they vary."""


def total_variation(a: Num[np.ndarray, " K"], b: Num[np.ndarray, " K"]) -> float:
    """Half the sum of |p - q|: the share of one set that would have to change to give the other's distribution."""
    return float(np.abs(a / a.sum() - b / b.sum()).sum() / 2)


def jensen_shannon(a: Num[np.ndarray, " K"], b: Num[np.ndarray, " K"]) -> float:
    """The Jensen-Shannon divergence of two distributions in bits (Lin 1991): 0 where equal, 1 without anything shared.

    Args:
        a, b: counts of the same things.
    """
    p, q = a / a.sum(), b / b.sum()
    middle = (p + q) / 2

    def above(x: np.ndarray) -> float:
        some = x > 0
        return float((x[some] * np.log2(x[some] / middle[some])).sum())

    return max(0.0, (above(p) + above(q)) / 2)  # rounding can take it below


def length_distance(a: Coded, b: Coded) -> float:
    """The total variation between the lengths of two sets."""
    longest = int(max(a.lengths.max(), b.lengths.max())) + 1
    return total_variation(np.bincount(a.lengths, minlength=longest), np.bincount(b.lengths, minlength=longest))


def gram_distance(a: Coded, b: Coded) -> float:
    """The Jensen-Shannon divergence between the 3-grams of two sets, in bits; a line has one boundary at each end."""
    _, which = np.unique(np.concatenate([a.trigrams, b.trigrams]), return_inverse=True)
    kinds = int(which.max()) + 1
    counts = (np.bincount(part, minlength=kinds) for part in np.split(which, [len(a.trigrams)]))
    return jensen_shannon(*counts)


def repeated(measure: Callable[[Coded, Coded], float], sets: Sequence[Coded], against: Sequence[Coded]) -> Interval:
    """A distance's mean over pairs of sets, and where one more pair would lie; `sets` take turns against the others."""
    return predicted([measure(sets[i % len(sets)], other) for i, other in enumerate(against)])


def predicted(values: Sequence[float]) -> Interval:
    """The mean of some values, and the 95 % interval for one more; NaN where they are too few for one."""
    mean, count = float(np.mean(values)), len(values)
    if count < LEAST_FOR_INTERVAL:
        return Interval(mean, math.nan, math.nan)
    half = t_quantile(count - 1) * float(np.std(values, ddof=1)) * math.sqrt(1 + 1 / count)
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))

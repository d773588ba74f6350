"""A figure from several seeds, with the interval in which its mean lies: what chance alone might make of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, stdev

LEVEL = 0.95


@dataclass(frozen=True)
class OverSeeds:
    """A mean over seeds and its 95 % interval, Student's; `low` and `high` are None where there is one seed alone.

    Of a difference it is paired: each seed's two trainings begin alike and meet the same batches, so the interval is
    that of their differences. It says nothing of another list or another split.
    """

    value: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def above(self) -> bool:
        """Whether it is more than nothing, beyond the noise of seeds."""
        return self.low is not None and self.low > 0

    @property
    def below(self) -> bool:
        """Whether it is less than nothing, beyond the noise of seeds."""
        return self.high is not None and self.high < 0


def over_seeds(values: Sequence[float]) -> OverSeeds:
    """The mean of one value a seed, with its interval.

    Source: Student 1908, The Probable Error of a Mean.
    """
    mean, seeds = fmean(values), len(values)
    if seeds < 2:
        return OverSeeds(mean, None, None, seeds)
    half = student(seeds - 1) * stdev(values) / math.sqrt(seeds)
    return OverSeeds(mean, mean - half, mean + half, seeds)


@cache
def student(freedom: int, level: float = LEVEL) -> float:
    """Between minus and plus this number lies `level` of Student's t of so many degrees of freedom."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < level:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < level else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """P(|T| < t): Abramowitz and Stegun 1964, 26.7.3 and 26.7.4, a finite sum in cos² of atan(t / sqrt(freedom))."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for i in range(1 + odd, freedom, 2):
        total += term
        term *= cosine * cosine * i / (i + 1)
    return (2 / math.pi) * (angle + sine * total) if odd else sine * total

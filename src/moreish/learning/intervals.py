"""How far a loss might be off for the lines that happened to be held out: a paired bootstrap over lines.

A loss per symbol is a ratio, sum(nats) / sum(symbols), and the symbols of a line stand and fall together: so whole
lines are drawn again, with replacement, and the ratio is taken anew (Efron and Tibshirani 1993, chapters 6 and 13).
Every model meets the same draws, so in a difference of two what is hard for both cancels: it is known far better than
either loss. Percentiles are taken a little farther out than 2.5 and 97.5, for percentile intervals of few lines are too
narrow (Hesterberg 2015, "What teachers should know about the bootstrap", section 5.3).

They say nothing of what else might have come out differently: another seed, another split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int

from moreish.randomness import stream_seed

DRAWS = 2_000
LEVEL = 0.95
MOST_DRAWN = 4_096
"""Where there are more lines, so many handfuls of neighbours are drawn instead: held-out lines stand in shuffled order,
and a sum over a handful varies as its lines do."""
DRAWS_AT_ONCE = 250


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; `low` and `high` are NaN where one line alone says nothing of how they vary."""

    value: float
    low: float
    high: float

    @property
    def above(self) -> bool:
        """Whether it is more than nothing, beyond the noise."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether it is less than nothing, beyond the noise."""
        return self.high < 0


@dataclass(frozen=True)
class Loss:
    """A model's nats per symbol, as measured and as drawn again. `lines` is how many it rests on."""

    value: float
    drawn: Float[np.ndarray, " draws"]
    lines: int

    def interval(self) -> Interval:
        """The loss with its interval."""
        return _interval(self.value, self.drawn, self.lines)

    def minus(self, other: Loss) -> Interval:
        """How much larger this loss is than another's, on the same draws of the same lines."""
        if math.isinf(self.value) and math.isinf(other.value):
            return Interval(math.nan, math.nan, math.nan)
        with np.errstate(invalid="ignore"):  # a draw may leave out every line that makes both infinite, or neither
            apart = self.drawn - other.drawn
        return _interval(self.value - other.value, apart[~np.isnan(apart)], self.lines)


class Bootstrap:
    """Draws of the held-out lines, the same for every model.

    Args:
        sizes: symbols predicted in each line.
        draws: how often the lines are drawn again.
        seed: the same seed gives the same draws.
    """

    def __init__(self, sizes: Int[np.ndarray, " lines"], *, draws: int = DRAWS, seed: int = 0):
        assert len(sizes), "no lines to draw from"
        self._lines = len(sizes)
        handfuls = min(len(sizes), MOST_DRAWN)
        self._starts = np.arange(handfuls) * len(sizes) // handfuls
        generator = np.random.default_rng(stream_seed(seed, "bootstrap"))
        self._counts = np.empty((draws, handfuls), np.uint16)
        for first in range(0, draws, DRAWS_AT_ONCE):
            rows = self._counts[first : first + DRAWS_AT_ONCE]
            chosen = generator.integers(0, handfuls, rows.shape) + np.arange(len(rows))[:, None] * handfuls
            rows[:] = np.bincount(chosen.ravel(), minlength=rows.size).reshape(rows.shape)
        self._symbols = float(sizes.sum())
        self._drawn_symbols = self._drawn_sums(sizes.astype(np.float64))

    def loss(self, nats: Float[np.ndarray, " lines"]) -> Loss:
        """The loss of a model that spent `nats` on each line."""
        assert len(nats) == self._lines, (len(nats), self._lines)
        drawn = self._drawn_sums(nats) / self._drawn_symbols
        return Loss(float(nats.sum()) / self._symbols, drawn, self._lines)

    def _drawn_sums(self, values: np.ndarray) -> np.ndarray:
        sums = np.add.reduceat(values, self._starts)
        endless = np.isinf(sums)  # none of an infinite line is nothing, but 0 times infinity is NaN
        finite = np.where(endless, 0.0, sums)
        out = np.empty(len(self._counts))
        for first in range(0, len(out), DRAWS_AT_ONCE):
            counts = self._counts[first : first + DRAWS_AT_ONCE]
            out[first : first + DRAWS_AT_ONCE] = counts.astype(np.float64) @ finite
        out[self._counts[:, endless].any(1)] = math.inf
        return out


def _interval(value: float, drawn: np.ndarray, lines: int) -> Interval:
    if lines < 2 or not len(drawn):
        return Interval(value, math.nan, math.nan)
    tail = _tail(lines)
    # Observations, not what lies between two of them: one of them may be infinite.
    low, high = np.quantile(drawn, [tail, 1 - tail], method="closest_observation")
    return Interval(value, float(low), float(high))


def _tail(lines: int) -> float:
    """The share of draws beyond each end: 0.025, less where few lines make the plain percentiles too narrow.

    A percentile interval of n lines is as wide as z sqrt((n - 1) / n) standard errors, and should be as wide as t with
    n - 1 degrees of freedom: Hesterberg's expanded percentiles.
    """
    freedom = lines - 1
    return NormalDist().cdf(-t_quantile(freedom) * math.sqrt(lines / freedom))


def t_quantile(freedom: int) -> float:
    """Between minus this and this lies 95 % of Student's t: its expansion in 1 / freedom (Cornish and Fisher).

    From three degrees of freedom on it is right to one percent.
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return t + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)

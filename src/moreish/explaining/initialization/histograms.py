"""How values are spread: evenly binned within bounds, or by their sizes where nothing bounds them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

BINS = 40


@dataclass(frozen=True)
class Histogram:
    """Shares of values in BINS bins of equal width from `low` to `high`.

    `by_powers` says that what is counted is the logarithm to base ten of each value's size; those that are 0 have none
    and are `zero`, a share of all.
    """

    low: float
    high: float
    shares: list[float]
    by_powers: bool
    zero: float


def histogram(values: Float[Tensor, ...], bounds: tuple[float, float] | None) -> Histogram:
    """Between the bounds where there are such; else of sizes, by powers of ten, the smallest thousandth left out."""
    values = values.flatten()
    if bounds is not None:
        counts = torch.histc(values, BINS, *bounds)
        return Histogram(*bounds, _rounded(counts, len(values)), False, 0.0)
    there = values[values != 0]
    if not len(there):
        return Histogram(0.0, 1.0, [0.0] * BINS, True, 1.0)
    sizes = there.abs().log10()
    low = float(sizes.kthvalue(1 + len(sizes) // 1000).values)
    high = float(sizes.max())
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(sizes, BINS, low, high)
    return Histogram(low, high, _rounded(counts, len(values)), True, 1 - len(there) / len(values))


def _rounded(counts: Tensor, total: int) -> list[float]:
    return [round(count / total, 6) for count in counts.tolist()]

"""The likelihood of a list as a product, where it underflows, and what is done about it: log, minus, mean.

Source: Karpathy, makemore part 1; the smallest positive numbers are those of IEEE 754, subnormal ones included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moreish.explaining.bigram.table import Table

PRECISIONS: dict[str, type[np.floating]] = {"float32": np.float32, "float64": np.float64}
SHOWN = 120
"""Points at which the running product is kept, about."""


@dataclass(frozen=True)
class Underflow:
    """Where the running product of probabilities becomes 0 in a precision.

    `at` is the symbol, counted from 1, whose factor makes it 0; `in_line` the line, counted from 1, that it stands in.
    `digits_lost_at` is the first symbol after which the product is subnormal: below `smallest_normal` digits get lost.
    Both are null where the list ends before.
    """

    precision: str
    smallest: float
    smallest_normal: float
    digits_lost_at: int | None
    at: int | None
    in_line: int | None


@dataclass(frozen=True)
class Running:
    """The product of the first `symbols` probabilities: the logarithm (base 10) of it, and of what each precision
    holds, null once that is 0.
    """

    symbols: int
    log10: float
    float32: float | None
    float64: float | None


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of the list under its own counts, four ways.

    `log10` says of what size the product is: 10 to this power. `log` is its logarithm, in nats, `negative` that times
    -1, `mean` that divided by the symbols; `perplexity` is e to the mean.
    """

    symbols: int
    log10: float
    log: float
    negative: float
    mean: float
    perplexity: float
    underflows: list[Underflow]
    running: list[Running]


def likelihood_of(table: Table) -> Likelihood:
    """Multiply the list's probabilities one by one, in the order of its lines."""
    before, after = table.stream[:-1], table.stream[1:]
    factors = table.probabilities[before, after]
    logs = np.log(factors)
    products = {name: np.cumprod(factors.astype(kind), dtype=kind) for name, kind in PRECISIONS.items()}
    lines = np.cumsum(before == 0)
    underflows = [_underflow(name, product, lines) for name, product in products.items()]
    total = float(logs.sum())
    running = _running(np.cumsum(logs) / np.log(10), products, underflows[-1].at)
    mean = (0.0 - total) / len(logs)
    return Likelihood(
        len(logs), total / np.log(10), total, 0.0 - total, mean, float(np.exp(mean)), underflows, running
    )  # fmt: skip


def _underflow(name: str, product: np.ndarray, lines: np.ndarray) -> Underflow:
    about = np.finfo(product.dtype)
    gone, lost = _first(product == 0), _first(product < about.smallest_normal)
    at = None if gone is None else gone + 1
    return Underflow(
        name, float(about.smallest_subnormal), float(about.smallest_normal), None if lost is None else lost + 1, at,
        None if gone is None else int(lines[gone]),
    )  # fmt: skip


def _running(log10: np.ndarray, products: dict[str, np.ndarray], end: int | None) -> list[Running]:
    """Points evenly apart, to a little beyond where float64 holds nothing any more."""
    last = len(log10) if end is None else min(len(log10), end + end // 8)
    points = []
    for i in np.unique(np.linspace(0, last - 1, min(last, SHOWN)).astype(int)):
        held = [float(np.log10(p[i])) if p[i] > 0 else None for p in products.values()]
        points.append(Running(int(i) + 1, float(log10[i]), *held))
    return points


def _first(true: np.ndarray) -> int | None:
    """Where the first True stands, if any does."""
    return int(true.argmax()) if true.any() else None

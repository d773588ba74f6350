"""Vitals: numbers for each site and each parameter of a network at one step of learning.

Source: Karpathy, makemore part 3 (saturation at |tanh| > 0.97, gradient:data, update:data with -3 as the guide);
McCandlish et al. 2018, An Empirical Model of Large-Batch Training, appendix A.1 (the noise scale). Where we differ:
update:data is that of the real change of the parameters, for lr x gradient is not what AdamW or Muon take.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from moreish.learning.watch import NormReading, Reading

SATURATED = 0.97
"""The lecture's bound: beyond it a tanh lets less than 6 % of the gradient through."""
SIGMOID_SATURATED = (1 + SATURATED) / 2
"""The same point of a sigmoid's argument times two: sigmoid(2x) = (1 + tanh(x)) / 2."""
BINS = 40
MOST_DRAWN = 4096
"""Numbers that a histogram is made of, evenly chosen where there are more: counting all would take longer than a step
of learning."""
GUIDE = -3.0
"""log10 of update:data, by the lecture."""
BOUNDED = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of equal width from `low` to `high`; what lies beyond is in the outermost.

    Of about 4,096 numbers, evenly chosen, where there are more.
    """

    low: float
    high: float
    counts: list[int]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (dividing by n) of numbers, None where there are none that are finite.

    The histogram is None where it was not asked for (parameters, and gradients of vectors) or all are the same.
    """

    mean: float | None
    deviation: float | None
    histogram: Histogram | None
    not_finite: int = 0
    """How many were infinite or no number."""


@dataclass(frozen=True)
class SiteVitals:
    """What a site gave to a batch, and the gradient of the loss that came back to it.

    `saturated` is the share of a tanh's (or sigmoid's) results so near its ends that less than 6 % of a gradient
    passes; `dead` the share of units through which none of the batch passed any: always 0 after a ReLU, always
    saturated at a tanh. None for sites of other kinds.
    """

    site: str
    kind: str
    units: int
    activation: Spread
    gradient: Spread | None
    saturated: float | None
    dead: float | None


@dataclass(frozen=True)
class ParameterVitals:
    """A parameter, its gradient (before clipping), and its real change in the step.

    `gradient_to_data` is the gradient's deviation over the data's; `update_to_data` log10 of the change's deviation
    over the data's, None where it did not change.
    """

    name: str
    shape: list[int]
    data: Spread
    gradient: Spread | None
    gradient_to_data: float | None
    update_to_data: float | None


@dataclass(frozen=True)
class NormVitals:
    """A BatchNorm's batch against what it keeps, the mean over its units.

    `mean_apart` is the distance of the means in kept deviations, `deviation_ratio` the batch's deviation over the kept.
    """

    site: str
    rows: int
    learning: bool
    mean_apart: float | None
    deviation_ratio: float | None


@dataclass(frozen=True)
class Noise:
    """A minibatch's gradient against the true one, from two batches of `batch` examples at the same parameters.

    `squared_norm` estimates the true gradient's squared norm (the product of both), `variance` the noise of one example
    (half the squared distance times the batch); each alone is rough, so divide their means over several steps:
    `noise_scale`. An example is a line, or a window where batches are of windows. Dropout's noise is in it.
    """

    squared_norm: float
    variance: float
    batch: int


@dataclass(frozen=True)
class Vitals:
    """A network at one step, counted from 1: before its change, but for `update_to_data`.

    `loss` is that of the step's batch, `unsure` ln V: what knowing nothing costs. `clipped` is what the gradient was
    multiplied by before it was used, 1 where it was not too long.
    """

    step: int
    loss: float
    unsure: float
    sites: list[SiteVitals]
    parameters: list[ParameterVitals]
    norms: list[NormVitals]
    noise: Noise | None
    clipped: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class NoiseScale:
    """At how many examples a batch's gradient is as much noise as signal, from `readings` steps; None if not known.

    `signal` is the mean of `squared_norm`, `doubt` its standard error.
    """

    examples: float | None
    readings: int
    batch: int
    signal: float
    doubt: float | None


def noise_scale(readings: Iterable[Noise]) -> NoiseScale | None:
    """The simple noise scale, trace of the covariance over the squared norm (McCandlish et al. 2018, equation 2.9).

    Not known where the signal is within two standard errors of nothing. None without readings.
    """
    found = list(readings)
    if not found:
        return None
    n = len(found)
    signal = sum(one.squared_norm for one in found) / n
    variance = sum(one.variance for one in found) / n
    doubt = None
    if n > 1:
        doubt = math.sqrt(sum((one.squared_norm - signal) ** 2 for one in found) / (n - 1) / n)
    known = signal > 0 and (doubt is None or signal > 2 * doubt)
    return NoiseScale(variance / signal if known else None, n, found[-1].batch, signal, doubt)


def site_vitals(reading: Reading) -> SiteVitals:
    """The numbers of one site."""
    a = reading.activation
    ends = None
    if reading.kind == "tanh":
        ends = a.abs() > SATURATED
    elif reading.kind == "sigmoid":
        ends = (a - 0.5).abs() > SIGMOID_SATURATED - 0.5
    elif reading.kind == "relu":
        ends = a <= 0
    saturated = dead = None
    if ends is not None and a.numel():
        units = ends.sum(0, dtype=torch.float32)
        dead = float((units == len(a)).float().mean())
        saturated = None if reading.kind == "relu" else float(units.double().sum() / a.numel())
    return SiteVitals(
        reading.site, reading.kind, a.shape[-1], spread(a, BOUNDED.get(reading.kind)),
        None if reading.gradient is None else spread(reading.gradient), saturated, dead,
    )  # fmt: skip


def parameter_vitals(name: str, before: Tensor, gradient: Tensor | None, after: Tensor | None) -> ParameterVitals:
    """The numbers of one parameter: its data, the gradient of the step, and the data after it (None: not known)."""
    data = spread(before, drawn=False)
    slope = None if gradient is None else spread(gradient, drawn=gradient.ndim > 1)
    to_data = update = None
    if data.deviation:
        if slope is not None and slope.deviation is not None:
            to_data = _finite(slope.deviation / data.deviation)
        moved = None if after is None else spread(after.detach() - before.detach(), drawn=False).deviation
        update = math.log10(moved / data.deviation) if moved else None
    return ParameterVitals(name, list(before.shape), data, slope, to_data, update)


def norm_vitals(norm: NormReading) -> NormVitals:
    """The numbers of one BatchNorm."""
    kept = norm.running_variance.clamp_min(1e-12).sqrt()
    return NormVitals(
        norm.site, norm.rows, norm.learning,
        _finite(float(((norm.mean - norm.running_mean).abs() / kept).mean())),
        _finite(float((norm.variance.sqrt() / kept).mean())),
    )  # fmt: skip


def noise_of(one: Iterable[Tensor], other: Iterable[Tensor], batch: int) -> Noise:
    """The noise of a gradient, from those of two independent batches of `batch` examples at the same parameters."""
    signal = apart = 0.0
    for a, b in zip(one, other):
        a, b = (t.detach().flatten().cpu().double() for t in (a, b))
        signal += float(a @ b)
        apart += float((a - b).square_().sum())
    return Noise(signal, apart / 2 * batch, batch)


def spread(t: Tensor, bounds: tuple[float, float] | None = None, *, drawn: bool = True) -> Spread:
    """Mean, deviation and, where it is to be drawn, a histogram: over `bounds`, or four deviations to each side."""
    flat = t.detach().reshape(-1).float()
    if not flat.numel():
        return Spread(None, None, None)
    mean, deviation = _moments(flat)
    lost = 0
    if not (math.isfinite(mean) and math.isfinite(deviation)):  # a number is not finite, or float32 does not reach
        flat = flat[torch.isfinite(flat)].cpu().double()
        lost = t.numel() - flat.numel()
        if not flat.numel():
            return Spread(None, None, None, lost)
        mean, deviation = _moments(flat)
    low, high = bounds or (mean - 4 * deviation, mean + 4 * deviation)
    histogram = None
    if drawn and low < high:
        some = flat[:: _stride(flat.numel(), t.shape[-1] if t.ndim else 1)].double()
        counts = torch.histc(some.clamp(low, high), BINS, low, high)
        histogram = Histogram(low, high, [int(n) for n in counts.tolist()])
    return Spread(mean, deviation, histogram, lost)


def _moments(flat: Tensor) -> tuple[float, float]:
    """Mean and deviation, in half the time of torch's own, which reads number by number."""
    mean = flat.mean()
    return float(mean), float(torch.linalg.vector_norm(flat - mean)) / math.sqrt(flat.numel())


def _stride(numbers: int, columns: int) -> int:
    """How far apart the numbers of a histogram stand, so that every column comes as often as any other."""
    stride = -(-numbers // MOST_DRAWN)
    while math.gcd(stride, columns) > 1:
        stride += 1
    return stride


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None

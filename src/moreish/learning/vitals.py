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
GUIDE = -3.0
"""log10 of update:data, by the lecture."""
BOUNDED = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of equal width from `low` to `high`; what lies beyond is in the outermost."""

    low: float
    high: float
    counts: list[int]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of numbers (None where there are none that are finite), and their histogram."""

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
    """A parameter, its gradient, and its real change in the step.

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
    """A minibatch's gradient against the true one, from two batches at the same parameters.

    `squared_norm` estimates the true gradient's squared norm (the product of both), `variance` the noise of one example
    (half the squared distance times the batch); each alone is rough, so divide their means over several steps.
    """

    squared_norm: float
    variance: float
    batch: int


@dataclass(frozen=True)
class Vitals:
    """A network at one step. `loss` is that of the batch before the step, `unsure` ln V: what knowing nothing costs."""

    step: int
    loss: float
    unsure: float
    sites: list[SiteVitals]
    parameters: list[ParameterVitals]
    norms: list[NormVitals]
    noise: Noise | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def site_vitals(reading: Reading) -> SiteVitals:
    """The numbers of one site."""
    a = reading.activation
    saturated = dead = None
    if reading.kind == "tanh":
        ends = a.abs() > SATURATED
        saturated, dead = _share(ends), _share(ends.all(0))
    elif reading.kind == "sigmoid":
        ends = (a - 0.5).abs() > SIGMOID_SATURATED - 0.5
        saturated, dead = _share(ends), _share(ends.all(0))
    elif reading.kind == "relu":
        dead = _share((a <= 0).all(0))
    return SiteVitals(
        reading.site, reading.kind, a.shape[-1], spread(a, BOUNDED.get(reading.kind)),
        None if reading.gradient is None else spread(reading.gradient), saturated, dead,
    )  # fmt: skip


def parameter_vitals(name: str, before: Tensor, gradient: Tensor | None, after: Tensor | None) -> ParameterVitals:
    """The numbers of one parameter: its data, the gradient of the step, and the data after it (None: not known)."""
    data = before.detach()
    size = _deviation(data)
    to_data = update = None
    if gradient is not None and size:
        to_data = _finite(_deviation(gradient) / size)
    if after is not None and size:
        moved = _deviation(after.detach() - data)
        update = math.log10(moved / size) if moved > 0 and math.isfinite(moved) else None
    return ParameterVitals(
        name, list(before.shape), spread(data), None if gradient is None else spread(gradient), to_data, update
    )


def norm_vitals(norm: NormReading) -> NormVitals:
    """The numbers of one BatchNorm."""
    kept = norm.running_variance.clamp_min(1e-12).sqrt()
    return NormVitals(
        norm.site, norm.rows, norm.learning,
        _finite(float(((norm.mean - norm.running_mean).abs() / kept).mean())),
        _finite(float((norm.variance.sqrt() / kept).mean())),
    )  # fmt: skip


def noise_of(one: Iterable[Tensor], other: Iterable[Tensor], batch: int) -> Noise:
    """The noise of a gradient, from those of two batches of `batch` examples at the same parameters."""
    pairs = [(a.double().flatten(), b.double().flatten()) for a, b in zip(one, other)]
    signal = sum(float(a @ b) for a, b in pairs)
    apart = sum(float((a - b) @ (a - b)) for a, b in pairs)
    return Noise(signal, apart / 2 * batch, batch)


def spread(t: Tensor, bounds: tuple[float, float] | None = None) -> Spread:
    """Mean, deviation and histogram; over `bounds`, or four deviations to each side of the mean."""
    flat = t.detach().reshape(-1).float()
    finite = torch.isfinite(flat)
    lost = int(flat.numel() - int(finite.sum()))
    if lost:
        flat = flat[finite]
    if not flat.numel():
        return Spread(None, None, None, lost)
    mean, deviation = float(flat.mean()), _deviation(flat)
    low, high = bounds or (mean - 4 * deviation, mean + 4 * deviation)
    histogram = None
    if low < high and math.isfinite(low) and math.isfinite(high):
        counts = torch.histc(flat.clamp(low, high), BINS, low, high)
        histogram = Histogram(low, high, [int(n) for n in counts])
    return Spread(_finite(mean), _finite(deviation), histogram, lost)


def _deviation(t: Tensor) -> float:
    """The deviation, dividing by n: a single number has none."""
    return float(t.float().std(correction=0)) if t.numel() else 0.0


def _share(t: Tensor) -> float:
    return float(t.float().mean()) if t.numel() else 0.0


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None

"""By what BatchNorm divides: n or n - 1, found out of layers by their numbers and not by their documentation.

A layer is shown one batch of n rows. What it gives tells the variance that it divided by, and the sum of squares over
that variance is the divisor. The paper's and the lecture's ways are written out and asked in the same manner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from moreish.layers import BatchNorm
from moreish.ops.normalize import EPSILON
from moreish.randomness import stream

ROWS, WIDTH = 5, 64
NEAR = 1e-6
"""How near to a whole number a divisor must come; in float64 they come within about 1e-13."""

N, LESS = "n", "n - 1"


@runtime_checkable
class Normalizer(Protocol):
    """What is asked: a batch while learning, then the stored variance, then rows in evaluation."""

    def learn(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]: ...
    def stored(self) -> Float[Tensor, " D"]: ...
    def evaluate(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]: ...


@dataclass(frozen=True)
class Convention:
    """Who divides by what: `n`, `n - 1`, or `neither`, in the batch, in the stored variance, in evaluation.

    `divisors` are the three numbers that were measured for a batch of `rows`; `note` says what else is particular.
    """

    who: str
    batch: str
    stored: str
    evaluation: str
    rows: int
    divisors: tuple[float, float, float]
    source: str
    note: str


class _Torch:
    """torch's own layer; momentum 1, so that one batch is all it stores."""

    def __init__(self) -> None:
        self.layer = nn.BatchNorm1d(WIDTH, momentum=1.0, dtype=torch.float64)

    def learn(self, x: Tensor) -> Tensor:
        return self.layer.train()(x)

    def stored(self) -> Tensor:
        assert self.layer.running_var is not None
        return self.layer.running_var

    def evaluate(self, x: Tensor) -> Tensor:
        return self.layer.eval()(x)


class _Ours:
    """`moreish.layers.BatchNorm`."""

    def __init__(self) -> None:
        self.layer = BatchNorm(WIDTH, momentum=1.0).double()

    def learn(self, x: Tensor) -> Tensor:
        return self.layer.train()(x)

    def stored(self) -> Tensor:
        return self.layer.running_variance

    def evaluate(self, x: Tensor) -> Tensor:
        return self.layer.eval()(x)


class _Written:
    """A way that is written out: the variance in the batch, and what of it is stored."""

    def __init__(self, in_batch: Callable[[Tensor], Tensor], to_store: Callable[[Tensor], Tensor]):
        self.in_batch, self.to_store = in_batch, to_store
        self.mean = self.variance = torch.zeros(0)

    def learn(self, x: Tensor) -> Tensor:
        self.mean, self.variance = x.mean(0), self.to_store(x)
        return (x - x.mean(0)) / torch.sqrt(self.in_batch(x) + EPSILON)

    def stored(self) -> Tensor:
        return self.variance

    def evaluate(self, x: Tensor) -> Tensor:
        return (x - self.mean) / torch.sqrt(self.variance + EPSILON)


def _paper_batch(x: Tensor) -> Tensor:
    """Algorithm 1: 1/m sum of (x - mean)^2."""
    return (x - x.mean(0)).square().sum(0) / len(x)


def _paper_stored(x: Tensor) -> Tensor:
    """Algorithm 2, step 10: m/(m - 1) E[variance of a batch]; here of one batch."""
    return len(x) / (len(x) - 1) * _paper_batch(x)


def _lecture_batch(x: Tensor) -> Tensor:
    """Part 4: `bnvar = 1/(n-1)*(bndiff2).sum(0, keepdim=True)`; part 3 by `x.var(0)` and `hpreact.std(0)`."""
    return x.var(0)


WAYS: dict[str, tuple[Callable[[], Normalizer], str, str]] = {
    "torch": (
        _Torch,
        f"nn.BatchNorm1d of torch {torch.__version__.split('+')[0]}, measured",
        f"a running mean of variances, momentum {nn.BatchNorm1d(1).momentum:g}",
    ),
    "paper": (
        lambda: _Written(_paper_batch, _paper_stored),
        "Ioffe and Szegedy 2015, algorithms 1 and 2, written out",
        "the mean over many batches, once learning is over",
    ),
    "lecture": (
        lambda: _Written(_lecture_batch, _lecture_batch),
        "Karpathy, makemore parts 3 and 4, written out",
        "part 3 at first keeps a running mean of deviations, not variances; part 4 takes one variance of all of train",
    ),
    "moreish": (
        _Ours,
        "BatchNorm of moreish.layers, measured",
        f"a running mean of variances, momentum {BatchNorm(1).momentum:g}",
    ),
}


def conventions() -> list[Convention]:
    """Who divides by what, each asked by the same batch."""
    return [_asked(who, make(), source, note) for who, (make, source, note) in WAYS.items()]


@torch.no_grad()
def divisors(way: Normalizer) -> tuple[float, float, float]:
    """The numbers by which the sum of squares is divided: in the batch, in what is stored, in evaluation.

    Each is the mean over channels; nan where channels do not agree.
    """
    x = 3 * torch.randn(ROWS, WIDTH, generator=stream(0, "divisors"), dtype=torch.float64) + 1
    centred = x - x.mean(0)
    squares = centred.square().sum(0)
    in_batch = _variance(centred, way.learn(x))
    stored = way.stored()
    in_evaluation = _variance(centred, way.evaluate(x))
    return _agreed(squares / in_batch), _agreed(squares / stored), _agreed(squares / in_evaluation)


def _variance(centred: Tensor, given: Tensor) -> Tensor:
    """By what variance each channel was divided: given = centred / sqrt(variance + EPSILON)."""
    return centred.square().sum(0) / given.square().sum(0) - EPSILON


def _agreed(found: Tensor) -> float:
    return float(found.mean()) if float(found.max() - found.min()) < NEAR else float("nan")


def _asked(who: str, way: Normalizer, source: str, note: str) -> Convention:
    found = divisors(way)
    batch, stored, evaluation = (_named(divisor) for divisor in found)
    return Convention(who, batch, stored, evaluation, ROWS, found, source, note)


def _named(divisor: float) -> str:
    for name, wanted in ((N, ROWS), (LESS, ROWS - 1)):
        if abs(divisor - wanted) < NEAR:
            return name
    return "neither"

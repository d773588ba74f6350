"""Whether a gradient by hand is autograd's: exact, rounding, or an error. Never a bare "False".

Two right ways to one gradient rarely agree in their last bits, because floating-point sums depend on their order. So
equality to the bit says little, and a fixed tolerance says little more: what is rounding for one tensor is a mistake
for another. Here both gradients are worked out a second time in float64, on the same numbers. A mistake stays as it
was; rounding all but vanishes, by a factor of 2 ** 29.

    exact      the same to the bit
    rounding   the difference in float64 has vanished, and float32 explains what there is
    error      anything else

What float32 explains is measured, not guessed: autograd itself is off its own float64 gradient by so much, its `noise`.
A difference is explained if it is at most AS_AUTOGRAD times that and OWN units in the last place (ulps). An ulp is the
distance between neighbouring float32 numbers at the gradient's largest entry. Where a gradient is zero in theory (a
bias before BatchNorm), all its digits are noise, and the ulp is that of the largest gradient in the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

Verdict = Literal["exact", "rounding", "error"]

OWN = 16
"""Ulps of its largest entry that a gradient may be off by its own rounding."""
AS_AUTOGRAD = 8
"""Times autograd's own error that it may be off."""
LOSS_OF_BITS = 2.0**-29
"""What a rounding error shrinks by in float64: 53 bits for 24."""
SLACK = 16
"""Float64 rounds at other places than float32; so many times what the shrunk error would be is still rounding."""
ZERO = 1e-12
"""A gradient this small beside the largest of the table, in float64, is zero in theory."""


@dataclass(frozen=True)
class Both:
    """A gradient found twice, by hand and by autograd, each in float32 and again in float64."""

    name: str
    by_hand: Float32[Tensor, ...]
    autograd: Float32[Tensor, ...]
    by_hand64: Float64[Tensor, ...]
    autograd64: Float64[Tensor, ...]


@dataclass(frozen=True)
class Compared:
    """A gradient by hand held against autograd's.

    `max_difference` is in float32, the largest over all entries; `ulps` is the same in units in the last place.
    """

    name: str
    shape: tuple[int, ...]
    max_difference: float
    ulps: float
    verdict: Verdict
    is_zero: bool = False
    """Whether the true gradient is zero, and what there is of it noise."""

    def to_dict(self) -> dict[str, object]:
        """As it stands in JSON; a difference that is no number is null."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "max_difference": self.max_difference if math.isfinite(self.max_difference) else None,
            "ulps": self.ulps if math.isfinite(self.ulps) else None,
            "verdict": self.verdict,
        }


def judge(gradients: Iterable[Both]) -> list[Compared]:
    """The verdict on each gradient of a table. See the module's words."""
    table = list(gradients)
    largest = max((_most(both.autograd64) for both in table), default=0.0)
    return [_judged(both, largest) for both in table]


def _judged(both: Both, largest: float) -> Compared:
    size = _most(both.autograd64)
    is_zero = size <= ZERO * largest
    unit = ulp(largest if is_zero else size)
    noise = _apart(both.autograd, both.autograd64)
    apart = _apart(both.by_hand, both.autograd)
    explained = OWN * unit + AS_AUTOGRAD * noise
    apart64 = _apart(both.by_hand64, both.autograd64)
    if not apart64 <= explained * LOSS_OF_BITS * SLACK:
        verdict: Verdict = "error"
    elif torch.equal(both.by_hand, both.autograd):
        verdict = "exact"
    else:
        verdict = "rounding" if apart <= explained else "error"
    return Compared(both.name, tuple(both.autograd.shape), apart, apart / unit, verdict, is_zero)


def ulp(x: float) -> float:
    """The distance from a float32 number of this size to the next one."""
    if not math.isfinite(x):
        return math.inf
    return 2.0 ** (max(math.frexp(abs(x))[1], -125) - 24)


def _most(x: Tensor) -> float:
    return float(x.abs().max()) if x.numel() else 0.0


def _apart(one: Tensor, other: Tensor) -> float:
    """The largest difference of two entries; infinite where one of them is not finite and the other is another."""
    if not one.numel():
        return 0.0
    one, other = one.double(), other.double()
    same = (one == other) | (one.isnan() & other.isnan())
    return float(torch.where(same, 0.0, (one - other).abs()).nan_to_num(nan=math.inf).max())

"""Whether a gradient by hand is autograd's: exact, rounding, or an error. Never a bare "False".

Two right ways to one gradient rarely agree in their last bits, because floating-point sums depend on their order. So
equality to the bit says little, and a fixed tolerance says little more: what is rounding for one tensor is a mistake
for another. Here both gradients are worked out a second time in float64, on the same numbers. A mistake stays as it
was; rounding all but vanishes, by a factor of 2 ** 29.

    exact      the same to the bit
    rounding   the difference in float64 has vanished, and float32 explains what there is
    error      anything else

What float32 explains is measured, not guessed: by how much autograd in float32 is off autograd in float64, here and on
a few nearby problems (the same, its weights moved a little), so that luck plays no part. A difference is explained if
it is at most AS_AUTOGRAD times the largest of these and OWN units in the last place (ulps). An ulp is the distance
between neighbouring float32 numbers at the gradient's largest entry. Where a gradient is zero in theory (a bias before
BatchNorm), all its digits are rounding: the ulp is then that of the largest gradient in the table, and the error too.
Where BatchNorm divides by almost nothing (two windows that are nearly alike), rounding is magnified on its way back and
lands elsewhere for each way of computing: then the noisiest gradient of the table says what is explained, times
WHERE_MAGNIFIED. The test in float64 stays as sharp as it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from moreish.randomness import stream

Verdict = Literal["exact", "rounding", "error"]

OWN = 16
"""Ulps of its largest entry that a gradient may be off by its own rounding."""
AS_AUTOGRAD = 8
"""Times autograd's own error that it may be off."""
MAGNIFIED = 64
"""Ulps from which on autograd's own error is not a gradient's own rounding, but magnified from before."""
WHERE_MAGNIFIED = 32
LOSS_OF_BITS = 2.0**-29
"""What a rounding error shrinks by in float64: 53 bits for 24."""
SLACK = 16
"""Float64 rounds at other places than float32; so many times what the shrunk error would be is still rounding."""
NEARBY = 3
"""Nearby problems that autograd's own error is measured on as well."""
MOVED = 1e-3
"""How far weights are moved for them, as a share of each."""
ZERO = 1e-12
"""A gradient this small beside the largest of the table, in float64, is zero in theory."""


def moved(parameters: dict[str, Tensor], which: int) -> dict[str, Tensor]:
    """The weights of a nearby problem."""
    generator = stream(which, "verdicts/nearby")
    return {
        name: t * (1 + MOVED * torch.randn(t.shape, generator=generator).to(t.dtype)) for name, t in parameters.items()
    }


@dataclass(frozen=True)
class Both:
    """A gradient found twice, by hand and by autograd, each in float32 and again in float64."""

    name: str
    by_hand: Float32[Tensor, ...]
    autograd: Float32[Tensor, ...]
    by_hand64: Float64[Tensor, ...]
    autograd64: Float64[Tensor, ...]
    nearby: float = 0.0
    """The largest difference of autograd's own gradients, float32 from float64, on nearby problems."""

    @property
    def noise(self) -> float:
        """By how much float32 is off, as far as was seen."""
        return max(self.nearby, apart(self.autograd, self.autograd64))


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
    noisiest = max((both.noise for both in table), default=0.0)
    sized = [(both.noise, _most(both.autograd64)) for both in table]
    magnified = any(noise > MAGNIFIED * ulp(size) for noise, size in sized if size > ZERO * largest)
    seen = WHERE_MAGNIFIED * noisiest if magnified else 0.0
    return [_judged(both, largest, max(seen, AS_AUTOGRAD * both.noise), noisiest) for both in table]


def _judged(both: Both, largest: float, seen: float, noisiest: float) -> Compared:
    size = _most(both.autograd64)
    is_zero = size <= ZERO * largest
    unit = ulp(largest if is_zero else size)
    explained = OWN * unit + (max(seen, AS_AUTOGRAD * noisiest) if is_zero else seen)
    off = apart(both.by_hand, both.autograd)
    if not apart(both.by_hand64, both.autograd64) <= explained * LOSS_OF_BITS * SLACK:
        verdict: Verdict = "error"
    elif torch.equal(both.by_hand, both.autograd):
        verdict = "exact"
    else:
        verdict = "rounding" if off <= explained else "error"
    return Compared(both.name, tuple(both.autograd.shape), off, off / unit, verdict, is_zero)


def ulp(x: float) -> float:
    """The distance from a float32 number of this size to the next one."""
    if not math.isfinite(x):
        return math.inf
    exponent = math.frexp(abs(x))[1] if x else -125
    return 2.0 ** (max(exponent, -125) - 24)


def _most(x: Tensor) -> float:
    return float(x.abs().max()) if x.numel() else 0.0


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference of two entries; infinite where one of them is not finite and the other is another."""
    if not one.numel():
        return 0.0
    one, other = one.double(), other.double()
    same = (one == other) | (one.isnan() & other.isnan())
    return float(torch.where(same, 0.0, (one - other).abs()).nan_to_num(nan=math.inf, posinf=math.inf).max())

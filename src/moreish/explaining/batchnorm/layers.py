"""The layers that are asked: ours, torch's, the lecture's; and the variants with a fault, which no model has.

Source: Ioffe and Szegedy 2015, algorithms 1 and 2; Karpathy, makemore part 5, whose class took the mean over axis 0
whatever the input's shape, until he mended it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from moreish.layers import BatchNorm

Make = Callable[[int], nn.Module]
"""A layer for so many channels, in float64."""


class FirstAxis(BatchNorm):
    """BatchNorm over the first axis only, the lecture's fault: of [B T D] each of the T places is normalised by itself.

    The stored statistics become [T D]. Gain and bias are one for all places, as the lecture's are.

    Args:
        correction: what is taken from n in the batch: the lecture's 1; 0 as in our layer, so that nothing but the axes
            differs.
    """

    def __init__(self, width: int, *, correction: int = 0, momentum: float = 0.1):
        super().__init__(width, momentum=momentum)
        self.correction = correction

    def over(self, x: Tensor) -> tuple[int, ...]:
        """The axes that the statistics are taken over."""
        return (0,)

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        if self.training:
            over = self.over(x)
            mean = x.mean(over)
            squares = (x - mean).square().sum(over)
            count = x.numel() // mean.numel()
            variance = squares / (count - self.correction)
            with torch.no_grad():
                kept = squares / (count - 1)
                self.running_mean = torch.lerp(self.running_mean.expand_as(mean), mean, self.momentum)
                self.running_variance = torch.lerp(self.running_variance.expand_as(kept), kept, self.momentum)
        else:
            mean, variance = self.running_mean, self.running_variance
        return (x - mean) * torch.rsqrt(variance + self.epsilon) * self.gain + self.bias


class Mended(FirstAxis):
    """The lecture's class once it is mended: over axis 0 of [N D], over axes 0 and 1 of [B T D]."""

    def over(self, x: Tensor) -> tuple[int, ...]:
        return tuple(range(x.ndim - 1))


class Turned(nn.Module):
    """torch's layer on [B T D] as it wants it: the channels moved to the middle, and back."""

    def __init__(self, width: int):
        super().__init__()
        self.layer = nn.BatchNorm1d(width)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        return self.layer(x.transpose(1, 2)).transpose(1, 2)


class NoGrad(nn.Module):
    """torch's layer in learning mode within `torch.no_grad()`: an evaluation that forgot to call `eval()`."""

    def __init__(self, width: int):
        super().__init__()
        self.layer = nn.BatchNorm1d(width)

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        with torch.no_grad():
            return self.layer(x)


@dataclass(frozen=True)
class Asked:
    """A layer by its name, and how it is made."""

    who: str
    make: Make


OURS = Asked("moreish", lambda width: BatchNorm(width).double())
TORCH = Asked("torch", lambda width: nn.BatchNorm1d(width).double())
TORCH_TURNED = Asked("torch transposed", lambda width: Turned(width).double())
TORCH_NO_GRAD = Asked("torch under no_grad", lambda width: NoGrad(width).double())
TORCH_UNTRACKED = Asked(
    "torch without buffers", lambda width: nn.BatchNorm1d(width, track_running_stats=False).double()
)
LECTURE_FIRST = Asked("lecture at first", lambda width: FirstAxis(width, correction=1).double())
LECTURE_MENDED = Asked("lecture mended", lambda width: Mended(width, correction=1).double())


def buffers_of(layer: nn.Module) -> dict[str, Tensor]:
    """Copies of the running statistics, by name; what counts batches is none."""
    return {name: b.clone() for name, b in layer.named_buffers() if b.is_floating_point()}

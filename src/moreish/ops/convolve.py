"""Convolutions along a line that never see later symbols, their gate, and the fusing of neighbours."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def convolve_pair(
    earlier: Float[Tensor, "*N K"],
    now: Float[Tensor, "*N K"],
    weight: Float[Tensor, "D L"],
    bias: Float[Tensor, " D"] | None = None,
) -> Float[Tensor, "*N D"]:
    """[earlier now] @ weight.T + bias: a causal convolution with a kernel of two, L = 2 K.

    `earlier` is what stood `dilation` places before; nn.Conv1d(K, D, 2, dilation=...) has the halves of the weight as
    weight[:, :, 0] and weight[:, :, 1]. Source: van den Oord et al. 2016, WaveNet, section 2.1.
    """
    return F.linear(torch.cat([earlier, now], -1), weight, bias)


def gated(x: Float[Tensor, "*N K"]) -> Float[Tensor, "*N D"]:
    """tanh(first half) * sigmoid(second half).

    Source: van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders, equation 1; WaveNet, 2.
    """
    filtered, gate = x.chunk(2, -1)
    return torch.tanh(filtered) * torch.sigmoid(gate)


def fuse(x: Float[Tensor, "M T D"], count: int = 2) -> Float[Tensor, "M P K"]:
    """`count` consecutive rows side by side as one: [M, T, D] becomes [M, T / count, count * D].

    Source: Karpathy, makemore part 5, FlattenConsecutive.
    """
    return x.reshape(x.shape[0], x.shape[1] // count, count * x.shape[2])

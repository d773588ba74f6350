"""Convolutions along a line that never see later symbols, their gate, and the fusing of neighbours."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from moreish.ops.op import Gradients, Op


def convolve_forward(
    x: Float[Tensor, "B T K"], weight: Float[Tensor, "D K L"], bias: Float[Tensor, " D"], *, dilation: int = 1
) -> Float[Tensor, "B T D"]:
    """A causal convolution of L taps, `dilation` places apart, zeros before the line: nn.Conv1d's weights, places in
    the middle axis.

    y[t] = b + sum over l of W[:, :, l] x[t - (L - 1 - l) dilation]. Source: van den Oord et al. 2016, WaveNet, 2.1.
    """
    reach = (weight.shape[2] - 1) * dilation
    return F.conv1d(F.pad(x.mT, (reach, 0)), weight, bias, dilation=dilation).mT


def convolve_backward(gradient: Tensor, x: Tensor, weight: Tensor, dilation: int) -> Gradients:
    """x[t] is read by tap l at t + s, s = (L - 1 - l) dilation; so it gets W[:, :, l]^T g[t + s] of each tap, and
    dW[:, :, l] is the sum over t of g[t + s] x[t]^T: the convolution run backwards.
    """
    taps, long = weight.shape[2], x.shape[1]
    dx, d_weight = torch.zeros_like(x), torch.zeros_like(weight)
    for tap in range(taps):
        shift = (taps - 1 - tap) * dilation
        if shift < long:
            later, read = gradient[:, shift:], x[:, : long - shift]
            dx[:, : long - shift] += later @ weight[:, :, tap]
            d_weight[:, :, tap] = torch.einsum("btd,btk->dk", later, read)
    return {"x": dx, "weight": d_weight, "bias": gradient.sum((0, 1))}


def convolve_pair_forward(
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


def convolve_pair_backward(gradient: Tensor, earlier: Tensor, now: Tensor, weight: Tensor) -> Gradients:
    """That of a linear map; what stands side by side forward is cut apart backward."""
    flat = gradient.reshape(-1, gradient.shape[-1])
    pairs = torch.cat([earlier, now], -1).reshape(len(flat), -1)
    d_earlier, d_now = (gradient @ weight).chunk(2, -1)
    return {"earlier": d_earlier, "now": d_now, "weight": flat.t() @ pairs, "bias": flat.sum(0)}


def gated_forward(x: Float[Tensor, "*N K"]) -> Float[Tensor, "*N D"]:
    """tanh(first half) * sigmoid(second half).

    Source: van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders, equation 1; WaveNet, 2.
    """
    filtered, gate = x.chunk(2, -1)
    return torch.tanh(filtered) * torch.sigmoid(gate)


def gated_backward(gradient: Tensor, x: Tensor) -> Gradients:
    """With t = tanh(a) and s = sigmoid(b): da = (1 - t²) s g, db = t s (1 - s) g. tanh(a) = 2 sigmoid(2a) - 1, in less
    time.
    """
    filtered, gate = x.chunk(2, -1)
    t, s = 2 * torch.sigmoid(2 * filtered) - 1, torch.sigmoid(gate)
    gs = gradient * s
    return {"x": torch.cat([torch.addcmul(gs, gs * t, t, value=-1), torch.addcmul(gs, gs, s, value=-1) * t], -1)}


def fuse_forward(x: Float[Tensor, "M T D"], *, count: int = 2) -> Float[Tensor, "M P K"]:
    """`count` consecutive rows side by side as one: [M, T, D] becomes [M, T / count, count * D].

    Source: Karpathy, makemore part 5, FlattenConsecutive.
    """
    return x.reshape(x.shape[0], x.shape[1] // count, count * x.shape[2])


def fuse_backward(gradient: Tensor, x: Tensor) -> Gradients:
    """The same numbers under another shape, so the gradient gets its shape back."""
    return {"x": gradient.reshape(x.shape)}


convolve = Op(convolve_forward, convolve_backward)
convolve_pair = Op(convolve_pair_forward, convolve_pair_backward)
gated = Op(gated_forward, gated_backward)
fuse = Op(fuse_forward, fuse_backward)

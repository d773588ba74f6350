"""Normalisation: by the batch, by the layer, by the root mean square."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from moreish.ops.op import Gradients, Op

EPSILON = 1e-5
"""Added to a variance before its root: torch's and GPT-2's; Ioffe and Szegedy leave it open."""


def batch_norm_forward(
    x: Float[Tensor, "*N D"],
    gain: Float[Tensor, " D"],
    bias: Float[Tensor, " D"],
    *,
    epsilon: float = EPSILON,
    correction: int = 0,
) -> Float[Tensor, "*N D"]:
    """Normalised over every axis but the last by the batch's own mean and variance; then gain and bias.

    Source: Ioffe and Szegedy 2015, algorithm 1: the variance is that of the batch itself, divided by its n.

    Args:
        correction: what is taken from n there; 1 (Bessel's) is what the lecture does while it learns.
    """
    if correction:
        variance, mean = torch.var_mean(x.reshape(-1, x.shape[-1]), 0, correction=correction)
        return (x - mean) * torch.rsqrt(variance + epsilon) * gain + bias
    return F.batch_norm(x.reshape(-1, x.shape[-1]), None, None, gain, bias, training=True, eps=epsilon).reshape(x.shape)


def batch_norm_backward(gradient: Tensor, x: Tensor, gain: Tensor, epsilon: float, correction: int) -> Gradients:
    """With c = x - mean(x), v = sum(c²) / (n - k) and z = c / sqrt(v + e), every sum over the batch:

    d_bias = sum(g)    d_gain = sum(g z)
    z moves by its own x, by the mean and by the variance; with h = g gain
    dx = (h - mean(h) - z sum(h z) / (n - k)) / sqrt(v + e)

    Source: Ioffe and Szegedy 2015, section 3, where k = 0, in one formula.
    """
    flat, g = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, x.shape[-1])
    count = len(flat)
    centred = flat - flat.mean(0)
    scale = torch.rsqrt((centred * centred).sum(0) / (count - correction) + epsilon)
    z = centred * scale
    d_bias, d_gain = g.sum(0), (g * z).sum(0)
    dx = (g - d_bias / count).addcmul_(z, d_gain / (count - correction), value=-1).mul_(scale * gain)
    return {"x": dx.reshape(x.shape), "gain": d_gain, "bias": d_bias}


def normalize_by_forward(
    x: Float[Tensor, "*N D"],
    mean: Float[Tensor, " D"],
    variance: Float[Tensor, " D"],
    gain: Float[Tensor, " D"],
    bias: Float[Tensor, " D"],
    *,
    epsilon: float = EPSILON,
) -> Float[Tensor, "*N D"]:
    """Batch normalisation by given statistics, as when evaluating: one scale and one shift a channel.

    Source: Ioffe and Szegedy 2015, algorithm 2, step 11.
    """
    scale = gain * torch.rsqrt(variance + epsilon)
    return x * scale + (bias - mean * scale)


def normalize_by_backward(
    gradient: Tensor, x: Tensor, mean: Tensor, variance: Tensor, gain: Tensor, epsilon: float
) -> Gradients:
    """The statistics are given, so x moves its own output alone: dx = g gain r, with r = 1 / sqrt(v + e).

    d_bias = sum(g)    d_gain = sum(g (x - m)) r    d_mean = -gain r sum(g)    d_variance = -r² / 2 gain d_gain
    """
    root = torch.rsqrt(variance + epsilon)
    flat, g = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, x.shape[-1])
    d_bias, d_gain = g.sum(0), (g * (flat - mean)).sum(0) * root
    scale = gain * root
    return {
        "x": gradient * scale,
        "mean": -scale * d_bias,
        "variance": -0.5 * root * root * gain * d_gain,
        "gain": d_gain,
        "bias": d_bias,
    }


def layer_norm_forward(
    x: Float[Tensor, "*N D"], gain: Float[Tensor, " D"], bias: Float[Tensor, " D"], *, epsilon: float = EPSILON
) -> Float[Tensor, "*N D"]:
    """Each row normalised by its own mean and variance (divided by D); then gain and bias.

    Source: Ba, Kiros and Hinton 2016, equation 4.
    """
    return F.layer_norm(x, x.shape[-1:], gain, bias, epsilon)


def layer_norm_backward(gradient: Tensor, x: Tensor, gain: Tensor, epsilon: float) -> Gradients:
    """As for the batch, every mean over the row: with h = g gain, dx = (h - mean(h) - z mean(h z)) / sqrt(v + e).

    The row's sums are dot products, which take a tenth of the time of a variance over it.
    """
    size = x.shape[-1]
    centred = x - x.mean(-1, keepdim=True)
    scale = torch.rsqrt(torch.linalg.vecdot(centred, centred) / size + epsilon)[..., None]
    z, h = centred * scale, gradient * gain
    along = torch.linalg.vecdot(h, z)[..., None] / size
    dx = (h - h.mean(-1, keepdim=True)).addcmul_(z, along, value=-1).mul_(scale)
    flat = gradient.reshape(-1, size)
    return {"x": dx, "gain": (flat * z.reshape(-1, size)).sum(0), "bias": flat.sum(0)}


def rms_norm_forward(
    x: Float[Tensor, "*N D"], gain: Float[Tensor, " D"], *, epsilon: float = EPSILON
) -> Float[Tensor, "*N D"]:
    """Each row divided by its root mean square; then the gain. Source: Zhang and Sennrich 2019, equation 4."""
    return F.rms_norm(x, x.shape[-1:], gain, epsilon)


def rms_norm_backward(gradient: Tensor, x: Tensor, gain: Tensor, epsilon: float) -> Gradients:
    """With r = 1 / sqrt(mean(x²) + e), z = x r and h = g gain: dx = (h - z mean(h z)) r. No mean is taken out."""
    size = x.shape[-1]
    root = torch.rsqrt(torch.linalg.vecdot(x, x) / size + epsilon)[..., None]
    z, h = x * root, gradient * gain
    along = torch.linalg.vecdot(h, z)[..., None] / size
    d_gain = (gradient * z).reshape(-1, size).sum(0)
    return {"x": torch.addcmul(h, z, along, value=-1).mul_(root), "gain": d_gain}


batch_norm = Op(batch_norm_forward, batch_norm_backward)
normalize_by = Op(normalize_by_forward, normalize_by_backward)
layer_norm = Op(layer_norm_forward, layer_norm_backward)
rms_norm = Op(rms_norm_forward, rms_norm_backward)

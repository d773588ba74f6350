"""One symbol's step of the recurrent networks: from the state and the symbol's input to the next state.

`x` is what the symbol brings, a linear map of its embedding, the bias added, for each gate; `weight` is applied to the
state. Gates stand side by side, in the order that each function names. A backward works the gates out again from the
forward's inputs; `recurrence.py`, which reads whole lines, keeps them.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from moreish.ops.op import Gradients, Op


def rnn_step_forward(
    h: Float[Tensor, "B H"], x: Float[Tensor, "B H"], weight: Float[Tensor, "H H"]
) -> Float[Tensor, "B H"]:
    """tanh(x + W h).

    Source: Elman 1990, Finding Structure in Time, figure 2, with tanh for the logistic function, as in torch.
    """
    return torch.addmm(x, h, weight.t()).tanh_()


def rnn_step_backward(gradient: Tensor, output: Tensor, h: Tensor, weight: Tensor) -> Gradients:
    """dx = (1 - h'²) g; the state came through W, so dh = Wᵀ dx and dW = dx hᵀ."""
    dx = gradient * (1 - output * output)
    return {"h": dx @ weight, "x": dx, "weight": dx.t() @ h}


def gru_step_forward(
    h: Float[Tensor, "B H"], x: Float[Tensor, "B 3*H"], weight: Float[Tensor, "3*H H"], bias: Float[Tensor, " H"]
) -> Float[Tensor, "B H"]:
    """Reset r, update z, candidate n; the reset is applied after the product with the state:

        r = sigmoid(x_r + W_r h)    z = sigmoid(x_z + W_z h)    n = tanh(x_n + r (W_n h + bias))    h' = n + z (h - n)

    Source: Cho et al. 2014, Learning Phrase Representations, equations 5 to 8, where z keeps the old state, as here and
    in torch (makemore's z is 1 - z). The reset after the product is torch's and cuDNN's; `gru_before_step` has Cho's.
    """
    both = 2 * h.shape[1]
    r, z = torch.addmm(x[:, :both], h, weight[:both].t()).sigmoid_().chunk(2, 1)
    w = torch.addmm(bias, h, weight[both:].t())
    n = torch.addcmul(x[:, both:], r, w).tanh_()
    return torch.lerp(n, h, z)


def gru_step_backward(gradient: Tensor, h: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Gradients:
    """With a the argument of n = tanh(a), w = W_n h + bias:

    da = (1 - n²) (1 - z) g    dw = r da    dx_r = r (1 - r) w da    dx_z = z (1 - z) (h - n) g
    The state is met three times, through the gates, through w and as itself: dh = z g + Wᵀ (dx_r, dx_z, dw)
    """
    both = 2 * h.shape[1]
    r, z = torch.addmm(x[:, :both], h, weight[:both].t()).sigmoid_().chunk(2, 1)
    w = torch.addmm(bias, h, weight[both:].t())
    n = torch.addcmul(x[:, both:], r, w).tanh_()
    da = (1 - n * n) * (1 - z) * gradient
    dw = r * da
    d_gates = torch.cat([r * (1 - r) * w * da, z * (1 - z) * (h - n) * gradient], 1)
    d_products = torch.cat([d_gates, dw], 1)
    return {
        "h": torch.addcmul(d_products @ weight, z, gradient),
        "x": torch.cat([d_gates, da], 1),
        "weight": d_products.t() @ h,
        "bias": dw.sum(0),
    }


def gru_before_step_forward(
    h: Float[Tensor, "B H"], x: Float[Tensor, "B 3*H"], weight: Float[Tensor, "3*H H"]
) -> Float[Tensor, "B H"]:
    """Reset r, update z, candidate n; the reset is applied to the state before the product:

        r = sigmoid(x_r + W_r h)    z = sigmoid(x_z + W_z h)    n = tanh(x_n + W_n (r h))    h' = n + z (h - n)

    Source: Cho et al. 2014, equations 5 to 8; makemore's cell, whose z is 1 - z here.
    """
    both = 2 * h.shape[1]
    r, z = torch.addmm(x[:, :both], h, weight[:both].t()).sigmoid_().chunk(2, 1)
    n = torch.addmm(x[:, both:], r * h, weight[both:].t()).tanh_()
    return torch.lerp(n, h, z)


def gru_before_step_backward(gradient: Tensor, h: Tensor, x: Tensor, weight: Tensor) -> Gradients:
    """With a the argument of n = tanh(a), and s = r h what W_n is applied to:

    da = (1 - n²) (1 - z) g    ds = W_nᵀ da    dx_r = r (1 - r) h ds    dx_z = z (1 - z) (h - n) g
    dh = z g + r ds + W_rzᵀ (dx_r, dx_z)
    """
    both = 2 * h.shape[1]
    r, z = torch.addmm(x[:, :both], h, weight[:both].t()).sigmoid_().chunk(2, 1)
    n = torch.addmm(x[:, both:], r * h, weight[both:].t()).tanh_()
    da = (1 - n * n) * (1 - z) * gradient
    ds = da @ weight[both:]
    d_gates = torch.cat([r * (1 - r) * h * ds, z * (1 - z) * (h - n) * gradient], 1)
    return {
        "h": (d_gates @ weight[:both]).addcmul_(z, gradient).addcmul_(r, ds),
        "x": torch.cat([d_gates, da], 1),
        "weight": torch.cat([d_gates.t() @ h, da.t() @ (r * h)]),
    }


def lstm_step_forward(
    h_c: Float[Tensor, "B W"], x: Float[Tensor, "B G"], weight: Float[Tensor, "G H"]
) -> Float[Tensor, "B W"]:
    """Output o, input i, forget f, candidate g, so G = 4 H; the state is h and the cell c side by side, W = 2 H:

        o, i, f = sigmoid(x + W h)    g = tanh(x_g + W_g h)    c' = f c + i g    h' = o tanh(c')

    Source: Hochreiter and Schmidhuber 1997, Long Short-Term Memory, section 4, with the forget gate of Gers,
    Schmidhuber and Cummins 2000, equation 4. torch's order is i f g o; this one lets two functions do for all gates.
    """
    h, c = h_c.chunk(2, 1)
    oif, g = torch.addmm(x, h, weight.t()).tensor_split([3 * h.shape[1]], 1)
    o, i, f = torch.sigmoid(oif).chunk(3, 1)
    c = torch.addcmul(f * c, i, torch.tanh(g))
    return torch.cat([o * torch.tanh(c), c], 1)


def lstm_step_backward(gradient: Tensor, output: Tensor, h_c: Tensor, x: Tensor, weight: Tensor) -> Gradients:
    """With t = tanh(c'), dh and dc the two halves of the gradient, and D = dc + o (1 - t²) dh all that reaches c':

    dx_o = o (1 - o) t dh    dx_i = i (1 - i) g D    dx_f = f (1 - f) c D    dx_g = i (1 - g²) D
    dh_before = Wᵀ dx    dc_before = f D
    """
    wide = weight.shape[1]
    h, c = h_c.chunk(2, 1)
    oif, g = torch.addmm(x, h, weight.t()).tensor_split([3 * wide], 1)
    o, i, f = torch.sigmoid(oif).chunk(3, 1)
    g, t = torch.tanh(g), torch.tanh(output[:, wide:])
    dh, dc = gradient.chunk(2, 1)
    reaches = torch.addcmul(dc, o * (1 - t * t), dh)
    dx = torch.cat([
        o * (1 - o) * t * dh, i * (1 - i) * g * reaches, f * (1 - f) * c * reaches, i * (1 - g * g) * reaches
    ], 1)  # fmt: skip
    return {"h_c": torch.cat([dx @ weight, f * reaches], 1), "x": dx, "weight": dx.t() @ h}


rnn_step = Op(rnn_step_forward, rnn_step_backward)
gru_step = Op(gru_step_forward, gru_step_backward)
gru_before_step = Op(gru_before_step_forward, gru_before_step_backward)
lstm_step = Op(lstm_step_forward, lstm_step_backward)

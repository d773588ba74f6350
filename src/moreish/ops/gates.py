"""One symbol's step of the recurrent networks: from the state and the symbol's input to the next state.

`x` is what the symbol brings, a linear map of its embedding, the bias added, for each gate; `weight` is applied to the
state. Gates stand side by side, in the order that each function names. `recurrence.py` reads whole lines.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def rnn_step(h: Float[Tensor, "B H"], x: Float[Tensor, "B H"], weight: Float[Tensor, "H H"]) -> Float[Tensor, "B H"]:
    """tanh(x + W h).

    Source: Elman 1990, Finding Structure in Time, figure 2, with tanh for the logistic function, as in torch.
    """
    return torch.addmm(x, h, weight.t()).tanh_()


def gru_step(
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


def gru_before_step(
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


def lstm_step(h_c: Float[Tensor, "B W"], x: Float[Tensor, "B G"], weight: Float[Tensor, "G H"]) -> Float[Tensor, "B W"]:
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

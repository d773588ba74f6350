"""One symbol's step of the recurrent networks: from the state and the symbol's input to the next state.

`x` is what the symbol brings, a linear map of its embedding with the bias in it, for each gate; `weight` is applied to
the state. Gates stand side by side, in the order that each function names. `recurrence.py` takes whole rows.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def rnn_step(h: Float[Tensor, "B H"], x: Float[Tensor, "B H"], weight: Float[Tensor, "H H"]) -> Float[Tensor, "B H"]:
    """tanh(x + W h).

    Source: Elman 1990, Finding Structure in Time, figure 2, with tanh for the logistic function, as in torch.
    """
    return torch.addmm(x, h, weight.t()).tanh()


def gru_step(
    h: Float[Tensor, "B H"], x: Float[Tensor, "B 3*H"], weight: Float[Tensor, "3*H H"], bias: Float[Tensor, " H"]
) -> Float[Tensor, "B H"]:
    """Reset r, update z, candidate n; the reset is applied after the product with the state:

        r = sigmoid(x_r + W_r h)    z = sigmoid(x_z + W_z h)    n = tanh(x_n + r (W_n h + bias))    h' = n + z (h - n)

    Source: Cho et al. 2014, Learning Phrase Representations, equations 5 to 8, where z keeps the old state, as here and
    in torch (makemore's z is 1 - z). The reset after the product is torch's and cuDNN's; `gru_before_step` has Cho's.
    """
    x_r, x_z, x_n = x.chunk(3, 1)
    w_r, w_z, w_n = h.mm(weight.t()).chunk(3, 1)
    r, z = torch.sigmoid(x_r + w_r), torch.sigmoid(x_z + w_z)
    return torch.lerp(torch.tanh(x_n + r * (w_n + bias)), h, z)


def gru_before_step(
    h: Float[Tensor, "B H"], x: Float[Tensor, "B 3*H"], weight: Float[Tensor, "3*H H"]
) -> Float[Tensor, "B H"]:
    """Reset r, update z, candidate n; the reset is applied to the state before the product:

        r = sigmoid(x_r + W_r h)    z = sigmoid(x_z + W_z h)    n = tanh(x_n + W_n (r h))    h' = n + z (h - n)

    Source: Cho et al. 2014, equations 5 to 8; makemore's cell, whose z is 1 - z here.
    """
    x_r, x_z, x_n = x.chunk(3, 1)
    weight_r, weight_z, weight_n = weight.chunk(3)
    r, z = torch.sigmoid(torch.addmm(x_r, h, weight_r.t())), torch.sigmoid(torch.addmm(x_z, h, weight_z.t()))
    return torch.lerp(torch.tanh(torch.addmm(x_n, r * h, weight_n.t())), h, z)


def lstm_step(
    h: Float[Tensor, "B H"], c: Float[Tensor, "B H"], x: Float[Tensor, "B 4*H"], weight: Float[Tensor, "4*H H"]
) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]]:
    """Output o, input i, forget f, candidate g:

        o, i, f = sigmoid(x + W h)    g = tanh(x_g + W_g h)    c' = f c + i g    h' = o tanh(c')

    Source: Hochreiter and Schmidhuber 1997, Long Short-Term Memory, section 4, with the forget gate of Gers,
    Schmidhuber and Cummins 2000, equation 4. torch's order is i f g o; this one lets two functions do for all gates.
    """
    o, i, f, g = torch.addmm(x, h, weight.t()).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c

"""Layers of the ladder: GELU, SwiGLU, attention, recurrent cells, dilated convolution, an embedding used twice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from moreish.explaining.exercises.definition import Draw, Exercise


def gelu(x, weight):
    cube = x**3
    inner = 0.7978845608028654 * (x + 0.044715 * cube)
    t = torch.tanh(inner)
    y = 0.5 * x * (1.0 + t)
    loss = (y * weight).sum()

    # Backward
    dy = weight
    dt = 0.5 * x * dy
    dinner = (1.0 - t**2) * dt
    dcube = 0.7978845608028654 * 0.044715 * dinner
    dx = 0.5 * (1.0 + t) * dy
    dx += 0.7978845608028654 * dinner
    dx += 3.0 * x**2 * dcube
    return locals()


def gelu_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d = draw.sizes((4, 3), (2, 5))
    return {"x": draw.normal(n, d), "weight": draw.normal(n, d)}


def swiglu(x, w_gate, w_up, w_down, weight):
    gate = x @ w_gate
    up = x @ w_up
    s = torch.sigmoid(gate)
    silu = gate * s
    hidden = silu * up
    y = hidden @ w_down
    loss = (y * weight).mean()

    # Backward
    dy = weight / y.numel()
    dhidden = dy @ w_down.T
    dw_down = hidden.T @ dy
    dsilu = dhidden * up
    dup = dhidden * silu
    ds = dsilu * gate
    dgate = dsilu * s
    dgate += ds * s * (1.0 - s)
    dw_gate = x.T @ dgate
    dw_up = x.T @ dup
    dx = dgate @ w_gate.T
    dx += dup @ w_up.T
    return locals()


def swiglu_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d, h = draw.sizes((5, 3, 4), (4, 6, 7))
    return {
        "x": draw.normal(n, d), "w_gate": draw.normal(d, h), "w_up": draw.normal(d, h), "w_down": draw.normal(h, d),
        "weight": draw.normal(n, d),
    }  # fmt: skip


def attention(q, k, v, weight):
    length = q.shape[0]
    scale = q.shape[1] ** -0.5
    hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = q @ k.T * scale
    masked = scores.masked_fill(hidden, float("-inf"))
    probs = torch.softmax(masked, 1)
    y = probs @ v
    loss = (y * weight).sum()

    # Backward
    dy = weight
    dprobs = dy @ v.T
    dv = probs.T @ dy
    dmasked = probs * (dprobs - (dprobs * probs).sum(1, keepdim=True))
    dscores = dmasked.masked_fill(hidden, 0.0)
    dq = dscores @ k * scale
    dk = dscores.T @ q * scale
    return locals()


def attention_inputs(draw: Draw) -> dict[str, Tensor]:
    t, d, e = draw.sizes((5, 3, 4), (6, 4, 2))
    return {"q": draw.normal(t, d), "k": draw.normal(t, d), "v": draw.normal(t, e), "weight": draw.normal(t, e)}


def rnn(x1, x2, h0, wx, wh, b, weight):
    z1 = x1 @ wx + h0 @ wh + b
    h1 = torch.tanh(z1)
    z2 = x2 @ wx + h1 @ wh + b
    h2 = torch.tanh(z2)
    loss = (h2 * weight).sum() + (h1**2).sum()

    # Backward
    dh2 = weight
    dz2 = (1.0 - h2**2) * dh2
    dx2 = dz2 @ wx.T
    dh1 = dz2 @ wh.T
    dh1 += 2.0 * h1
    dz1 = (1.0 - h1**2) * dh1
    dx1 = dz1 @ wx.T
    dh0 = dz1 @ wh.T
    dwx = x2.T @ dz2
    dwx += x1.T @ dz1
    dwh = h1.T @ dz2
    dwh += h0.T @ dz1
    db = dz2.sum(0)
    db += dz1.sum(0)
    return locals()


def rnn_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d, h = draw.sizes((4, 3, 5), (6, 5, 2))
    return {
        "x1": draw.normal(n, d), "x2": draw.normal(n, d), "h0": draw.normal(n, h), "wx": draw.normal(d, h, scale=0.5),
        "wh": draw.normal(h, h, scale=0.5), "b": draw.normal(h, scale=0.5), "weight": draw.normal(n, h),
    }  # fmt: skip


def gru(xr, xz, xn, h0, wr, wz, wn, weight):
    r = torch.sigmoid(xr + h0 @ wr)
    z = torch.sigmoid(xz + h0 @ wz)
    inner = h0 @ wn
    n = torch.tanh(xn + r * inner)
    h1 = (1.0 - z) * n + z * h0
    loss = (h1 * weight).sum()

    # Backward
    dh1 = weight
    dn = dh1 * (1.0 - z)
    dxn = dn * (1.0 - n**2)
    dinner = dxn * r
    dz = dh1 * (h0 - n)
    dxz = dz * z * (1.0 - z)
    dr = dxn * inner
    dxr = dr * r * (1.0 - r)
    dwn = h0.T @ dinner
    dwz = h0.T @ dxz
    dwr = h0.T @ dxr
    dh0 = dh1 * z
    dh0 += dinner @ wn.T
    dh0 += dxz @ wz.T
    dh0 += dxr @ wr.T
    return locals()


def gru_inputs(draw: Draw) -> dict[str, Tensor]:
    n, h = draw.sizes((4, 3), (3, 5))
    rows = {name: draw.normal(n, h) for name in ("xr", "xz", "xn", "h0")}
    return {**rows, **{name: draw.normal(h, h, scale=0.7) for name in ("wr", "wz", "wn")}, "weight": draw.normal(n, h)}


def lstm(ai, af, ag, ao, c0, weight_h, weight_c):
    i = torch.sigmoid(ai)
    f = torch.sigmoid(af)
    g = torch.tanh(ag)
    o = torch.sigmoid(ao)
    c1 = f * c0 + i * g
    t = torch.tanh(c1)
    h1 = o * t
    loss = (h1 * weight_h).sum() + (c1 * weight_c).sum()

    # Backward
    dh1 = weight_h
    do = dh1 * t
    dt = dh1 * o
    dc1 = weight_c + dt * (1.0 - t**2)
    df = dc1 * c0
    dc0 = dc1 * f
    di = dc1 * g
    dg = dc1 * i
    dao = do * o * (1.0 - o)
    dag = dg * (1.0 - g**2)
    daf = df * f * (1.0 - f)
    dai = di * i * (1.0 - i)
    return locals()


def lstm_inputs(draw: Draw) -> dict[str, Tensor]:
    n, h = draw.sizes((3, 4), (5, 2))
    return {name: draw.normal(n, h) for name in ("ai", "af", "ag", "ao", "c0", "weight_h", "weight_c")}


def convolution(x, w_now, w_before, b, weight):
    length = x.shape[1]
    padded = F.pad(x, (0, 0, 2, 0))
    before = padded[:, :length]
    y = x @ w_now + before @ w_before + b
    h = torch.relu(y)
    loss = (h * weight).sum()

    # Backward
    dh = weight
    dy = dh * (y > 0)
    db = dy.sum((0, 1))
    dw_now = torch.einsum("btc,bth->ch", x, dy)
    dw_before = torch.einsum("btc,bth->ch", before, dy)
    dbefore = dy @ w_before.T
    dpadded = F.pad(dbefore, (0, 0, 0, 2))
    dx = dy @ w_now.T
    dx += dpadded[:, 2:]
    return locals()


def convolution_inputs(draw: Draw) -> dict[str, Tensor]:
    n, t, c, h = draw.sizes((2, 5, 3, 4), (3, 6, 4, 2))
    return {
        "x": draw.normal(n, t, c), "w_now": draw.normal(c, h), "w_before": draw.normal(c, h), "b": draw.normal(h),
        "weight": draw.normal(n, t, h),
    }  # fmt: skip


def tied_embedding(tokens, C, weight):
    e = C[tokens]
    h = torch.tanh(e)
    logits = h @ C.T
    loss = (logits * weight).mean()

    # Backward
    dlogits = weight / logits.numel()
    dh = dlogits @ C
    de = dh * (1.0 - h**2)
    dC = dlogits.T @ h
    dC.index_add_(0, tokens, de)
    return locals()


def tied_inputs(draw: Draw) -> dict[str, Tensor]:
    n, v, d = draw.sizes((6, 5, 3), (5, 7, 4))
    return {"tokens": draw.whole(v, n), "C": draw.normal(v, d), "weight": draw.normal(n, v)}


GELU = Exercise(
    "gelu", "GELU in its tanh form", gelu, gelu_inputs,
    "GPT-2's activation. Hendrycks and Gimpel 2016, the approximation; 0.79788... is sqrt(2 / pi).",
    ("x is used three times: outside, inside, and cubed.",
     "inner hands back its constant times the incoming derivative to x, and to the cube 0.044715 times as much.",
     "The derivative of x**3 is 3 * x**2."),
)  # fmt: skip
SWIGLU = Exercise(
    "swiglu", "SwiGLU: a gated feed-forward layer", swiglu, swiglu_inputs,
    "silu(x @ w_gate) * (x @ w_up), then down. Shazeer 2020.",
    ("x is used twice, gate is used twice.", "In hidden = silu * up each factor gets the other one.",
     "The derivative of the sigmoid s is s * (1 - s)."),
)  # fmt: skip
ATTENTION = Exercise(
    "attention", "Causal softmax attention", attention, attention_inputs,
    "One head of scaled dot-product attention that does not look ahead. Vaswani et al. 2017, equation 1.",
    ("Two matrix products with a softmax between; the mask is a constant.",
     "The softmax of a row mixes its entries: probs * (dprobs - (dprobs * probs) summed over the row).",
     "Do not forget the scale in dq and dk."),
)  # fmt: skip
RNN = Exercise(
    "rnn", "A plain recurrent cell, two steps", rnn, rnn_inputs,
    "Backpropagation through time: the weights are used at both steps. Elman 1990.",
    ("Begin with the last step. The weights and the bias collect a contribution from each step.",
     "h1 is used twice: by the second step and by the loss itself.",
     "b was broadcast over the rows."),
)  # fmt: skip
GRU = Exercise(
    "gru", "A GRU cell", gru, gru_inputs,
    "Cho et al. 2014, as torch has it (the reset gate after the product); what comes from the input, xr, xz and xn, "
    "is given.",
    ("h0 is used four times: in r, in z, in inner, and in h1 itself.",
     "z is used twice, with opposite signs: dz = dh1 * (h0 - n).",
     "dxn is also the derivative at what stands inside the tanh."),
)  # fmt: skip
LSTM = Exercise(
    "lstm", "An LSTM cell", lstm, lstm_inputs,
    "Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000. Both h1 and c1 go on to the next step, "
    "and both hand something back.",
    ("c1 is used twice: in h1, through the tanh, and by what comes next (here, the loss).",
     "A sigmoid s hands back s * (1 - s), a tanh t hands back 1 - t**2."),
)  # fmt: skip
CONVOLUTION = Exercise(
    "convolution", "A causal dilated convolution", convolution, convolution_inputs,
    "Two taps, now and two places before; what lies before the beginning is zero. van den Oord et al. 2016 (WaveNet).",
    ("x is used twice: now, and two places later as what was before.",
     "What was padded gets a derivative too, which is then cut off.",
     "The weights were used at every place of every line: sum over both axes."),
)  # fmt: skip
TIED = Exercise(
    "tied_embedding", "An embedding used twice, at both ends", tied_embedding, tied_inputs,
    "Press and Wolf 2017: the table that reads the symbols also scores them.",
    ("C collects two contributions, of which the first is that of a matrix product.",
     "A symbol that stands in several places collects the derivatives of all of them: += on a row twice, not once.",
     "torch's index_add_ adds where an index repeats; C[tokens] += ... does not."),
)  # fmt: skip

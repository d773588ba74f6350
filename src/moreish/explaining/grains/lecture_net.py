"""The lectures' MLP with BatchNorm in its small steps: every intermediate has a name, and a gradient by hand.

The shapes: N windows of c symbols, V symbols of D numbers, H hidden units.

Source: Karpathy, Neural Networks: Zero to Hero, "Becoming a backprop ninja" (makemore part 4), whose names these are.
"""

from __future__ import annotations

from math import sqrt

import torch
from jaxtyping import Int
from torch import Tensor

from moreish.ops.affine import embed_backward
from moreish.ops.loss import cross_entropy_backward
from moreish.ops.normalize import EPSILON, batch_norm_backward
from moreish.ops.pointwise import tanh_backward
from moreish.randomness import stream

Named = dict[str, Tensor]
"""Tensors by the lecture's names."""

PARAMETERS = ("C", "W1", "b1", "W2", "b2", "bngain", "bnbias")
STEPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "emb": ("C[windows]", ("C",)),
    "embcat": ("flatten", ("emb",)),
    "hprebn": ("@ W1 + b1", ("embcat", "W1", "b1")),
    "bnmeani": ("mean", ("hprebn",)),
    "bndiff": ("-", ("hprebn", "bnmeani")),
    "bndiff2": ("** 2", ("bndiff",)),
    "bnvar": ("sum / (n - 1)", ("bndiff2",)),
    "bnvar_inv": ("(+ e) ** -0.5", ("bnvar",)),
    "bnraw": ("*", ("bndiff", "bnvar_inv")),
    "hpreact": ("* bngain + bnbias", ("bnraw", "bngain", "bnbias")),
    "h": ("tanh", ("hpreact",)),
    "logits": ("@ W2 + b2", ("h", "W2", "b2")),
    "logit_maxes": ("max", ("logits",)),
    "norm_logits": ("-", ("logits", "logit_maxes")),
    "counts": ("exp", ("norm_logits",)),
    "counts_sum": ("sum", ("counts",)),
    "counts_sum_inv": ("** -1", ("counts_sum",)),
    "probs": ("*", ("counts", "counts_sum_inv")),
    "logprobs": ("log", ("probs",)),
}
"""Each intermediate, in the order of the forward: what makes it, of what."""
FUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: STEPS[name] for name in ("emb", "embcat", "hprebn")},
    "hpreact": ("batch norm", ("hprebn", "bngain", "bnbias")),
    **{name: STEPS[name] for name in ("h", "logits")},
}
"""What is left where BatchNorm is one step, and softmax with cross-entropy another."""

ORDER = (
    "logprobs", "probs", "counts_sum_inv", "counts_sum", "counts", "norm_logits", "logit_maxes", "logits", "h", "W2",
    "b2", "hpreact", "bngain", "bnbias", "bnraw", "bnvar_inv", "bnvar", "bndiff2", "bndiff", "bnmeani", "hprebn",
    "embcat", "W1", "b1", "emb", "C",
)  # fmt: skip
"""The lecture's order of the gradients, from the loss back."""


def fresh(symbols: int, context: int, embedding: int, hidden: int, seed: int) -> Named:
    """The lecture's parameters: no bias begins at zero and no gain at one, which would hide a wrong gradient."""
    generator = stream(seed, "backprop/weights")

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    inputs = context * embedding
    return {
        "C": draw(symbols, embedding),
        "W1": draw(inputs, hidden) * (5 / 3) / sqrt(inputs),
        "b1": draw(hidden) * 0.1,
        "W2": draw(hidden, symbols) * 0.1,
        "b2": draw(symbols) * 0.1,
        "bngain": draw(1, hidden) * 0.1 + 1.0,
        "bnbias": draw(1, hidden) * 0.1,
    }


def forward(p: Named, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"]) -> Named:
    """The 19 intermediates and the loss, each a tensor of its own, for autograd to follow."""
    n = len(windows)
    emb = p["C"][windows]  # [N c D]
    embcat = emb.view(n, -1)
    hprebn = embcat @ p["W1"] + p["b1"]
    bnmeani = 1 / n * hprebn.sum(0, keepdim=True)
    bndiff = hprebn - bnmeani
    bndiff2 = bndiff**2
    bnvar = 1 / (n - 1) * bndiff2.sum(0, keepdim=True)  # Bessel's correction
    bnvar_inv = (bnvar + EPSILON) ** -0.5
    bnraw = bndiff * bnvar_inv
    hpreact = p["bngain"] * bnraw + p["bnbias"]
    h = torch.tanh(hpreact)
    logits = h @ p["W2"] + p["b2"]
    logit_maxes = logits.max(1, keepdim=True).values
    norm_logits = logits - logit_maxes
    counts = norm_logits.exp()
    counts_sum = counts.sum(1, keepdim=True)
    counts_sum_inv = counts_sum**-1
    probs = counts * counts_sum_inv
    logprobs = probs.log()
    loss = -logprobs[range(n), targets].mean()
    return {
        "emb": emb, "embcat": embcat, "hprebn": hprebn, "bnmeani": bnmeani, "bndiff": bndiff, "bndiff2": bndiff2,
        "bnvar": bnvar, "bnvar_inv": bnvar_inv, "bnraw": bnraw, "hpreact": hpreact, "h": h, "logits": logits,
        "logit_maxes": logit_maxes, "norm_logits": norm_logits, "counts": counts, "counts_sum": counts_sum,
        "counts_sum_inv": counts_sum_inv, "probs": probs, "logprobs": logprobs, "loss": loss,
    }  # fmt: skip


def atomic_backward(p: Named, v: Named, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"]) -> Named:
    """The gradient of the loss by every tensor, step by step from the loss back: the lecture's exercise 1.

    Four rules do all of it. A gradient has its tensor's shape. What was broadcast gets the sum of what comes back, and
    what was summed hands its gradient to each. What is used twice adds up both (`+=`). A product's gradient is the
    incoming one times the other factor.
    """
    n = len(targets)
    d: Named = {}
    # logprobs -> loss: the mean of -logprobs at the targets, so -1/n there and nothing elsewhere
    d["logprobs"] = torch.zeros_like(v["logprobs"])
    d["logprobs"][range(n), targets] = -1.0 / n
    d["probs"] = d["logprobs"] / v["probs"]
    # counts * counts_sum_inv: one number a row, broadcast, so a sum comes back
    d["counts_sum_inv"] = (v["counts"] * d["probs"]).sum(1, keepdim=True)
    d["counts"] = v["counts_sum_inv"] * d["probs"]
    d["counts_sum"] = -(v["counts_sum"] ** -2) * d["counts_sum_inv"]
    d["counts"] += d["counts_sum"].expand_as(v["counts"])  # the second branch of counts: its sum
    d["norm_logits"] = v["counts"] * d["counts"]
    d["logit_maxes"] = -d["norm_logits"].sum(1, keepdim=True)  # zero: a constant taken from a row changes no softmax
    d["logits"] = d["norm_logits"].clone()
    d["logits"].scatter_add_(1, v["logits"].argmax(1, keepdim=True), d["logit_maxes"])
    d["h"], d["W2"], d["b2"] = _affine_backward(d["logits"], v["h"], p["W2"])
    d["hpreact"] = (1.0 - v["h"] ** 2) * d["h"]
    d["bngain"] = (v["bnraw"] * d["hpreact"]).sum(0, keepdim=True)
    d["bnbias"] = d["hpreact"].sum(0, keepdim=True)
    d["bnraw"] = p["bngain"] * d["hpreact"]
    d["bndiff"] = v["bnvar_inv"] * d["bnraw"]
    d["bnvar_inv"] = (v["bndiff"] * d["bnraw"]).sum(0, keepdim=True)
    d["bnvar"] = -0.5 * (v["bnvar"] + EPSILON) ** -1.5 * d["bnvar_inv"]
    d["bndiff2"] = (1.0 / (n - 1) * d["bnvar"]).expand_as(v["bndiff2"])
    d["bndiff"] += 2 * v["bndiff"] * d["bndiff2"]  # the second branch of bndiff: its square
    d["bnmeani"] = -d["bndiff"].sum(0, keepdim=True)
    d["hprebn"] = d["bndiff"] + 1.0 / n * d["bnmeani"]  # its two branches: itself, and the mean
    d["embcat"], d["W1"], d["b1"] = _affine_backward(d["hprebn"], v["embcat"], p["W1"])
    d["emb"] = d["embcat"].view(v["emb"].shape)
    d["C"] = embed_backward(d["emb"], windows, p["C"])["table"]
    return d


def fused_backward(p: Named, v: Named, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"]) -> Named:
    """The same gradients in six steps: softmax with cross-entropy at once, and BatchNorm at once (exercises 2 and 3).

    `v` may be the atomic forward's; of it the step from the logits on and those within BatchNorm are not looked at.
    """
    d: Named = {}
    one = torch.ones((), dtype=v["logits"].dtype)
    d["logits"] = cross_entropy_backward(one, v["logits"], targets, 0.0)["logits"]
    d["h"], d["W2"], d["b2"] = _affine_backward(d["logits"], v["h"], p["W2"])
    d["hpreact"] = tanh_backward(d["h"], v["h"])["x"]
    got = batch_norm_backward(d["hpreact"], v["hprebn"], p["bngain"][0], EPSILON, 1)
    d["hprebn"], d["bngain"], d["bnbias"] = got["x"], got["gain"][None], got["bias"][None]
    d["embcat"], d["W1"], d["b1"] = _affine_backward(d["hprebn"], v["embcat"], p["W1"])
    d["emb"] = d["embcat"].view(v["emb"].shape)
    d["C"] = embed_backward(d["emb"], windows, p["C"])["table"]
    return d


def _affine_backward(gradient: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of x @ weight + bias, weights standing as in the lecture, inputs by outputs: shapes leave no other product."""
    return gradient @ weight.T, x.T @ gradient, gradient.sum(0)

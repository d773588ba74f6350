"""Three solved exercises, for the tests of what the grader is measured with; their inputs, and what is made of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from bench_modules import bench

CROSS_ENTROPY = '''"""Cross-entropy."""

import torch


def exercise(logits, targets):
    # Forward: given.
    n = logits.shape[0]
    maxima = logits.max(1, keepdim=True).values
    norm = logits - maxima
    counts = norm.exp()
    totals = counts.sum(1, keepdim=True)
    probs = counts / totals
    logprobs = probs.log()
    loss = -logprobs[range(n), targets].mean()

    # Backward: yours.
    dlogprobs = torch.zeros_like(logprobs)
    dlogprobs[range(n), targets] = -1.0 / n
    dprobs = (1.0 / probs) * dlogprobs
    dcounts = dprobs / totals
    dtotals = (-counts * totals**-2 * dprobs).sum(1, keepdim=True)
    dcounts += torch.ones_like(counts) * dtotals
    dnorm = counts * dcounts
    dlogits = dnorm.clone()
    dmaxima = -dnorm.sum(1, keepdim=True)
    dlogits += torch.nn.functional.one_hot(logits.max(1).indices, logits.shape[1]) * dmaxima
    return locals()
'''
LAYER_NORM = '''"""Layer norm."""

import torch


def exercise(x, gain, bias, weight, y):
    # Forward: given.
    d = x.shape[1]
    mean = x.mean(1, keepdim=True)
    diff = x - mean
    var = (diff**2).sum(1, keepdim=True) / (d - 1)
    raw = diff * (var + 1e-5) ** -0.5
    out = raw * gain + bias
    final = torch.tanh(out @ weight)
    loss = (final * y).sum()

    # Backward: yours.
    dfinal = y.clone()
    dout = ((1 - final**2) * dfinal) @ weight.T
    dweight = out.T @ ((1 - final**2) * dfinal)
    dgain = (dout * raw).sum(0)
    dbias = dout.sum(0)
    draw = dout * gain
    dvar = -0.5 * (var + 1e-5) ** -1.5 * (draw * diff).sum(1, keepdim=True)
    ddiff = draw * (var + 1e-5) ** -0.5 + 2 * diff * dvar / (d - 1)
    dmean = -ddiff.sum(1, keepdim=True)
    dx = ddiff - ddiff.mean(1, keepdim=True)
    return locals()
'''
TIED = '''"""An embedding used twice, and the largest entry of each row."""

import torch


def exercise(table, tokens, y):
    # Forward: given.
    emb = table[tokens]
    logits = emb @ table.T
    top = logits.max(1).values
    loss = ((top - y) ** 2).mean() + (logits**2).sum()

    # Backward: yours.
    dtop = 2 * (top - y) / tokens.shape[0]
    dlogits = 2 * logits
    dlogits += torch.nn.functional.one_hot(logits.max(1).indices, logits.shape[1]) * dtop[:, None]
    demb = dlogits @ table
    dtable = dlogits.T @ emb
    for i in range(len(tokens)):
        dtable[tokens[i]] += demb[i]
    return locals()
'''
SOLVED = {"cross_entropy": CROSS_ENTROPY, "layer_norm": LAYER_NORM, "tied": TIED}


def inputs() -> dict[str, dict[str, torch.Tensor]]:
    random = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    return {
        "cross_entropy": {"logits": normal(6, 9), "targets": torch.tensor([1, 0, 8, 3, 3, 5])},
        "layer_norm": {
            "x": normal(4, 6), "gain": 1 + 0.3 * normal(6), "bias": normal(6), "weight": normal(6, 6),
            "y": normal(4, 6),
        },
        "tied": {"table": normal(7, 4), "tokens": torch.tensor([1, 2, 1, 5, 0]), "y": normal(5)},
    }  # fmt: skip


@cache
def benches() -> dict[str, Any]:
    """Each, with autograd's gradients."""
    return {name: bench("solved").Bench(source, inputs()[name]) for name, source in SOLVED.items()}


@cache
def pools() -> tuple[list[Any], list[Any]]:
    """Their mutants that are wrong, and those that cannot be run."""
    return bench("grading_tasks").pool(benches(), 0, "mutants", lambda text: None)


@cache
def variants() -> list[Any]:
    """Right files written differently."""
    return bench("grading_tasks").right_files(benches(), 18, 0)

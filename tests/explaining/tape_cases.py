"""Expressions as a learner writes them, each recorded by a tape."""

# ruff: noqa: F841, RUF059 - a tape reads variables that no line of code does

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moreish.explaining.taping.tape import Tape, tape


def leaf(*values: float) -> Tensor:
    return torch.tensor(values[0] if len(values) == 1 else values, dtype=torch.float64, requires_grad=True)


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def sentences(t: Tape, rule: str) -> list[str]:
    return [each.sentence for each in t.rules() if each.rule == rule]


def micrograd() -> Tape:
    """The example of micrograd's README."""
    with tape() as t:
        a = leaf(-4.0)
        b = leaf(2.0)
        c = a + b
        d = a * b + b**3
        c = c + (c + 1)
        c = c + 1 + c + (-a)
        d = d + d * 2 + (b + a).relu()
        d = d + 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        g = f / 2.0
        g = g + 10.0 / f
    return t


def lecture() -> Tape:
    """The lecture's MLP with BatchNorm, in its smallest steps."""
    n = 6
    C, W1, b1 = normal(9, 2), normal(6, 5), normal(5)
    W2, b2, bngain, bnbias = normal(5, 9), normal(9), normal(1, 5), normal(1, 5, seed=1)
    Xb = torch.arange(18).reshape(6, 3) % 9
    Yb = torch.arange(6)
    with tape() as t:
        emb = C[Xb]
        embcat = emb.view(emb.shape[0], -1)
        hprebn = embcat @ W1 + b1
        bnmeani = 1 / n * hprebn.sum(0, keepdim=True)
        bndiff = hprebn - bnmeani
        bndiff2 = bndiff**2
        bnvar = 1 / (n - 1) * (bndiff2).sum(0, keepdim=True)
        bnvar_inv = (bnvar + 1e-5) ** -0.5
        bnraw = bndiff * bnvar_inv
        hpreact = bngain * bnraw + bnbias
        h = torch.tanh(hpreact)
        logits = h @ W2 + b2
        logit_maxes = logits.max(1, keepdim=True).values
        norm_logits = logits - logit_maxes
        counts = norm_logits.exp()
        counts_sum = counts.sum(1, keepdims=True)
        counts_sum_inv = counts_sum**-1
        probs = counts * counts_sum_inv
        logprobs = probs.log()
        loss = -logprobs[range(n), Yb].mean()
    return t


def attention() -> Tape:
    q = normal(2, 4, 6)
    with tape() as t:
        att = F.softmax(q @ q.transpose(-2, -1) / 6**0.5, dim=-1)
        att = att.masked_fill(torch.ones(4, 4).tril() == 0, 0.0)
        left, right = (att @ q).split(3, dim=-1)
        loss = (left * right).sum() + torch.stack([left.mean(), right.std()]).sum()
    return t


def modules() -> Tape:
    model = nn.Sequential(nn.Embedding(5, 4), nn.GRU(4, 3, batch_first=True)).double()
    with tape() as t:
        out, last = model(torch.tensor([[0, 1, 1], [2, 3, 4]]))
        logits = F.layer_norm(out, (3,))
        loss = F.cross_entropy(logits.flatten(0, 1), torch.tensor([0, 1, 2, 2, 1, 0])) + last.mean()
    return t


def in_place() -> Tape:
    w = normal(4)
    with tape() as t:
        x = w * 2
        row = x[0]
        row += 5
        other = x[1]
        x[2] = other * 3
        y = x.exp()
        x = x + 1
        x.mul_(2)
        loss = (y * x).sum() + other
    return t


def shapes() -> Tape:
    column, row, one = normal(3, 1), normal(4), leaf(0.5)
    with tape() as t:
        grid = column * row + one
        stacked = torch.cat([grid, column.expand(3, 4), grid[[0, 0, 1]]])
        same = stacked * stacked
        top, at = same.topk(2, dim=1)
        mean, middle = same.mean(0), same.logsumexp(1, keepdim=True)
        loss = top.sum() + (mean * row).sum() + middle.squeeze(1)[1:].prod() + torch.einsum("ij,kj->", grid, stacked)
    return t


def second_order() -> Tape:
    w = normal(3)
    with tape() as t:
        y = (w**3).sum()
        (slope,) = torch.autograd.grad(y, w, create_graph=True)
        loss = (slope**2).sum() + y
    return t


class Doubled(torch.autograd.Function):
    """An autograd function of one's own, which no mode of torch sees."""

    @staticmethod
    def forward(ctx, x):
        return torch.from_numpy(x.numpy() * 2)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


def own_function() -> Tape:
    w = normal(3)
    with tape() as t:
        y = w + 1
        z = Doubled.apply(y)
        loss = (z * y).sum()
    return t


CASES = (micrograd, lecture, attention, modules, in_place, shapes, second_order, own_function)

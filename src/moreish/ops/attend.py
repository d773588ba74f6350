"""Attention: each position takes a weighted mean of what it may see, by how well its query meets their keys."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from moreish.ops.op import Gradients, Op

ROTARY_BASE = 10_000.0
"""The slowest pair of numbers turns by 1 / ROTARY_BASE of a radian a symbol: Su et al. 2021, as Vaswani et al. 2017."""


def attend_forward(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    v: Float[Tensor, "B H S D"],
    bias: Float[Tensor, "#B 1 T S"] | None = None,
) -> Float[Tensor, "B H T D"]:
    """softmax(q k^T / sqrt(D) + bias) v, in each of H heads.

    Source: Vaswani et al. 2017, equation 1.

    Args:
        bias: 0 where a position may be seen, else -inf; None where all may be.
    """
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def attend_backward(
    gradient: Tensor, output: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None
) -> Gradients:
    """With w = softmax(s), s = q k^T / sqrt(D) + bias and y = w v:

    dv = w^T g    dw = g v^T    ds = w (dw - sum(dw w))    dq = ds k / sqrt(D)    dk = ds^T q / sqrt(D)

    The sum over S of dw w is g . y, a product of D numbers rather than of S. The weights are worked out again: to keep
    them would cost more than that where lines are long (Dao et al. 2022, FlashAttention, section 3.1).
    """
    by = q.shape[-1] ** -0.5
    scores = (q * by) @ k.mT
    if bias is not None:
        scores = scores.add_(bias)
    weights = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
    weights = weights.div_(weights.sum(-1, keepdim=True))
    d_scores = (gradient @ v.mT).sub_(torch.linalg.vecdot(gradient, output)[..., None]).mul_(weights).mul_(by)
    return {"q": d_scores @ k, "k": d_scores.mT @ q, "v": weights.mT @ gradient}


def attend_once(
    q: Float[Tensor, "B H D"], seen: Sequence[tuple[Float[Tensor, "B H D"], Float[Tensor, "B H D"]]]
) -> Float[Tensor, "B H D"]:
    """The same for one query a row, over the keys and values of positions that lie apart in memory.

    Many rows that each read one symbol: a pass over all rows for each position, rather than thousands of products of
    a vector and a small matrix, takes a third of the time, and nothing has to be laid side by side first.
    """
    scores = torch.stack([torch.linalg.vecdot(q, k) for k, _ in seen]).mul_(q.shape[-1] ** -0.5)
    weights = scores.sub_(scores.amax(0)).exp_()
    weights = weights.div_(weights.sum(0))[..., None]
    mixed = weights[0] * seen[0][1]
    for weight, (_, v) in zip(weights[1:], seen[1:]):
        mixed.addcmul_(weight, v)
    return mixed


def reach(
    queries: int, keys: int, context: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "1 1 T S"] | None:
    """The bias of causal attention, the queries being the last of the keys: each sees itself and what is before it,
    `context` positions in all. None where that is everything.
    """
    if queries == 1 and keys <= context:
        return None
    back = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(keys, device=device)
    bias = torch.zeros(back.shape, dtype=dtype, device=device)
    return bias.masked_fill_((back < 0) | (back >= context), float("-inf"))[None, None]


def angles(positions: Int[Tensor, "B T"], size: int, dtype: torch.dtype) -> Float[Tensor, "2 B T D"]:
    """Cosine and sine of the angles by which the pairs of a query or key of `size` numbers are turned.

    Source: Su et al. 2021, section 3.2.2. In float64 on the way: far along a line float32 no longer tells angles apart.
    """
    pairs = torch.arange(0, size, 2, dtype=torch.float64, device=positions.device)
    turned = positions[..., None].double() * ROTARY_BASE ** (-pairs / size)
    return torch.stack([turned.cos(), turned.sin()]).to(dtype)


def rotate_forward(
    x: Float[Tensor, "B T G *N K"], turn: Float[Tensor, "2 B T D"], *, parts: int
) -> Float[Tensor, "B T G *N K"]:
    """Of the first `parts` of G, each pair (i, i + K/2) of numbers turned by its angle, so that q . k depends on how
    far apart they stand.

    Source: Su et al. 2021, equation 34; pairs are halves apart rather than neighbours, as in GPT-NeoX.
    """
    cosine, sine, turned = _pairs(x, turn, parts)
    one, other = turned.chunk(2, -1)
    return torch.cat([torch.cat([one * cosine - other * sine, other * cosine + one * sine], -1), x[:, :, parts:]], 2)


def rotate_backward(gradient: Tensor, turn: Tensor, parts: int) -> Gradients:
    """A rotation's transpose is its inverse: the gradient is turned back."""
    cosine, sine, turned = _pairs(gradient, turn, parts)
    one, other = turned.chunk(2, -1)
    back = torch.cat([one * cosine + other * sine, other * cosine - one * sine], -1)
    return {"x": torch.cat([back, gradient[:, :, parts:]], 2)}


def _pairs(x: Tensor, turn: Tensor, parts: int) -> tuple[Tensor, Tensor, Tensor]:
    rows, length, _, *more, size = x.shape
    cosine, sine = turn.view(2, rows, length, *[1] * (1 + len(more)), size // 2)
    return cosine, sine, x[:, :, :parts]


attend = Op(attend_forward, attend_backward)
rotate = Op(rotate_forward, rotate_backward)

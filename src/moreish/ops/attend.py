"""Attention: each position takes a weighted mean of what it may see, by how well its query meets their keys."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

ROTARY_BASE = 10_000.0
"""The slowest pair of numbers turns by 1 / ROTARY_BASE of a radian a symbol: Su et al. 2021, as Vaswani et al. 2017."""


def attend(
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


def rotate(x: Float[Tensor, "B T *N K"], turn: Float[Tensor, "2 B T D"]) -> Float[Tensor, "B T *N K"]:
    """Each pair (i, i + K/2) of numbers turned by its angle, so that q . k depends on how far apart they stand.

    Source: Su et al. 2021, equation 34; pairs are halves apart rather than neighbours, as in GPT-NeoX.
    """
    rows, length, *_, size = x.shape
    cosine, sine = turn.view(2, rows, length, *[1] * (x.ndim - 3), size // 2)
    one, other = x.chunk(2, -1)
    return torch.cat([one * cosine - other * sine, other * cosine + one * sine], -1)

"""Choosing rows of a table, and the affine map."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from moreish.ops.op import Gradients, Op


def embed_forward(ids: Int[Tensor, "*N"], table: Float[Tensor, "V D"]) -> Float[Tensor, "*N D"]:
    """Row `ids[n]` of the table for each n: one-hot @ table without the multiplications by 0.

    Source: Bengio et al. 2003, section 2, the mapping C.
    """
    return F.embedding(ids, table)


def embed_backward(gradient: Tensor, ids: Tensor, table: Tensor) -> Gradients:
    """d_table[v] is the sum of the gradients at all places where v stands: one-hot^T @ gradient."""
    flat = gradient.reshape(-1, gradient.shape[-1])
    return {"table": torch.zeros_like(table).index_add_(0, ids.reshape(-1), flat)}


def linear_forward(
    x: Float[Tensor, "*N K"], weight: Float[Tensor, "D K"], bias: Float[Tensor, " D"] | None = None
) -> Float[Tensor, "*N D"]:
    """x @ weight.T + bias. Weights stand as in torch: outputs by inputs.

    Source of its gradient: Rumelhart, Hinton and Williams 1986, Learning Representations by Back-Propagating Errors.
    """
    return F.linear(x, weight, bias)


def linear_backward(gradient: Tensor, x: Tensor, weight: Tensor) -> Gradients:
    """y[n, d] = sum over k of x[n, k] w[d, k] + b[d]. A product contracts one axis; each gradient contracts another:

    dx[n, k] = sum over d of g[n, d] w[d, k]    dw[d, k] = sum over n of g[n, d] x[n, k]    db[d] = sum over n of g
    """
    flat = gradient.reshape(-1, gradient.shape[-1])
    return {"x": gradient @ weight, "weight": flat.t() @ x.reshape(-1, x.shape[-1]), "bias": flat.sum(0)}


embed = Op(embed_forward, embed_backward)
linear = Op(linear_forward, linear_backward)

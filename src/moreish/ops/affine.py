"""Choosing rows of a table, and the affine map."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def embed(ids: Int[Tensor, "*N"], table: Float[Tensor, "V D"]) -> Float[Tensor, "*N D"]:
    """Row `ids[n]` of the table for each n: one-hot @ table without the multiplications by 0.

    Source: Bengio et al. 2003, section 2, the mapping C.
    """
    return F.embedding(ids, table)


def linear(
    x: Float[Tensor, "*N K"], weight: Float[Tensor, "D K"], bias: Float[Tensor, " D"] | None = None
) -> Float[Tensor, "*N D"]:
    """x @ weight.T + bias. Weights stand as in torch: outputs by inputs."""
    return F.linear(x, weight, bias)

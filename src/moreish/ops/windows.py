"""The first layer of a network on windows: embeddings side by side, then a linear map, without either being formed.

A window's slot c holds one of V symbols, so weight_c @ table[symbol] is one of V vectors: all of them in one small
product, and then each position's map is the sum of C rows. Of N windows that takes N / V of the multiplications.
Source: Bengio et al. 2003, section 3.1, counts what the product costs; the sum is that of an embedding bag.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from moreish.ops.affine import embed, linear
from moreish.ops.op import Gradients, Op

WORTH = 2
"""Windows, as many times the symbols, from which on the table pays."""
FEW = 512
"""Windows up to which one addition over all slots, their gradient repeated for each, is quicker than one for each slot.
Torch's own gradient of an embedding bag sorts first, and takes at least twice as long as either."""


def slot_table(table: Float[Tensor, "V D"], weight: Float[Tensor, "H CD"]) -> Float[Tensor, "CV H"]:
    """For each slot c and symbol v, weight_c @ table[v]: row c V + v."""
    symbols, width = table.shape
    hidden, inputs = weight.shape
    # One product over all slots; torch's batched one of such small matrices takes twice as long.
    products = (weight.reshape(-1, width) @ table.t()).view(hidden, inputs // width * symbols)
    return products.t().contiguous()


def slots_of(windows: Int[Tensor, "M C"], symbols: int) -> Int[Tensor, "M C"]:
    """The row of `slot_table` for each slot of each window."""
    return windows + symbols * torch.arange(windows.shape[1], device=windows.device)


def sum_slots(slots: Int[Tensor, "M C"], rows: Float[Tensor, "CV H"]) -> Float[Tensor, "M H"]:
    """The sum of each window's rows."""
    return F.embedding_bag(slots, rows, mode="sum")


def embed_linear_forward(
    windows: Int[Tensor, "M C"],
    table: Float[Tensor, "V D"],
    weight: Float[Tensor, "H CD"],
    bias: Float[Tensor, " H"] | None,
) -> Float[Tensor, "M H"]:
    """linear(embed(windows).flatten(1)), by sums of rows of the slots' table."""
    out = sum_slots(slots_of(windows, len(table)), slot_table(table, weight))
    return out if bias is None else out + bias


def embed_linear_backward(gradient: Tensor, windows: Tensor, table: Tensor, weight: Tensor) -> Gradients:
    """out[n] = sum over c of T[slots[n, c]], T = slot_table(table, weight), and the bias.

    dT[s] is the sum of g[n] over all n and c with slots[n, c] = s; with T^T = W E^T for the weight as [H C, D],
    dW = dT^T E and dE = dT W.
    """
    slots = slots_of(windows, len(table))
    hidden, inputs = weight.shape
    symbols, width = table.shape
    d_rows = gradient.new_zeros(inputs // width * symbols, hidden)
    by_slot = slots.t().contiguous()
    if len(slots) < FEW:
        repeated = gradient.expand(len(by_slot), *gradient.shape)
        d_rows.index_add_(0, by_slot.flatten(), repeated.reshape(-1, hidden))
    else:
        for slot in by_slot.unbind(0):
            d_rows.index_add_(0, slot, gradient)
    d_products = d_rows.t().reshape(-1, symbols)  # [H C, V]
    return {
        "table": d_products.t() @ weight.reshape(-1, width),
        "weight": (d_products @ table).view(hidden, inputs),
        "bias": gradient.sum(0),
    }


def embed_linear_apart(windows: Tensor, table: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same by an embedding and a linear map."""
    return linear(embed(windows, table).flatten(1), weight, bias)


embed_linear = Op(embed_linear_forward, embed_linear_backward, always=True, steps=embed_linear_apart)

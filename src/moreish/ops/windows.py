"""The first layer of a network on windows: embeddings side by side, then a linear map, without either being formed.

A window's slot c holds one of V symbols, so weight_c @ table[symbol] is one of V vectors: all of them in one small
product, and then each position's map is the sum of C rows. Of N windows that takes N / V of the multiplications.
Source: Bengio et al. 2003, section 3.1, counts what the product costs; the sum is that of an embedding bag.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

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


def embed_linear(
    windows: Int[Tensor, "M C"],
    table: Float[Tensor, "V D"],
    weight: Float[Tensor, "H CD"],
    bias: Float[Tensor, " H"] | None,
) -> Float[Tensor, "M H"]:
    """linear(embed(windows).flatten(1)), by sums of rows of the slots' table."""
    out = _SlotSum.apply(slots_of(windows, len(table)), table, weight)
    return out if bias is None else out + bias


class _SlotSum(torch.autograd.Function):
    """out[n] = sum over c of T[slots[n, c]], T = slot_table(table, weight).

    d_T[s] is the sum of d_out[n] over all n and c with slots[n, c] = s; with T^T = W E^T for the weight as [H C, D],
    d_W = d_T^T E and d_E = d_T W.
    """

    @staticmethod
    def forward(ctx: Any, slots: Tensor, table: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(slots, table, weight)
        return sum_slots(slots, slot_table(table, weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[None, Tensor, Tensor]:  # type: ignore[override]
        slots, table, weight = ctx.saved_tensors
        hidden, inputs = weight.shape
        symbols, width = table.shape
        d_rows = d_out.new_zeros(inputs // width * symbols, hidden)
        by_slot = slots.t().contiguous()
        if len(slots) < FEW:
            repeated = d_out.expand(len(by_slot), *d_out.shape)
            d_rows.index_add_(0, by_slot.flatten(), repeated.reshape(-1, hidden))
        else:
            for slot in by_slot.unbind(0):
                d_rows.index_add_(0, slot, d_out)
        d_products = d_rows.t().reshape(-1, symbols)  # [H C, V]
        d_weight = (d_products @ table).view(hidden, inputs)
        d_table = d_products.t() @ weight.reshape(-1, width)
        return None, d_table, d_weight

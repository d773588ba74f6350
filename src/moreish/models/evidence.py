"""What count tables say: of each candidate its discounted share and its count, of each table how much it has seen.

Two forms of the same: for a small alphabet every symbol is a candidate; for a large one those that any table saw, and
one more that stands for all others, since nothing tells these apart but how frequent they are.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.errors import ConfigError
from moreish.models.contexts import CONTINUATIONS, NAMES

DISCOUNT = 0.667
"""Taken from each count: between Kneser and Ney's discounts for counts of one and of more."""
MOST_ENTRIES = 1 << 25
"""Entries of rows looked at together: 2 GB with what is made of them."""


class Candidates(NamedTuple):
    """The candidates of some positions, end to end, the one for all others of each position last.

    `position` [C] and `symbol` [C] do not list those last; `features` [C+N F] does.
    """

    position: Int[Tensor, " C"]
    symbol: Int[Tensor, " C"]
    features: Float[Tensor, "CN F"]
    confidence: Float[Tensor, "N G"]


def less_one(own: Float[Tensor, "N K"], back: Int[Tensor, "N J"]) -> Float[Tensor, "N K"]:
    """What the target's counts lose where one occurrence of it is left out.

    A continuation goes with its last occurrence only; contexts that begin a line hold raw counts.

    Args:
        own: the target's count in each table.
        back: the last symbols, newest first.
    """
    less = own.clamp(max=1.0)
    for order in CONTINUATIONS:
        alone = own[:, NAMES.index(f"last {order + 1}")] == 1
        less[:, NAMES.index(f"continuation {order}")] *= alone | (back[:, order - 1] == 0)
    return less


def confidence(total: Float[Tensor, "N K"], kinds: Float[Tensor, "N K"]) -> Float[Tensor, "N G"]:
    """Of each table: how much it has seen, of how many kinds, and whether anything."""
    some = total > 0
    share = torch.where(some, kinds / total.clamp_min(1.0), -1.0)
    return torch.cat([torch.log1p(total) / 4, share, some.to(total.dtype)], 1)


def left_over(total: Float[Tensor, "*N"], kinds: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """The share that discounting leaves to the unigram: all of it, where a table has seen nothing."""
    return torch.where(total > 0, DISCOUNT * kinds / total.clamp_min(1.0), 1.0)


def of_all(
    counts: Float[Tensor, "N K V"], unigram: Float[Tensor, " V"]
) -> tuple[Float[Tensor, "N F V"], Float[Tensor, "N G"]]:
    """Features of every symbol: by table the log of its discounted share over the unigram's, then of its count."""
    total, kinds = counts.sum(-1), (counts > 0).sum(-1).to(counts.dtype)
    share = (counts - DISCOUNT).clamp_min_(0).div_(total.clamp_min(1.0)[..., None])
    ratio = share.div_(unigram).add_(left_over(total, kinds)[..., None]).log_()
    return torch.cat([ratio, torch.log1p(counts)], 1), confidence(total, kinds)


def entries_of(
    rows: Int[Tensor, "N K"], row_starts: Int[Tensor, " R1"]
) -> tuple[Int[Tensor, " NK"], Int[Tensor, " E"], Int[Tensor, " E"]]:
    """How many entries each of some rows has; then, of all their entries, the number of the row and of the entry.

    Raises:
        ConfigError: they are more than memory should hold.
    """
    starts = row_starts[rows].flatten()
    sizes = row_starts[(rows + 1).clamp(max=len(row_starts) - 1)].flatten() - starts
    if (count := int(sizes.sum())) > MOST_ENTRIES:
        raise ConfigError(
            f"mixture: {len(rows):,} positions have {count:,} candidates in its tables, and {MOST_ENTRIES:,} are held "
            f"together. Use a smaller --batch, or the model ngram or gru for lines that begin in so many ways."
        )
    cell = torch.repeat_interleave(torch.arange(len(sizes), device=rows.device), sizes)
    return sizes, cell, torch.arange(len(cell), device=rows.device) + (starts - sizes.cumsum(0) + sizes)[cell]


def of_few(
    rows: Int[Tensor, "N K"],
    row_starts: Int[Tensor, " R1"],
    entry_symbols: Int[Tensor, " E"],
    entry_counts: Int[Tensor, " E"],
    unigram: Float[Tensor, " V"],
    targets: Int[Tensor, " N"] | None,
    back: Int[Tensor, "N J"],
) -> Candidates:
    """Features of those symbols that any table saw, one occurrence of the targets left out where they are given."""
    positions, tables = rows.shape
    sizes, cell, at = entries_of(rows, row_starts)
    symbol, count = entry_symbols[at].long(), entry_counts[at].to(unigram.dtype)
    position = cell // tables
    if targets is not None:
        mine = symbol == targets[position]
        own = count.new_zeros(len(sizes))
        own[cell[mine]] = count[mine]
        less = less_one(own.view(positions, tables), back).flatten()
        count = count - torch.where(mine, less[cell], 0.0)
        kept = count > 0
        cell, symbol, count, position = cell[kept], symbol[kept], count[kept], position[kept]
    total = count.new_zeros(len(sizes)).index_add_(0, cell, count)
    kinds = torch.bincount(cell, minlength=len(sizes)).to(count.dtype)
    left = left_over(total, kinds)
    ratio = torch.log((count - DISCOUNT).clamp_min(0) / total[cell] / unigram[symbol] + left[cell])
    candidate, which = torch.unique(position * len(unigram) + symbol, return_inverse=True)
    others = torch.cat([left.view(positions, tables).log(), count.new_zeros(positions, tables)], 1)
    features = torch.cat([others[candidate // len(unigram)], others])
    features[which, cell % tables] = ratio
    features[which, tables + cell % tables] = torch.log1p(count)
    known = confidence(total.view(positions, tables), kinds.view(positions, tables))
    return Candidates(candidate // len(unigram), candidate % len(unigram), features, known)

"""What a recurrent network computes at each turn, when many lines of unequal lengths are read side by side.

Lines that have ended are not computed any more, and a prefix that several lines share is computed once: what is read
is the trie of the lines near its root, and single lines beyond. Of 256 given names 62 % of the positions remain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

DEEPEST = 6
"""Symbols, the boundary included, up to which prefixes are compared."""
WORTH = 1 / 16
"""The share of a turn's rows that must fall away: going on from chosen rows costs more than from the first ones."""


@dataclass(frozen=True, slots=True)
class Turns:
    """The rows of each turn, end to end: M in all. States are kept in one tensor, the S first ones (before any symbol)
    in front: a row's state after its turn is at S plus its number.
    """

    sizes: list[int]
    """Rows of each turn, at least one; they sum to M."""
    before: Int[Tensor, " M"] | None
    """Where each row's state before its turn is kept. None: S rows above."""
    chosen: list[Tensor | None]
    """For each turn, the rows of the turn before (at first, the S states) from which its rows go on. None: the first
    ones, as many as go on."""

    @property
    def rows(self) -> int:
        """M."""
        return sum(self.sizes)

    def states_before(self, states: Float[Tensor, "K H"]) -> Float[Tensor, "M H"]:
        """The state before each row's turn, given all of them."""
        return states[: self.rows] if self.before is None else states.index_select(0, self.before)

    def forward(self, states: Float[Tensor, "K W"], *parts: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """For each turn: the states before it, room for those after it, and its rows of each part [M, ...]."""
        before, *after = self._split(states, len(states) - self.rows)
        for chosen, new, *its in zip(self.chosen, after, *(self._split(part) for part in parts)):
            yield before[: len(new)] if chosen is None else before.index_select(0, chosen), new, *its
            before = new

    def backward(self, d_states: Float[Tensor, "K W"], *parts: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """For each turn, the last one first: the gradient of its states, where to add that of the states before it, and
        its rows of each part [M, ...].
        """
        below, *d_after = self._split(d_states, len(d_states) - self.rows)
        its = list(zip(d_after, *(self._split(part) for part in parts)))
        for turn in reversed(range(len(its))):
            d_new, *rows = its[turn]
            into, chosen = its[turn - 1][0] if turn else below, self.chosen[turn]
            if chosen is None:
                yield d_new, into[: len(d_new)], *rows
            else:
                apart = torch.zeros_like(d_new)
                yield d_new, apart, *rows
                into.index_add_(0, chosen, apart)

    def _split(self, part: Tensor, first: int = 0) -> tuple[Tensor, ...]:
        # The plain split takes twice as long, for the sake of views that autograd follows: none does here.
        return torch.unsafe_split_with_sizes(part, [first, *self.sizes] if first else self.sizes)


@dataclass(frozen=True, slots=True)
class Reading:
    """Whole lines, laid end to end, as turns that begin from one state."""

    turns: Turns
    ids: Int[Tensor, " M"]
    """The symbol that each row reads."""
    row: Int[Tensor, " N"]
    """The row that reads each position of the lines."""


def side_by_side(rows: int, turns: int) -> Turns:
    """All rows at every turn, each from a state of its own."""
    return Turns([rows] * turns, None, [None] * turns)


def in_turns(tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"], symbols: int, share: bool = True) -> Reading:
    """Lines laid end to end, in turns.

    Args:
        symbols: V; ids are below it.
        share: compute equal prefixes once. Not where a row must differ from its equals, as by dropout.
    """
    device = tokens.device
    symbol, long = tokens.cpu().numpy(), lengths.cpu().numpy()
    order = (-long).argsort(kind="stable")
    inside = np.arange(int(long[order[0]]))[:, None] < long  # [T B]
    row = np.empty(inside.shape, np.int64)  # within its turn; whatever for lines that have ended
    row[:, order] = np.arange(len(long))
    sizes = inside.sum(1)
    shared = _number_prefixes(symbol, long, inside, symbols, row, sizes) if share else 0
    ends = sizes.cumsum()
    row += (ends - sizes)[:, None]
    row = row.T[inside.T]
    ids = np.empty(ends[-1], symbol.dtype)
    ids[row] = symbol
    before = np.empty(len(ids), np.int64)
    before[row[1:]] = row[:-1]
    before += 1
    before[: sizes[0]] = 0
    turns = Turns(sizes.tolist(), torch.from_numpy(before).to(device), [None] * len(sizes))
    # The first turn after those shared goes on from prefixes too; all later rows from the line's own.
    for turn, its in enumerate(torch.from_numpy(before).split(turns.sizes)[: shared + 1]):
        turns.chosen[turn] = (its - (1 + int(ends[turn - 2]) if turn > 1 else turn)).to(device)
    return Reading(turns, torch.from_numpy(ids).to(device), torch.from_numpy(row).to(device))


def _number_prefixes(
    symbol: np.ndarray, long: np.ndarray, inside: np.ndarray, symbols: int, row: np.ndarray, sizes: np.ndarray
) -> int:
    """Give lines with equal prefixes one row, in as many turns as that is worth it: changes `row` and `sizes` there.

    Returns: in how many.
    """
    base = symbols + 1  # 0 stands for "ended before"
    deepest = min(DEEPEST, len(sizes), 62 // base.bit_length())
    powers = base ** np.arange(deepest - 1, -1, -1, dtype=np.int64)
    at = long.cumsum() - long + np.arange(deepest)[:, None]
    # What lies beyond a line is the next one's, and beyond the last there is nothing.
    key = powers @ (inside[:deepest] * (symbol.take(at, mode="clip") + 1))
    order = key.argsort()
    prefix = key[order] // powers[:, None]
    new = inside[:deepest, order]
    new[:, 1:] &= prefix[:, 1:] != prefix[:, :-1]
    number = new.cumsum(1)
    few = number[:, -1] <= (1 - WORTH) * sizes[:deepest]
    shared = deepest if few.all() else int(few.argmin())
    row[:shared, order] = number[:shared] - 1
    sizes[:shared] = number[:shared, -1]
    return shared

"""How batches are put together, seen from what the model reads: rows of symbols, one row for each example."""

from __future__ import annotations

from collections import Counter

import numpy as np
from jaxtyping import Int
from torch import Tensor

from moreish.learning.batches import Batch, Windows
from moreish.learning.doctor.evidence import Composition

LEAST_PASSES = 12
MOST_KINDS = 4096
"""Symbols told apart; those of a larger alphabet fall together by their remainder."""
LEAST_EXPECTED = 1.0
"""Symbols expected less often in a batch tell little and are put together."""


class Composing:
    """Gathers what each learning pass read."""

    def __init__(self) -> None:
        self.marks: list[list[Counter[int]]] = []
        """For each pass, how often each symbol stood in each of the columns looked at."""
        self.rows: list[int] = []

    def met(self, ids: Int[np.ndarray, "B T"], hashes: Int[np.ndarray, " B"]) -> None:
        """A pass read rows with these symbols in the columns that tell them apart, and these hashes."""
        self.marks.append([Counter((column % MOST_KINDS).tolist()) for column in ids.T])
        self.rows.append(hash(tuple(sorted(hashes.tolist()))))

    def met_rows(self, x: Tensor) -> None:
        """The same of a tensor of symbols, [B T] or [B]: of long rows the first two columns and the last two count."""
        ids = x.detach().cpu().numpy().reshape(len(x), -1).astype(np.int64)
        chosen = ids if ids.shape[1] <= 4 else ids[:, [0, 1, -2, -1]]
        self.met(chosen, row_hashes(ids))

    def met_batch(self, batch: Batch | Windows) -> None:
        """The same of a batch of ours: of lines, by their first two symbols and their last."""
        if isinstance(batch, Windows):
            self.met_rows(batch.windows)
            return
        targets, lengths = batch.targets.cpu().numpy().astype(np.int64), batch.lengths.cpu().numpy()
        starts = np.cumsum(lengths) - lengths
        inside = np.minimum(np.arange(3), lengths[:, None] - 1)
        inside[:, 2] = np.maximum(lengths - 2, 0)
        place = np.arange(len(targets)) - np.repeat(starts, lengths)
        with np.errstate(over="ignore"):
            powers = np.cumprod(np.full(int(lengths.max(initial=1)), 1_000_003, np.int64))
            hashes = np.add.reduceat((targets + 1) * powers[place], starts)
        self.met(targets[starts[:, None] + inside], hashes)

    def composition(self) -> Composition | None:
        """What they say together; None where there were too few."""
        if len(self.marks) < LEAST_PASSES:
            return None
        distinct = len(set(self.rows))
        repeated = None if distinct == 1 else 1 - distinct / len(self.rows)  # the whole list each time
        columns = len(self.marks[0])
        apart = [_dispersion([marks[i] for marks in self.marks if len(marks) == columns]) for i in range(columns)]
        known = [x for x in apart if x is not None]
        return Composition(max(known) if known else None, repeated, len(self.rows))


def _dispersion(marks: list[Counter[int]]) -> float | None:
    """Chi-squared of batches against symbols, over its degrees of freedom."""
    kinds = sorted({mark for counts in marks for mark in counts})
    table = np.array([[counts[kind] for kind in kinds] for counts in marks], float)
    sizes, totals = table.sum(1, keepdims=True), table.sum(0)
    often = totals / totals.sum() * sizes.mean() >= LEAST_EXPECTED
    table = np.column_stack([table[:, often], table[:, ~often].sum(1)])
    table = table[:, table.sum(0) > 0]
    if table.shape[1] < 2:
        return None
    expected = sizes * table.sum(0) / table.sum()
    squared = ((table - expected) ** 2 / expected).sum()
    return float(squared / ((len(table) - 1) * (table.shape[1] - 1)))


def row_hashes(ids: Int[np.ndarray, "B T"]) -> Int[np.ndarray, " B"]:
    """A number for each row, the same for the same symbols in the same order."""
    out = np.zeros(len(ids), np.int64)
    with np.errstate(over="ignore"):
        for column in ids.T:
            out = out * np.int64(1_000_003) + column + 1
    return out

"""The bigram's table of counts: the whole model, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from moreish.errors import UsageError
from moreish.learning.recipe import Trained
from moreish.models.ngram import NGram
from moreish.shapes import BOUNDARY_SIGN

MOST_SHOWN = 40


@dataclass(frozen=True)
class BigramTable:
    """How often each symbol (column) followed each symbol (row). The first of both is the boundary.

    `left_out` counts the rarer symbols that `shown()` leaves out.
    """

    symbols: list[str]
    counts: list[list[int]]
    pairs: int
    pairs_seen: int
    pairs_possible: int
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def shown(self) -> tuple[list[str], list[list[int]]]:
        """The labels and counts of the most frequent symbols, few enough to draw."""
        totals = [sum(row) for row in self.counts]
        often = sorted(range(1, len(totals)), key=lambda i: -totals[i])[:MOST_SHOWN]
        kept = [0, *sorted(often)]
        return [self.symbols[i] for i in kept], [[self.counts[i][j] for j in kept] for i in kept]


def bigram_table(trained: Trained) -> BigramTable:
    """The table of counts of a run whose model is a bigram.

    Raises:
        UsageError: the run's model is another.
    """
    model = trained.model
    if not isinstance(model, NGram) or model.config.order != 2:
        raise UsageError(
            f"this run holds the model {trained.recipe.model}, which has no table of pairs. Train a bigram."
        )
    symbols = model.config.symbols
    if symbols > 5_000:
        raise UsageError(
            f"a table of {symbols:,} by {symbols:,} symbols is too large to write out. Use a smaller alphabet."
        )
    counts = [[0] * symbols for _ in range(symbols)]
    owners = model.row_starts.diff().tolist()
    after, numbers = model.edge_symbols.tolist(), model.edge_counts.tolist()
    edge = owners[0]
    for state in range(1, len(owners)):
        before = int(model.oldest[state])
        for _ in range(owners[state]):
            counts[before][after[edge]] = numbers[edge]
            edge += 1
    return BigramTable(
        symbols=[BOUNDARY_SIGN, *trained.alphabet.symbols],
        counts=counts,
        pairs=sum(map(sum, counts)),
        pairs_seen=sum(count > 0 for row in counts for count in row),
        pairs_possible=symbols * symbols,
        left_out=max(0, symbols - 1 - MOST_SHOWN),
    )

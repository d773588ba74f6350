"""The lines of highest score, found level by level: the best lines of one symbol, of two, and so on.

Where an unfinished line's score is that of its best end, as with the tables of `Paths.best`, the beam is exact: each
of the `count` beginnings that were kept has an end of its own that is at least as good as any of a dropped one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.generating.paths import Ahead
from moreish.shapes import BOUNDARY

CELLS_AT_ONCE = 1 << 22
"""Scores held at a time: 32 MiB, and a few times that while they are made."""


@dataclass(frozen=True, eq=False)
class Kept:
    """Lines, the highest score first; of equals the first in the order of their ids.

    Shapes: ids int32 [K, T], 0 after a line's end; lengths int64 [K]; scores, nats (the model's own) and log_probs (of
    what it is drawn by), each of the whole line, float64 [K].
    """

    ids: Int[Tensor, "K T"]
    lengths: Int[Tensor, " K"]
    scores: Float[Tensor, " K"]
    nats: Float[Tensor, " K"]
    log_probs: Float[Tensor, " K"]

    def __len__(self) -> int:
        return len(self.lengths)


class Tree(ABC):
    """Unfinished lines side by side, all of one length, and what each may go on with."""

    symbols: int
    """V, the boundary counted."""

    @abstractmethod
    def scores(self, first: int, end: int, own: Float[Tensor, " L"]) -> Float[Tensor, "L V"]:
        """For lines `first` to `end`, whose own scores are given, the score after each symbol, or its end; -inf where
        that cannot be. Called for all lines in turn."""

    @abstractmethod
    def follow(self, rows: Int[Tensor, " C"], symbols: Int[Tensor, " C"]) -> Float[Tensor, "C W"]:
        """Nats and log-probability of these lines (rows ascend) each with a symbol more, up to there; those that did
        not end are the unfinished ones from now on."""


@torch.no_grad()
def highest(tree: Tree, count: int, root: float = 0.0) -> Kept:
    """The `count` lines of highest score, or all there are. `root` is the score of the empty beginning."""
    scores = torch.full((1,), root, dtype=torch.float64)
    totals, done = torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, dtype=torch.bool)
    history: list[tuple[Tensor, Tensor]] = []
    while not bool(done.all()):
        scores, where = _best(_candidates(tree, scores, done, count), count)
        line, symbol = torch.div(where, tree.symbols, rounding_mode="floor"), where.remainder(tree.symbols)
        ended = done[line]
        rows = (~done).cumsum(0).sub_(1)[line[~ended]]  # numbers among the unfinished ones
        totals = totals[line]
        totals[~ended] = tree.follow(rows, symbol[~ended])
        done = ended | (symbol == BOUNDARY)
        history.append((line.int(), symbol.int()))
    order = torch.sort(scores, descending=True, stable=True).indices
    ids = torch.zeros(len(order), len(history), dtype=torch.int32)
    at = order
    for column in range(len(history) - 1, -1, -1):
        parents, symbols = history[column]
        ids[:, column] = symbols[at]
        at = parents[at].long()
    nats, log_probs = totals[order].T
    return Kept(ids, (ids != BOUNDARY).sum(1), scores[order], nats, log_probs)


def _candidates(tree: Tree, scores: Tensor, done: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores that are more than -inf, some at a time, each with its place: line * V + symbol; a finished line's is
    that of its end, so that places are in the order of ids."""
    finished, going = done.nonzero()[:, 0], (~done).nonzero()[:, 0]
    if len(finished):
        yield scores[finished], finished * tree.symbols
    at_once = max(1, CELLS_AT_ONCE // tree.symbols)
    for first in range(0, len(going), at_once):
        rows = going[first : first + at_once]
        flat = tree.scores(first, first + len(rows), scores[rows]).view(-1)
        fine = (flat > -torch.inf).nonzero()[:, 0]
        line = rows[torch.div(fine, tree.symbols, rounding_mode="floor")]
        yield flat[fine], line.mul_(tree.symbols).add_(fine.remainder_(tree.symbols))


def _best(parts: Iterator[tuple[Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor]:
    """The highest scores and their places, in the order of these."""
    scores, where = torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.long)
    for more, places in parts:
        scores, where = torch.cat([scores, more]), torch.cat([where, places])
        if len(scores) > count:
            last = scores.topk(count, sorted=False).values.amin()
            kept = (scores > last).nonzero()[:, 0]
            equal = (scores == last).nonzero()[:, 0]
            equal = equal[where[equal].argsort()[: count - len(kept)]]
            kept = torch.cat([kept, equal])
            scores, where = scores[kept], where[kept]
    order = where.argsort()
    return scores[order], where[order]


class PathTree(Tree):
    """The lines of paths under conditions; a score is the log-probability of what lies ahead, the way there included.

    By `Paths.sums` that is of all good ends together, by `Paths.best` of the likeliest.
    """

    def __init__(self, ahead: Ahead):
        self.ahead, self.paths = ahead, ahead.paths
        self.symbols = self.paths.chain.symbols
        self.pair = torch.zeros(1, dtype=torch.long)
        self.left = self.paths.high
        self.totals = torch.zeros(1, 2, dtype=torch.float64)

    def scores(self, first: int, end: int, own: Float[Tensor, " L"]) -> Float[Tensor, "L V"]:
        pair, paths = self.pair[first:end], self.paths
        out = paths.chain.log_probs.index_select(0, paths.context.index_select(0, pair))
        ends = paths.accepting.index_select(0, pair) & (paths.high - self.left >= paths.low)
        if self.left:
            after = paths.after.index_select(0, pair)
            onward = self.ahead.log_ahead(after.view(-1).long(), self.left - 1).view(after.shape)
            onward[:, BOUNDARY] = torch.where(ends, 0.0, -torch.inf)
            out += onward
        else:
            out[:, BOUNDARY] = torch.where(ends, out[:, BOUNDARY], -torch.inf)
            out[:, 1:] = -torch.inf
        return out.add_(self.totals[first:end, 1:])

    def follow(self, rows: Int[Tensor, " C"], symbols: Int[Tensor, " C"]) -> Float[Tensor, "C W"]:
        pair, chain = self.pair[rows], self.paths.chain
        cell = self.paths.context[pair] * self.symbols + symbols
        totals = self.totals[rows]
        totals[:, 0] += chain.nats.view(-1)[cell]
        totals[:, 1] += chain.log_probs.view(-1)[cell]
        going = (symbols != BOUNDARY).nonzero()[:, 0]
        self.pair = self.paths.after.view(-1)[pair[going] * self.symbols + symbols[going]].long()
        self.totals = totals[going]
        self.left -= 1
        return totals

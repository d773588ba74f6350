"""The most probable lines of any model, by best-first search over beginnings: those of fewest nats are read first.

A line is never likelier than its beginning, so once no beginning that waits has fewer nats than a line that was found,
that line is next (uniform-cost search: Dijkstra 1959, A note on two problems in connexion with graphs). Conditions
leave only beginnings from which they can still be met.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from moreish.generating.constraints import Compiled
from moreish.generating.draws import CELLS_AT_ONCE
from moreish.generating.prefixes import Level, row_bytes
from moreish.generating.rows import reading
from moreish.models.model import LanguageModel, device_of, select
from moreish.shapes import BOUNDARY

MOST_READ = 100_000
"""Beginnings that are read before the search gives up ..."""
MOST_BYTES = 1 << 30
"""... or bytes of their states."""
MOST_WAITING = 1 << 21
"""Beginnings that may wait; the least likely are let go beyond that, and no line less likely than they is given."""
FEWEST, AT_ONCE = 16, 1_024
"""Beginnings read together: few at first, as more of them than are needed are read in the end."""
DIGITS = 10
"""Of nats: what is closer than this counts as equally likely, and comes in the order of ids."""


@dataclass
class Waiting:
    """Beginnings that wait: their nats, and int32 [N, 5] of row and slot of the beginning that each goes on from, its
    symbol, its state of the automaton, and its number of symbols."""

    nats: np.ndarray = field(default_factory=lambda: np.zeros(1))
    about: np.ndarray = field(default_factory=lambda: np.array([[-1, 0, BOUNDARY, 0, 0]], np.int32))

    def add(self, more: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Let more of them wait."""
        self.nats = np.concatenate([self.nats, *(nats for nats, _ in more)])
        self.about = np.concatenate([self.about, *(about for _, about in more)])

    def take(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest of them, which wait no longer."""
        if count >= len(self.nats):
            taken = self.nats, self.about
            self.nats, self.about = self.nats[:0], self.about[:0]
            return taken
        order = np.argpartition(self.nats, count)
        first, rest = order[:count], order[count:]
        taken = self.nats[first], self.about[first]
        self.nats, self.about = self.nats[rest], self.about[rest]
        return taken

    def drop(self, most: int) -> float:
        """Let go of all but the likeliest; nats of the likeliest that was let go, or infinity."""
        if len(self.nats) <= most:
            return np.inf
        order = np.argpartition(self.nats, most)
        lost = float(self.nats[order[most:]].min())
        self.nats, self.about = self.nats[order[:most]], self.about[order[:most]]
        return lost


class Search:
    """Iterating gives lines, each as (ids, nats), the most probable first, until all are given or the search gives up.

    `read`: beginnings read so far. `complete`: every line that can be was given.
    """

    def __init__(self, model: LanguageModel[Any], compiled: Compiled):
        model.eval()
        self.model, self.compiled = model, compiled
        self.device, self.reader = device_of(model), reading(model)
        self.most_at_once = max(1, min(AT_ONCE, CELLS_AT_ONCE // int(model.config.symbols)))
        self.after = compiled.acceptor.by_symbol
        self.can_end = compiled.acceptor.counts(compiled.low, compiled.high) > 0
        self.waiting, self.lost = Waiting(), np.inf
        self.fresh: list[tuple[np.ndarray, np.ndarray]] = []
        self.done: list[tuple[float, list[int], float]] = []
        self.levels: list[Level] = []
        self.bytes = self.read = 0
        self.parents, self.symbols = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
        self.complete = False
        self._keep(0, model.begin(1), 1)

    def __iter__(self) -> Iterator[tuple[list[int], float]]:
        while len(self.waiting.nats) and self.read < MOST_READ and self.bytes < MOST_BYTES:
            count = min(self.most_at_once, max(FEWEST, self.read // 4), MOST_READ - self.read)
            nats, about = self.waiting.take(count)
            for depth in np.unique(about[:, 4]):
                here = about[:, 4] == depth
                self._read(int(depth), nats[here], about[here])
            self.waiting.add(self.fresh)
            self.fresh = []
            self.lost = min(self.lost, self.waiting.drop(MOST_WAITING))
            # What differs by rounding alone waits for its equals, so that they come in order.
            proven = min(self.waiting.nats.min(initial=np.inf), self.lost)
            while self.done and self.done[0][0] < round(proven - 10**-DIGITS, DIGITS):
                _, ids, exact = heapq.heappop(self.done)
                yield ids, exact
        self.complete = not len(self.waiting.nats) and self.lost == np.inf

    def _read(self, depth: int, nats: np.ndarray, about: np.ndarray) -> None:
        """Read some beginnings of one length, and put what they may go on with in its place."""
        _, slot, symbol, state, _ = about.T
        with torch.inference_mode():
            rows = torch.from_numpy(slot.astype(np.int64)).to(self.device)
            tokens = torch.from_numpy(symbol.astype(np.int64)).to(self.device)
            logits, after = self.reader(tokens[:, None], select(self.levels[depth].states, rows))
            costs = -torch.log_softmax(logits[:, 0].double(), -1).cpu().numpy()
        first, self.read = self.read, self.read + len(nats)
        self.parents.append(about[:, 0])
        self.symbols.append(symbol)
        ends = self.compiled.acceptor.accepting[state] & (depth >= self.compiled.low)
        for i in np.flatnonzero(ends & np.isfinite(costs[:, BOUNDARY])).tolist():
            whole = float(nats[i] + costs[i, BOUNDARY])
            heapq.heappush(self.done, (round(whole, DIGITS), self._ids(first + i), whole))
        if depth == self.compiled.high:
            return
        slots = self._keep(depth + 1, after, len(nats))
        onward = self.after[state]
        good = (onward >= 0) & self.can_end[depth + 1][onward] & np.isfinite(costs[:, 1:])
        line, which = np.nonzero(good)
        fresh = [first + line, slots + line, which + 1, onward[line, which], np.full(len(line), depth + 1)]
        self.fresh.append((nats[line] + costs[line, which + 1], np.stack(fresh, 1).astype(np.int32)))

    def _keep(self, depth: int, state: Any, more: int) -> int:
        """Keep states of a level; the first one's slot."""
        size = row_bytes(state)
        if depth == len(self.levels):
            self.levels.append(Level(size))
        self.bytes += size * more
        with torch.inference_mode():
            return self.levels[depth].add(state, more)

    def _ids(self, row: int) -> list[int]:
        """The symbols of a beginning."""
        if len(self.parents) > 1:  # blocks grow; laid end to end they are looked up
            self.parents, self.symbols = [np.concatenate(self.parents)], [np.concatenate(self.symbols)]
        out = []
        while row > 0:  # row 0 is the boundary that all begin with
            out.append(int(self.symbols[0][row]))
            row = int(self.parents[0][row])
        return out[::-1]

"""What a model says after each prefix, read once for all lines that begin with it.

Lines drawn side by side begin alike: of 1,000 names the first symbol is drawn from one distribution, the second from
at most 26. Each distinct prefix is read once, and the likely ones are kept, with their states, for the batches to come.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.generating.rows import LayOut, Rows, longer, reading
from moreish.models.model import LanguageModel, select

KEPT_BYTES = 64 << 20
"""Memory for the prefixes that are kept, until the lines that begin with them have all been drawn."""
ROOM = 4_096
"""Prefixes for which there is room at first, at most as many as lines: copying rows to a larger place costs more."""
SHARING = 0.9
"""Distinct prefixes for each line above which sharing no longer pays: each line is then read by itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where lines stand: each has read a prefix, and then drawn a symbol.

    `cell` is the prefix's row * symbols + the symbol. Of rows below `Prefixes.most`, row i is that of `loose`, the
    states of the prefixes that were read last. `rarity` is the nats of prefix and symbol. `apart`: sharing has ended.
    """

    depth: int
    cell: Int[Tensor, " B"]
    rarity: Float[Tensor, " B"]
    loose: Any = None
    apart: bool = False

    def keep(self, rows: Int[Tensor, " K"]) -> Place:
        cell, rarity = self.cell.index_select(0, rows), self.rarity.index_select(0, rows)
        return Place(self.depth, cell, rarity, self.loose, self.apart)

    def drawn(self, cells: Int[Tensor, " B"], nats: Float[Tensor, " B"]) -> Place:
        return Place(self.depth, cells, self.rarity + nats, self.loose, self.apart)


class Prefixes:
    """Any model, each distinct prefix read once.

    The first `most` rows are for the prefixes just read, and written over by the next reading; those from there on are
    kept.
    """

    def __init__(self, model: LanguageModel[Any], lay_out: LayOut, most: int, device: torch.device):
        self.reader, self.lay_out, self.most = reading(model), lay_out, most
        self.symbols = int(model.config.symbols)
        room = most + min(most, ROOM)
        self.rows = Rows(room, self.symbols, device)
        self.used = most
        self.room = KEPT_BYTES
        self.levels: list[Level] = []
        # For each row and symbol the row of the prefix after it, or -1; and its number among its level's states.
        self.after = torch.full((room, self.symbols), -1, dtype=torch.int32, device=device)
        self.slots = torch.empty(room, dtype=torch.int64, device=device)

    def stand(self, state: Any, last: Int[Tensor, " B"]) -> Place:
        """The place of lines that are in this state and about to read `last`: the root of all that is kept."""
        assert self.used == self.most, "there is one root"
        self.levels.append(Level(0))
        self._number(0, state, len(last))
        rows = torch.arange(self.most, self.used, device=last.device)
        return Place(0, rows * self.symbols + last, torch.zeros(len(last), dtype=torch.float64, device=last.device))

    def read(self, place: Place) -> tuple[Int[Tensor, " B"], Place]:
        """The row that each line draws from until the next reading, and the place of lines that are about to draw."""
        rows = self.after.view(-1).index_select(0, place.cell)
        missing = (rows < 0).nonzero()[:, 0]
        if not missing.shape[0]:
            return rows, Place(place.depth + 1, rows, place.rarity)
        fresh, which, missing, apart = self._distinct(place, missing)
        parents = torch.div(fresh, self.symbols, rounding_mode="floor")
        logits, state = self.reader((fresh - parents * self.symbols)[:, None], self._states(place, parents))
        count = fresh.shape[0]
        assert count <= self.most, "more lines at once than was said"
        self.rows.make_room(self.used, logits)
        self.lay_out(logits[:, 0], self.rows.bounds[:count], self.rows.nats[:count])
        numbers = self._keep_likely(place.depth + 1, state, fresh, which, place.rarity.index_select(0, missing))
        rows.index_copy_(0, missing, numbers)
        return rows, Place(place.depth + 1, rows, place.rarity, state, apart)

    def _distinct(
        self, place: Place, missing: Int[Tensor, " M"]
    ) -> tuple[Int[Tensor, " D"], Int[Tensor, " M"], Int[Tensor, " M"], bool]:
        """The distinct cells of lines `missing`, those after loose prefixes first; for each line which."""
        cells = place.cell.index_select(0, missing)
        if not place.apart:
            fresh, which = torch.unique(cells, return_inverse=True)
            most = max(missing.shape[0] * SHARING, place.cell.shape[0] / 2)
            return fresh, which, missing, fresh.shape[0] > most
        kept = cells >= self.most * self.symbols
        if bool(kept.any()):
            order = torch.cat([(~kept).nonzero()[:, 0], kept.nonzero()[:, 0]])
            cells, missing = cells.index_select(0, order), missing.index_select(0, order)
        return cells, torch.arange(cells.shape[0], device=cells.device), missing, True

    def _states(self, place: Place, parents: Int[Tensor, " D"]) -> Any:
        """The states of the prefixes in rows `parents`, loose ones first."""
        loose = int(torch.searchsorted(parents, self.most)) if place.loose is not None else 0
        if loose == parents.shape[0]:
            return select(place.loose, parents)
        kept = self.levels[place.depth].states
        if loose == 0:
            return select(kept, self.slots.index_select(0, parents))
        return _joined(place.loose, parents[:loose], kept, self.slots.index_select(0, parents[loose:]))

    def _keep_likely(
        self, depth: int, state: Any, fresh: Int[Tensor, " D"], which: Int[Tensor, " M"], rarity: Float[Tensor, " M"]
    ) -> Int[Tensor, " M"]:
        """Keep those of the prefixes just read that are likely to be met again; the row of each line's prefix."""
        if depth == len(self.levels):
            cell = self.rows.bounds.element_size() + self.rows.nats.element_size() + self.after.element_size()
            self.levels.append(Level(row_bytes(state) + self.symbols * cell))
        size = self.levels[depth].size
        # A prefix is kept if it is at least as probable as its share of the memory is large. At each depth the kept
        # ones have no more than all the probability, so they have no more than all the memory.
        likely = rarity <= math.log(KEPT_BYTES / size)
        if self.room < size or not bool(likely.any()):
            return which.int()
        chosen = torch.zeros_like(fresh, dtype=torch.bool).index_copy_(0, which, likely)
        chosen.logical_and_(fresh >= self.most * self.symbols)
        chosen = chosen.nonzero()[: self.room // size, 0]
        if not chosen.shape[0]:
            return which.int()
        self.room -= size * chosen.shape[0]
        first = self.used
        self._number(depth, select(state, chosen), chosen.shape[0])
        numbers = torch.arange(first, self.used, dtype=torch.int32, device=fresh.device)
        self.after.view(-1).index_copy_(0, fresh.index_select(0, chosen), numbers)
        self.rows.make_room(self.used, self.rows.nats)
        for rows in (self.rows.bounds, self.rows.nats):
            rows[first : self.used] = rows.index_select(0, chosen)
        rows = torch.arange(fresh.shape[0], dtype=torch.int32, device=fresh.device).index_copy_(0, chosen, numbers)
        return rows.index_select(0, which)

    def _number(self, depth: int, state: Any, more: int) -> None:
        """Give the next rows to prefixes of these states."""
        first, self.used = self.used, self.used + more
        if self.used > self.after.shape[0]:
            size = max(self.used, 2 * first)
            self.after, self.slots = longer(self.after, size), longer(self.slots, size)
        self.after[first : self.used] = -1
        slot = self.levels[depth].add(state, more)
        self.slots[first : self.used] = torch.arange(slot, slot + more, device=self.slots.device)


class Level:
    """The states of kept prefixes of one length; `size` is what each takes in bytes, its row included."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.states: Any = None
        self.count = self.most = 0

    def add(self, state: Any, more: int) -> int:
        """Keep all of a state; returns the number of its first row."""
        first, self.count = self.count, self.count + more
        if self.states is None:
            self.states, self.most = state, more
            return first
        if self.count > self.most:
            self.most = max(self.count, 2 * self.most)
            self.states = map_state(lambda kept: longer(kept, self.most), self.states)
        map_state(lambda kept, new: kept[first : self.count].copy_(new), self.states, state)
        return first


def map_state(of: Callable[..., Tensor], state: Any, *others: Any) -> Any:
    """A state of the same structure, `of` applied to each of its tensors and those of the others."""
    if isinstance(state, Tensor):
        return of(state, *others)
    if isinstance(state, (tuple, list)):
        parts = [map_state(of, *several) for several in zip(state, *others)]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    assert is_dataclass(state) and not isinstance(state, type), "what select accepts"
    names = [f.name for f in fields(state)]
    return replace(state, **{name: map_state(of, *(getattr(s, name) for s in (state, *others))) for name in names})


def _joined(one: Any, rows: Int[Tensor, " K"], other: Any, other_rows: Int[Tensor, " L"]) -> Any:
    """Some rows of one state, then some of another, copied once."""

    def of(a: Tensor, b: Tensor) -> Tensor:
        out = a.new_empty(len(rows) + len(other_rows), *a.shape[1:])
        torch.index_select(a, 0, rows, out=out[: len(rows)])
        torch.index_select(b, 0, other_rows, out=out[len(rows) :])
        return out

    return map_state(of, one, other)


def row_bytes(state: Any) -> int:
    """What one row of a state takes."""
    sizes: list[int] = []
    map_state(lambda tensor: sizes.append(tensor[:1].numel() * tensor.element_size()) or tensor, state)
    return sum(sizes)

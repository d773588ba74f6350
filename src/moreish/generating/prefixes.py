"""What a model says after each prefix, read once for all lines that begin with it.

Lines drawn side by side begin alike: of 1,000 names the first symbol is drawn from one distribution, the second from
at most 26. `Prefixes` reads each distinct prefix once and keeps the likely ones, with their states, for the batches to
come. `Windows` is for a model whose windows are few: it keeps every window's distribution, and soon reads no more.

Both answer `read(place)` with the rows of `rows` from which each line draws its next symbol. A place is a value; what
was kept only grows, so that lines stand at a place as long as they like.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.models.model import LanguageModel, WindowModel, select

KEPT_BYTES = 64 << 20
"""Memory for the prefixes that are kept, until the lines that begin with them have all been drawn."""
SHARING = 0.9
"""Distinct prefixes for each line above which sharing no longer pays: each line is then read by itself."""
WINDOW_CELLS = 1 << 20
"""Windows x symbols up to which all windows are kept: three of 27 symbols."""

LayOut = Callable[[Tensor, Tensor, Tensor], None]
"""Called with logits [D V], writes what is drawn from them: cumulative probabilities [D V], float64, each row's last 1,
and nats [D V]."""


class Rows:
    """Distributions, numbered: cumulative probabilities to draw from, and the nats of what was drawn."""

    def __init__(self, count: int, symbols: int, device: torch.device):
        self.symbols = symbols
        self.bounds = torch.empty(count, symbols, dtype=torch.float64, device=device)
        self.nats = torch.empty(count, symbols, device=device)

    def make_room(self, count: int, like: Tensor) -> None:
        """Hold `count` rows at least, nats in the precision of a model's logits, or float32 where they have less."""
        if count > self.bounds.shape[0]:
            count = max(count, 2 * self.bounds.shape[0])
            self.bounds, self.nats = _longer(self.bounds, count), _longer(self.nats, count)
        precision = torch.promote_types(like.dtype, torch.float32)
        if self.nats.dtype != precision:
            self.nats = self.nats.to(precision)

    def pick(self, rows: Int[Tensor, " B"], numbers: Float[Tensor, " B"]) -> tuple[Tensor, Tensor, Tensor]:
        """In each row the symbol at which its cumulative probability passes a number in [0, 1).

        Returns: the symbols, their nats, and their cells, row * symbols + symbol.
        """
        # A search in each of B short rows takes a fifth of B searches in all rows end to end, which miss the
        # processor's cache at every step.
        symbols = torch.searchsorted(self.bounds.index_select(0, rows), numbers[:, None], right=True)[:, 0]
        cells = rows * self.symbols + symbols
        return symbols, self.nats.view(-1).index_select(0, cells), cells


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
        self.model, self.lay_out, self.most = model, lay_out, most
        self.symbols = int(model.config.symbols)
        self.rows = Rows(most, self.symbols, device)
        self.used = most
        self.room = KEPT_BYTES
        self.levels: list[_Level] = []
        # For each row and symbol the row of the prefix after it, or -1; and its number among its level's states.
        self.after = torch.full((most, self.symbols), -1, dtype=torch.int32, device=device)
        self.slots = torch.empty(most, dtype=torch.int64, device=device)

    def stand(self, state: Any, last: Int[Tensor, " B"]) -> Place:
        """The place of lines that are in this state and about to read `last`: the root of all that is kept."""
        assert self.used == self.most, "there is one root"
        self.levels.append(_Level(0))
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
        logits, state = _spoken(self.model, fresh - parents * self.symbols, self._states(place, parents))
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
            self.levels.append(_Level(_row_bytes(state) + self.symbols * cell))
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
            self.after, self.slots = _longer(self.after, size), _longer(self.slots, size)
        self.after[first : self.used] = -1
        slot = self.levels[depth].add(state, more)
        self.slots[first : self.used] = torch.arange(slot, slot + more, device=self.slots.device)


class _Level:
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
            self.states = _map(lambda kept: _longer(kept, self.most), self.states)
        _map(lambda kept, new: kept[first : self.count].copy_(new), self.states, state)
        return first


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Where lines stand: `cell` is the number of the last C symbols * symbols + the symbol drawn after them."""

    cell: Int[Tensor, " B"]

    def keep(self, rows: Int[Tensor, " K"]) -> WindowPlace:
        return WindowPlace(self.cell.index_select(0, rows))

    def drawn(self, cells: Int[Tensor, " B"], nats: Float[Tensor, " B"]) -> WindowPlace:
        return WindowPlace(cells)


class Windows:
    """A model of few windows, each read once: a window's number has its symbols as digits, to the base V."""

    def __init__(self, model: WindowModel, lay_out: LayOut, device: torch.device):
        self.model, self.lay_out = model, lay_out
        self.symbols = int(model.config.symbols)
        self.count = self.symbols**model.context
        self.rows = Rows(self.count, self.symbols, device)
        self.known = torch.zeros(self.count, dtype=torch.bool, device=device)
        self.values = self.symbols ** torch.arange(model.context - 1, -1, -1, device=device)

    @staticmethod
    def suit(model: WindowModel) -> bool:
        """Whether a model's windows are few enough for all of them to be kept."""
        return int(model.config.symbols) ** (model.context + 1) <= WINDOW_CELLS

    def stand(self, state: Int[Tensor, "B K"], last: Int[Tensor, " B"]) -> WindowPlace:
        """The place of lines that have read `state`, and then `last`."""
        return WindowPlace((state * self.values[:-1]).sum(1) + last)

    def read(self, place: WindowPlace) -> tuple[Int[Tensor, " B"], WindowPlace]:
        """The row that each line draws from, and the place of lines about to draw."""
        windows = place.cell.remainder(self.count)
        known = self.known.index_select(0, windows)
        if not bool(known.all()):
            fresh = windows[~known].unique()
            digits = torch.div(fresh[:, None], self.values, rounding_mode="floor").remainder_(self.symbols)
            logits, _ = _spoken(self.model, digits[:, -1], digits[:, :-1])
            self.rows.make_room(self.count, logits)
            bounds, nats = (torch.empty_like(logits[:, 0], dtype=x.dtype) for x in (self.rows.bounds, self.rows.nats))
            self.lay_out(logits[:, 0], bounds, nats)
            self.rows.bounds.index_copy_(0, fresh, bounds)
            self.rows.nats.index_copy_(0, fresh, nats)
            self.known[fresh] = True
        return windows, place


def _spoken(model: LanguageModel[Any], last: Int[Tensor, " D"], state: Any) -> tuple[Float[Tensor, "D 1 V"], Any]:
    """What a model says after one more symbol each."""
    # Tensors made in inference mode can never be learnt from, and a model may keep some of those it makes.
    with torch.inference_mode(False), torch.no_grad():
        return model(last[:, None], state)


def _map(of: Callable[..., Tensor], state: Any, *others: Any) -> Any:
    """A state of the same structure, `of` applied to each of its tensors and those of the others."""
    if isinstance(state, Tensor):
        return of(state, *others)
    if isinstance(state, (tuple, list)):
        parts = [_map(of, *several) for several in zip(state, *others)]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    assert is_dataclass(state) and not isinstance(state, type), "what select accepts"
    names = [f.name for f in fields(state)]
    return replace(state, **{name: _map(of, *(getattr(s, name) for s in (state, *others))) for name in names})


def _joined(one: Any, rows: Int[Tensor, " K"], other: Any, other_rows: Int[Tensor, " L"]) -> Any:
    """Some rows of one state, then some of another, copied once."""

    def of(a: Tensor, b: Tensor) -> Tensor:
        out = a.new_empty(len(rows) + len(other_rows), *a.shape[1:])
        torch.index_select(a, 0, rows, out=out[: len(rows)])
        torch.index_select(b, 0, other_rows, out=out[len(rows) :])
        return out

    return _map(of, one, other)


def _longer(tensor: Tensor, size: int) -> Tensor:
    """The same rows, with room for `size`."""
    out = tensor.new_empty(size, *tensor.shape[1:])
    out[: len(tensor)] = tensor
    return out


def _row_bytes(state: Any) -> int:
    """What one row of a state takes."""
    sizes: list[int] = []
    _map(lambda tensor: sizes.append(tensor[:1].numel() * tensor.element_size()) or tensor, state)
    return sum(sizes)

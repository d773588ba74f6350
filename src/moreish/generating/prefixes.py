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

KEPT_BYTES = 128 << 20
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
        """Hold `count` rows at least, nats in the precision of a model's logits."""
        if count > self.bounds.shape[0]:
            count = max(count, 2 * self.bounds.shape[0])
            self.bounds, self.nats = _longer(self.bounds, count), _longer(self.nats, count)
        if self.nats.dtype != like.dtype:
            self.nats = self.nats.to(like.dtype)

    def pick(self, rows: Int[Tensor, " B"], numbers: Float[Tensor, " B"]) -> tuple[Tensor, Tensor]:
        """The symbol in each row at which its cumulative probability passes a number in [0, 1); and its nats."""
        # A search in each of B short rows takes a fifth of B searches in all rows end to end, which miss the
        # processor's cache at every step.
        symbols = torch.searchsorted(self.bounds.index_select(0, rows), numbers[:, None], right=True)[:, 0]
        return symbols, self.nats.view(-1).index_select(0, rows * self.symbols + symbols)


@dataclass(frozen=True, slots=True)
class Place:
    """Where lines stand: each has read a prefix, and then drawn `last`.

    `node` is the number of a prefix that is kept, or -1 - i for row i of `loose`, the states of prefixes that are not.
    `rarity` is the prefix's nats, `last` included. `apart`: sharing has ended.
    """

    depth: int
    node: Int[Tensor, " B"]
    last: Int[Tensor, " B"]
    rarity: Float[Tensor, " B"]
    loose: Any = None
    apart: bool = False

    def keep(self, rows: Int[Tensor, " K"]) -> Place:
        node, last, rarity = (x.index_select(0, rows) for x in (self.node, self.last, self.rarity))
        return Place(self.depth, node, last, rarity, self.loose, self.apart)

    def drawn(self, symbols: Int[Tensor, " B"], nats: Float[Tensor, " B"]) -> Place:
        return Place(self.depth, self.node, symbols, self.rarity + nats, self.loose, self.apart)


class Prefixes:
    """Any model, each distinct prefix read once.

    The first `most` rows are for prefixes just read; row `most` + k is that of the kept prefix k.
    """

    def __init__(self, model: LanguageModel[Any], lay_out: LayOut, most: int, device: torch.device):
        self.model, self.lay_out, self.most = model, lay_out, most
        self.symbols = int(model.config.symbols)
        self.rows = Rows(most, self.symbols, device)
        self.kept = 0
        self.room = KEPT_BYTES
        self.levels: list[_Level] = []
        # For each kept prefix: its row among its level's states; and for each symbol the prefix after it, or -1.
        self.slots = torch.empty(0, dtype=torch.int64, device=device)
        self.after = torch.empty(0, self.symbols, dtype=torch.int32, device=device)

    def stand(self, state: Any, last: Int[Tensor, " B"]) -> Place:
        """The place of lines that are in this state and about to read `last`: the root of all that is kept."""
        assert not self.kept, "there is one root"
        lines = torch.arange(len(last), device=last.device)
        self._number(0, state, len(last))
        return Place(0, lines, last.long(), torch.zeros(len(last), dtype=torch.float64, device=last.device))

    def read(self, place: Place) -> tuple[Int[Tensor, " B"], Place]:
        """The row that each line draws from until the next reading, and the place of lines that are about to draw."""
        key = place.node * self.symbols + place.last
        node = self.after.view(-1).index_select(0, key if place.loose is None else key.clamp(min=0)).long()
        if place.loose is not None:
            node.masked_fill_(key < 0, -1)
        missing = (node < 0).nonzero()[:, 0]
        if not missing.shape[0]:
            return node + self.most, Place(place.depth + 1, node, place.last, place.rarity)
        fresh, which, missing, apart = self._distinct(key, missing, place.apart)
        parents = torch.div(fresh, self.symbols, rounding_mode="floor")
        logits, state = self.model((fresh - parents * self.symbols)[:, None], self._states(place, parents))
        count = fresh.shape[0]
        self.rows.make_room(self.most + self.kept, logits)
        self.lay_out(logits[:, 0], self.rows.bounds[:count], self.rows.nats[:count])
        names = torch.arange(-1, -1 - count, -1, device=fresh.device)
        rarity = names.double().index_copy_(0, which, place.rarity.index_select(0, missing))
        self._keep_likely(place.depth + 1, state, fresh, rarity, names)
        rows = (node + self.most).index_copy_(0, missing, which)
        node.index_copy_(0, missing, names.index_select(0, which))
        return rows, Place(place.depth + 1, node, place.last, place.rarity, state, apart)

    def _distinct(
        self, key: Int[Tensor, " B"], missing: Int[Tensor, " M"], apart: bool
    ) -> tuple[Int[Tensor, " D"], Int[Tensor, " M"], Int[Tensor, " M"], bool]:
        """The distinct keys among lines `missing`, those of loose prefixes (below 0) first; for each line which."""
        keys = key.index_select(0, missing)
        if not apart:
            fresh, which = torch.unique(keys, return_inverse=True)
            most = max(missing.shape[0] * SHARING, key.shape[0] / 2)
            return fresh, which, missing, fresh.shape[0] > most
        loose = keys < 0
        order = torch.cat([loose.nonzero()[:, 0], (~loose).nonzero()[:, 0]])
        return keys[order], torch.arange(len(keys), device=key.device), missing[order], True

    def _states(self, place: Place, parents: Int[Tensor, " D"]) -> Any:
        """The states of kept parents, or of loose ones (below 0, and first)."""
        loose = int((parents < 0).sum()) if place.loose is not None else 0
        if loose == parents.shape[0]:
            return select(place.loose, -1 - parents)
        kept = self.levels[place.depth].states
        if loose == 0:
            return select(kept, self.slots.index_select(0, parents))
        return _joined(place.loose, -1 - parents[:loose], kept, self.slots.index_select(0, parents[loose:]))

    def _keep_likely(
        self, depth: int, state: Any, fresh: Int[Tensor, " D"], rarity: Float[Tensor, " D"], names: Int[Tensor, " D"]
    ) -> None:
        """Keep those of the prefixes just read that are likely to be met again; `names` becomes their numbers."""
        size = _row_bytes(state) + self.symbols * (8 + self.rows.nats.element_size() + self.after.element_size())
        if self.room < size:
            return
        # A prefix is kept if it is at least as probable as its share of the memory is large. At each depth the kept
        # ones have no more than all the probability, so they have no more than all the memory.
        chosen = (rarity <= math.log(KEPT_BYTES / size)).logical_and_(fresh >= 0).nonzero()[: self.room // size, 0]
        if not chosen.shape[0]:
            return
        first, count = self.kept, self.kept + chosen.shape[0]
        self.room -= size * chosen.shape[0]
        self._number(depth, select(state, chosen), chosen.shape[0])
        numbers = torch.arange(first, count, device=chosen.device)
        names.index_copy_(0, chosen, numbers)
        self.after.view(-1).index_copy_(0, fresh.index_select(0, chosen), numbers.int())
        self.rows.make_room(self.most + count, self.rows.nats)
        for rows in (self.rows.bounds, self.rows.nats):
            rows[self.most + first : self.most + count] = rows.index_select(0, chosen)

    def _number(self, depth: int, state: Any, more: int) -> None:
        """Give the next numbers to prefixes of these states."""
        if depth == len(self.levels):
            self.levels.append(_Level())
        first, count = self.kept, self.kept + more
        if count > self.after.shape[0]:
            size = max(count, 2 * first)
            self.after, self.slots = _longer(self.after, size), _longer(self.slots, size)
        self.after[first:count] = -1
        slot = self.levels[depth].add(state, more)
        self.slots[first:count] = torch.arange(slot, slot + more, device=self.slots.device)
        self.kept = count


class _Level:
    """The states of kept prefixes of one length."""

    def __init__(self) -> None:
        self.states: Any = None
        self.count = self.size = 0

    def add(self, state: Any, count: int) -> int:
        """Keep all of a state; returns the slot of its first row."""
        first, after = self.count, self.count + count
        if self.states is None:
            self.states, self.size = state, after
        else:
            if after > self.size:
                self.size = size = max(after, 2 * self.size)
                self.states = _map(lambda kept: _longer(kept, size), self.states)
            _map(lambda kept, new: kept[first:after].copy_(new), self.states, state)
        self.count = after
        return first


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Where lines stand: `window` is the number of the last C symbols, `last` was drawn after them."""

    window: Int[Tensor, " B"]
    last: Int[Tensor, " B"]

    def keep(self, rows: Int[Tensor, " K"]) -> WindowPlace:
        return WindowPlace(self.window.index_select(0, rows), self.last.index_select(0, rows))

    def drawn(self, symbols: Int[Tensor, " B"], nats: Float[Tensor, " B"]) -> WindowPlace:
        return WindowPlace(self.window, symbols)


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
        return WindowPlace((state * self.values[1:]).sum(1), last.long())

    def read(self, place: WindowPlace) -> tuple[Int[Tensor, " B"], WindowPlace]:
        """The row that each line draws from, and the place of lines about to draw."""
        windows = (place.window * self.symbols + place.last).remainder_(self.count)
        known = self.known.index_select(0, windows)
        if not bool(known.all()):
            fresh = windows[~known].unique()
            digits = torch.div(fresh[:, None], self.values, rounding_mode="floor").remainder_(self.symbols)
            logits, _ = self.model(digits[:, -1:], digits[:, :-1])
            self.rows.make_room(self.count, logits)
            bounds, nats = logits.new_empty(logits[:, 0].shape, dtype=torch.float64), torch.empty_like(logits[:, 0])
            self.lay_out(logits[:, 0], bounds, nats)
            self.rows.bounds.index_copy_(0, fresh, bounds)
            self.rows.nats.index_copy_(0, fresh, nats)
            self.known[fresh] = True
        return windows, WindowPlace(windows, place.last)


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

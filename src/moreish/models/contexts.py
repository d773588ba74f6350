"""The contexts that a mixture counts in: what of a line so far a table looks at, as one number for each.

None knows a language: the last symbols, some of them left out, the place in the line, its first symbols, the whole of
it (exactly, or with a place made wild), and the same by classes of symbols that were learnt from the list.

A context is known by a hash of 62 bits, which table it is in included; among a million contexts two share one with a
chance of one in ten million.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

CLASSES = (2, 3, 6, 8, 10)
"""Into how many classes the symbols are sorted; a small alphabet leaves some empty."""
PREFIX_CLASSES = (2, 3, 6)
"""Those by which a whole prefix is looked at."""
BACK = 10
"""Symbols back that any context looks, whole prefixes aside."""
FIRST = 3
LAST_PLACE = 15
"""Places beyond are one."""
ORDERS, CONTINUATIONS = range(1, 8), range(1, 5)

MULTIPLIER = -7046029254386353131
"""2**64 over the golden ratio, as a signed number; products wrap around."""
KEPT = (1 << 62) - 1
WILD = 1 << 40
"""Stands for any symbol."""
SHIFT, BELOW = 29, (1 << 35) - 1


@dataclass(frozen=True, slots=True)
class Seen:
    """What of a line so far any context looks at; at the head of each shape the batch, or batch and place.

    `back` [.. 10]: the last symbols, newest first, 0 before the line. `place`: symbols read, the boundary not counted.
    `first` [.. 3]: the line's first symbols, 0 where there is none yet. `prefixes` [.. P]: hashes of the whole line,
    plain, with first places made wild, and by classes. `earlier` [.. 3]: the plain one 1, 2 and 3 symbols ago.
    """

    back: Int[Tensor, "*B J"]
    place: Int[Tensor, "*B"]
    first: Int[Tensor, "*B F"]
    prefixes: Int[Tensor, "*B P"]
    earlier: Int[Tensor, "*B E"]

    def at(self, which: Any) -> Seen:
        """What is seen at some places only: an index, a mask, or numbers, as of a tensor."""
        return Seen(*(getattr(self, name)[which] for name in Seen.__slots__))


WILD_PLACES: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (3,), (1, 2))
"""Of each prefix hash the places, counted from the line's first symbol, that are made wild; the first hash has none."""
PREFIXES = len(WILD_PLACES) + len(PREFIX_CLASSES)


def nothing_seen(batch: int, device: torch.device) -> Seen:
    """Before a line's boundary is read."""

    def zeros(width: int) -> Tensor:
        return torch.zeros(batch, width, dtype=torch.long, device=device)

    return Seen(zeros(BACK), zeros(1)[:, 0] - 1, zeros(FIRST), zeros(PREFIXES), zeros(3))


def look(tokens: Int[Tensor, "B T"], before: Seen, classes: Int[Tensor, "M V"]) -> Seen:
    """What is seen after each token of some rows: shapes begin with B, T."""
    rows, long = tokens.shape
    whole = torch.cat([before.back.flip(1), tokens], 1)
    back = whole.unfold(1, BACK, 1)[:, 1:].flip(2)
    place = before.place[:, None] + torch.arange(1, long + 1, device=tokens.device)
    by_class = torch.stack([classes[CLASSES.index(m)][tokens] for m in PREFIX_CLASSES], -1)
    plain = tokens[..., None].expand(-1, -1, len(WILD_PLACES))
    wild = torch.stack(
        [torch.isin(place, place.new_tensor(places)) if places else place < -1 for places in WILD_PLACES], -1
    )
    symbols = torch.cat([torch.where(wild, WILD, plain), by_class], -1)
    prefixes, hashes = [], before.prefixes
    first, firsts = before.first, []
    for t in range(long):
        hashes = extend(hashes, symbols[:, t])
        prefixes.append(hashes)
        here = torch.arange(1, FIRST + 1, device=tokens.device) == place[:, t, None]
        first = torch.where(here, tokens[:, t, None], first)
        firsts.append(first)
    if not long:
        return Seen(back, place, tokens.new_zeros(rows, 0, FIRST), tokens.new_zeros(rows, 0, PREFIXES),
                    tokens.new_zeros(rows, 0, 3))  # fmt: skip
    every = torch.stack(prefixes, 1)
    chain = torch.cat([before.earlier.flip(1), before.prefixes[:, :1], every[..., 0]], 1)
    earlier = chain.unfold(1, 3, 1)[:, 1:-1].flip(2)
    return Seen(back, place, torch.stack(firsts, 1), every, earlier)


def look_at_lines(tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"], classes: Int[Tensor, "M V"]) -> Seen:
    """What is seen at each symbol of whole lines laid end to end: shapes begin with N.

    Lines are padded on the way, with numbers only: of lines of like length that costs next to nothing.
    """
    inside = torch.arange(int(lengths.max()), device=tokens.device) < lengths[:, None]
    padded = torch.zeros(inside.shape, dtype=torch.long, device=tokens.device)
    padded[inside] = tokens.long()
    return look(padded, nothing_seen(len(lengths), tokens.device), classes).at(inside)


def extend(hashes: Tensor, symbols: Tensor) -> Tensor:
    """A hash of what was read, and of one symbol more."""
    return (hashes ^ (hashes >> SHIFT & BELOW)) * MULTIPLIER + symbols + 7


def last_of(seen: Seen, before: Seen) -> Seen:
    """What is seen after the last token; as before, where there was none."""
    if not seen.place.shape[1]:
        return before
    return seen.at((slice(None), -1))


Columns = Callable[[Seen, Tensor], list[Tensor]]


def _back(*which: int) -> Columns:
    return lambda seen, classes: [seen.back[..., j] for j in which]


def _by_class(many: int, which: range, exact: int = 0) -> Columns:
    at = CLASSES.index(many)
    return lambda seen, classes: [
        *(seen.back[..., j] for j in range(exact)), *(classes[at][seen.back[..., j]] for j in which)
    ]  # fmt: skip


def _place(order: int) -> Columns:
    return lambda seen, classes: [seen.place.clamp(max=LAST_PLACE), *_back(*range(order))(seen, classes)]


def _first(symbols: int, order: int) -> Columns:
    return lambda seen, classes: [*seen.first[..., :symbols].unbind(-1), *_back(*range(order))(seen, classes)]


def _prefix(which: int, order: int = 0) -> Columns:
    return lambda seen, classes: [seen.prefixes[..., which], *_back(*range(order))(seen, classes)]


def _class_prefix(many: int, order: int) -> Columns:
    return _prefix(len(WILD_PLACES) + PREFIX_CLASSES.index(many), order)


def _wild_from_end(which: int) -> Columns:
    """The whole line, its symbol `which` from the end made wild."""

    def columns(seen: Seen, classes: Tensor) -> list[Tensor]:
        hashes = extend(seen.earlier[..., which - 1], torch.full_like(seen.place, WILD))
        for j in reversed(range(which - 1)):
            hashes = extend(hashes, seen.back[..., j])
        return [hashes]

    return columns


CONTEXTS: dict[str, Columns] = {
    **{f"last {o}": _back(*range(o)) for o in ORDERS},
    **{f"continuation {o}": _back(*range(o)) for o in CONTINUATIONS},
    "whole line": _prefix(0),
    **{f"place, last {o}": _place(o) for o in range(1, 5)},
    "skip 1": _back(1),
    "skip 1 2": _back(1, 2),
    "skip 0 2": _back(0, 2),
    "skip 1 2 3": _back(1, 2, 3),
    "skip 0 2 3": _back(0, 2, 3),
    "skip 0 1 3": _back(0, 1, 3),
    **{f"first {n}, last {o}": _first(n, o) for n, o in ((1, 2), (2, 2), (1, 3), (3, 1), (2, 3))},
    **{f"{m} classes, last {o}": _by_class(m, range(o)) for m, o in ((6, 5), (3, 7), (8, 4), (10, 5), (2, 9))},
    **{
        f"last {o}, then {m} classes of {n}": _by_class(m, range(o, o + n), exact=o)
        for m, o, n in ((3, 2, 4), (6, 1, 3), (8, 2, 2))
    },
    **{f"whole line by {m} classes, last {o}": _class_prefix(m, o) for m, o in ((6, 0), (3, 1), (2, 1), (6, 1))},
    **{f"whole line, place {WILD_PLACES[i]} wild": _prefix(i) for i in range(1, len(WILD_PLACES))},
    **{f"whole line, {n} from its end wild": _wild_from_end(n) for n in (1, 2, 3)},
}
"""Each context by its name, in the order of its tables."""

NAMES = tuple(CONTEXTS)


def _start(table: int) -> int:
    """Where a table's hashes begin: far apart, for hashes of lines that differ by a class differ by little.

    Source: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators (2014), figure 17.
    """
    z = (table + 1) * 0x9E3779B97F4A7C15 % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return (z ^ z >> 31) & KEPT


STARTS = tuple(_start(table) for table in range(len(NAMES)))


def keys_of(seen: Seen, classes: Int[Tensor, "M V"]) -> Int[Tensor, "*B K"]:
    """The hash of each context, its table's own number first."""
    out = []
    for start, columns in zip(STARTS, CONTEXTS.values()):
        key = torch.full_like(seen.place, start)
        for column in columns(seen, classes):
            key = key * MULTIPLIER + column + 1
            key = key ^ (key >> SHIFT & BELOW)
        out.append(key & KEPT)
    return torch.stack(out, -1)

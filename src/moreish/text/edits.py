"""Lines within one edit of each other: one symbol put in, taken out, or another in its place.

Two lines are one substitution apart when they agree with the same position replaced by a wildcard, and one insertion
apart when one of them with a position taken out is the other; so the hashes of edited lines (`hashing.edited_sums`)
find all neighbours by looking them up. These are deletion neighbourhoods (Mor and Fraenkel 1982), with the position
kept, so that lines two edits apart do not come up. What hashes find is then compared symbol by symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from moreish.text.hashing import Edited, edited_sums, first_occurrences, line_hashes, line_sums
from moreish.text.lines import Lines

STREAMED_FROM = 1 << 24
"""An index of more symbols than this is read through at each search; tables would take 30 bytes for every symbol."""
ASKED_AT_ONCE = 1 << 17
"""Bytes of queries looked up together in tables: what is made of them, 60 bytes for each, stays in a processor's cache.
A million names take 1 s so, and 3 s all together."""
VERIFIED = 1 << 18
"""Symbols compared at a time."""
NONE = -1
"""No line, or no position."""


class Table:
    """Which entries have a given 64-bit key. A filter by the keys' upper bits answers most misses from the cache.

    Shapes: keys uint64 [n], sorted; entries int64 [n], equal keys in the order they came in.
    """

    def __init__(self, keys: np.ndarray):
        self.entries = np.argsort(keys, kind="stable")
        self.keys = keys[self.entries]
        self._shift = np.uint64(64 - min(max((8 * len(keys)).bit_length(), 10), 24))
        self._filter = np.zeros(1 << (64 - int(self._shift)), dtype=bool)
        self._filter[self.keys >> self._shift] = True

    def find(self, probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(which, where): the probes that are keys, in order, and the first place of each in `keys`: int64 [hits]."""
        maybe = np.flatnonzero(self._filter[probes >> self._shift])
        wanted = probes[maybe]
        where = np.searchsorted(self.keys, wanted)
        where[where == len(self.keys)] = 0
        found = self.keys[where] == wanted if len(self.keys) else np.zeros(0, dtype=bool)
        return maybe[found], where[found]

    def find_all(self, probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(which, entry): each pair of a probe and an entry with that key: int64 [hits]."""
        which, where = self.find(probes)
        sizes = np.searchsorted(self.keys, self.keys[where], side="right") - where
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return np.repeat(which, sizes), self.entries[np.repeat(where, sizes) + within]


class _Hits(NamedTuple):
    """Pairs of lines that agree by hash with a position (or NONE) taken out of each: int64 [hits]."""

    query: np.ndarray
    query_position: np.ndarray
    line: np.ndarray
    line_position: np.ndarray

    def chosen(self, which: np.ndarray) -> _Hits:
        return _Hits(*(part[which] for part in self))


class _Text:
    """Lines as code points, with the hashes of their edits and the tables of those, each made at its first use."""

    def __init__(self, lines: Lines):
        self.codes, self.starts = lines.codepoints()
        self.sizes = np.diff(self.starts) - 1

    @cached_property
    def sums(self) -> np.ndarray:
        return line_sums(self.codes, self.starts)

    @cached_property
    def edited(self) -> Edited:
        parts = list(edited_sums(self.codes, self.starts))
        kinds = (np.int64, np.int64, np.uint64, np.uint64, bool)
        return Edited(*(np.concatenate([np.zeros(0, kind), *part]) for kind, *part in zip(kinds, *parts)))

    @cached_property
    def deleted(self) -> Edited:
        """The edits, less those whose deletion gives the same text as another of the line."""
        return Edited(*(part[self.edited.distinct] for part in self.edited))

    @cached_property
    def by_sum(self) -> Table:
        return Table(self.sums)

    @cached_property
    def by_deleted(self) -> Table:
        return Table(self.deleted.deleted)

    @cached_property
    def by_replaced(self) -> Table:
        return Table(self.edited.replaced)


class EditIndex:
    """Finds, for many lines at once, an equal line and a line one edit away among `lines`.

    Small indexes keep tables of hashes (made at the first search, 30 bytes for each symbol); large ones are read
    through instead, which takes 30 ns for each of their symbols however many lines are asked for: ask for many.
    Lines of more than `hashing.LONGEST_EDITED` symbols are nobody's neighbours.
    """

    def __init__(self, lines: Lines, streamed: bool | None = None):
        self._streamed = len(lines.data) > STREAMED_FROM if streamed is None else streamed
        self._given: np.ndarray | None = None
        if not self._streamed:
            first = first_occurrences(line_hashes(lines))
            if len(first) < len(lines):
                lines, self._given = lines.take(first), first
        self._text = _Text(lines)

    def copies(self, queries: Lines) -> np.ndarray:
        """The first line equal to each query, or -1: int64 [queries]."""
        return self._first(queries, self._equal_streamed if self._streamed else self._equal)

    def neighbours(self, queries: Lines) -> np.ndarray:
        """The first line that is one insertion, deletion or substitution from each query, or -1: int64 [queries]."""
        return self._first(queries, self._near_streamed if self._streamed else self._near)

    def _first(self, queries: Lines, search: Callable[[_Text], Iterator[_Hits]]) -> np.ndarray:
        if self._streamed or len(queries.data) <= ASKED_AT_ONCE:
            return self._first_of(_Text(queries), search)
        starts = queries.starts
        ends = np.searchsorted(starts, np.arange(ASKED_AT_ONCE, starts[-1], ASKED_AT_ONCE))
        bounds = np.unique([0, *ends.tolist(), len(queries)]).tolist()
        parts = (Lines(queries.data[starts[a] : starts[b]]) for a, b in pairwise(bounds))
        return np.concatenate([self._first_of(_Text(part), search) for part in parts])

    def _first_of(self, asked: _Text, search: Callable[[_Text], Iterator[_Hits]]) -> np.ndarray:
        nothing = len(self._text.sizes)
        best = np.full(len(asked.sizes), nothing)
        for hits in search(asked):
            hits = hits.chosen(hits.line < best[hits.query])
            while len(hits.query):  # twice only if two different lines share a hash
                least = best.copy()
                np.minimum.at(least, hits.query, hits.line)
                pick = np.full(len(best), NONE)
                candidates = np.flatnonzero(hits.line == least[hits.query])
                pick[hits.query[candidates]] = candidates
                pick = pick[pick != NONE]
                picked = hits.chosen(pick)
                true = _verified(picked, asked, self._text)
                best[picked.query[true]] = picked.line[true]
                rest = hits.line < best[hits.query]
                rest[pick] = False
                hits = hits.chosen(rest)
        best[best == nothing] = NONE
        if self._given is not None:
            best = np.where(best == NONE, NONE, self._given[best])
        return best

    def _equal(self, asked: _Text) -> Iterator[_Hits]:
        which, where = self._text.by_sum.find(asked.sums)
        none = np.full(len(which), NONE)
        yield _Hits(which, none, self._text.by_sum.entries[where], none)

    def _near(self, asked: _Text) -> Iterator[_Hits]:
        text, edits = self._text, asked.edited
        table = text.by_replaced
        which, where = table.find(edits.replaced)
        # Of the lines that agree but for this position the first may be the query itself: then it is the next one.
        position = edits.position[which]
        line = text.edited.line[table.entries[where]]
        itself = np.flatnonzero(
            text.codes[text.starts[line] + position] == asked.codes[asked.starts[edits.line[which]] + position]
        )
        after = np.minimum(where[itself] + 1, len(table.keys) - 1)
        line[itself] = text.edited.line[table.entries[after]]
        kept = np.ones(len(which), dtype=bool)
        kept[itself] = (after > where[itself]) & (table.keys[after] == table.keys[where[itself]])
        substituted = _Hits(edits.line[which], position, line, position).chosen(kept)

        which, where = text.by_sum.find(asked.deleted.deleted)
        none = np.full(len(which), NONE)
        longer = _Hits(asked.deleted.line[which], asked.deleted.position[which], text.by_sum.entries[where], none)

        which, where = text.by_deleted.find(asked.sums)
        entry = text.by_deleted.entries[where]
        shorter = _Hits(which, np.full(len(which), NONE), text.deleted.line[entry], text.deleted.position[entry])
        yield _Hits(*(np.concatenate(parts) for parts in zip(substituted, longer, shorter)))

    def _equal_streamed(self, asked: _Text) -> Iterator[_Hits]:
        which, query = asked.by_sum.find_all(self._text.sums)
        none = np.full(len(which), NONE)
        yield _Hits(query, none, which, none)

    def _near_streamed(self, asked: _Text) -> Iterator[_Hits]:
        which, entry = asked.by_deleted.find_all(self._text.sums)
        none = np.full(len(which), NONE)
        yield _Hits(asked.deleted.line[entry], asked.deleted.position[entry], which, none)
        for part in edited_sums(self._text.codes, self._text.starts):
            which, entry = asked.by_replaced.find_all(part.replaced)
            position = part.position[which]
            yield _Hits(asked.edited.line[entry], asked.edited.position[entry], part.line[which], position)
            distinct = np.flatnonzero(part.distinct)
            which, entry = asked.by_sum.find_all(part.deleted[distinct])
            which = distinct[which]
            yield _Hits(entry, np.full(len(entry), NONE), part.line[which], part.position[which])


def _verified(hits: _Hits, asked: _Text, text: _Text) -> np.ndarray:
    """Which hits are so by the symbols themselves: bool [hits]."""
    query_left = asked.sizes[hits.query] - (hits.query_position != NONE)
    line_left = text.sizes[hits.line] - (hits.line_position != NONE)
    true = query_left == line_left
    both = np.flatnonzero((hits.query_position != NONE) & (hits.line_position != NONE) & true)
    substituted = hits.chosen(both)
    query_symbol = asked.codes[asked.starts[substituted.query] + substituted.query_position]
    line_symbol = text.codes[text.starts[substituted.line] + substituted.line_position]
    true[both] = (query_symbol != line_symbol) & (substituted.query_position == substituted.line_position)

    sizes = np.where(true, line_left, 0)
    ends = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        before = ends[begin] - sizes[begin]
        end = max(begin + 1, int(np.searchsorted(ends, before + VERIFIED, side="right")))
        part = hits.chosen(np.arange(begin, end))
        true[begin:end] &= _same(part, sizes[begin:end], asked, text)
        begin = end
    return true


def _same(hits: _Hits, sizes: np.ndarray, asked: _Text, text: _Text) -> np.ndarray:
    """Whether the `sizes` symbols left in each pair of lines are the same: bool [hits]."""
    hit = np.repeat(np.arange(len(sizes)), sizes)
    at = np.arange(len(hit)) - np.repeat(np.cumsum(sizes) - sizes, sizes)

    def symbols(side: _Text, which: np.ndarray, position: np.ndarray) -> np.ndarray:
        skip = np.where(position == NONE, np.iinfo(np.int64).max, position)
        return side.codes[side.starts[which][hit] + at + (at >= skip[hit])]

    differs = symbols(asked, hits.query, hits.query_position) != symbols(text, hits.line, hits.line_position)
    same = np.ones(len(sizes), dtype=bool)
    same[hit[differs]] = False
    return same

"""The nearest line of a list to each of many lines, by edit distance over code points (Levenshtein 1966).

Copies and lines one edit away are looked up (`EditIndex`), lines two edits away too where that is quicker than to
measure (`two_edits_away`), and what is farther is measured, by rapidfuzz, against the lines of about its length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist, cpdist

from moreish.text.edits import NONE, EditIndex
from moreish.text.hashing import LONGEST_EDITED, line_hashes
from moreish.text.lines import Lines
from moreish.text.two_edits import two_edits_away

QUERIES_AT_ONCE, LINES_AT_ONCE = 256, 16_384
"""How many distances are in memory together: 16 MiB of them."""
CHECKED_AT_ONCE = 1 << 16
"""Pairs that are Python strings together."""


@dataclass(frozen=True)
class Nearest:
    """For each of many texts the nearest line of a run, of those as near the first.

    Shapes: distance int32 [texts], in edits, 0 for a copy, and -1 where no line is as near as was asked for; line int64
    [texts], an index into `lines`, -1 likewise.
    """

    distance: np.ndarray
    line: np.ndarray
    lines: Lines = field(repr=False)

    def __len__(self) -> int:
        return len(self.line)

    def texts(self) -> list[str | None]:
        """The nearest lines themselves, None where none is near enough."""
        texts: list[str | None] = [None] * len(self)
        found = np.flatnonzero(self.line != NONE)
        for i, text in zip(found.tolist(), self.lines.take(self.line[found]).texts()):
            texts[i] = text
        return texts


def nearest_lines(index: EditIndex, lines: Lines, texts: Lines, within: int | None) -> Nearest:
    """The nearest line at most `within` edits away, however far it is where that is None. `index` is of `lines`.

    Texts that come several times are looked for once; they are told apart by their hashes, of which among ten million
    two agree with a chance of 3 in a million.
    """
    _, first, again = np.unique(line_hashes(texts), return_index=True, return_inverse=True)
    search = _Search(index, lines, texts.take(first))
    farthest = max(search.longest, 1) if within is None else within
    search.copies()
    if farthest >= 1:
        search.neighbours()
    if farthest >= 2:
        search.two_away()
    if farthest >= 3:
        search.farther(farthest)
    return Nearest(search.distance[again], search.line[again], lines)


class _Search:
    """Distinct texts, and the nearest line of those found so far: shapes as in `Nearest`."""

    def __init__(self, index: EditIndex, lines: Lines, texts: Lines):
        self._index, self._lines, self._texts = index, lines, texts
        self.distance = np.full(len(texts), NONE, dtype=np.int32)
        self.line = np.full(len(texts), NONE)

    @property
    def longest(self) -> int:
        return max((int(part.lengths().max(initial=0)) for part in (self._lines, self._texts)), default=0)

    def _left(self) -> np.ndarray:
        return np.flatnonzero(self.line == NONE)

    def _set(self, which: np.ndarray, line: np.ndarray, distance: np.ndarray | int) -> None:
        self.line[which] = line
        self.distance[which] = np.where(line == NONE, NONE, distance)

    def copies(self) -> None:
        self._set(self._left(), self._index.copies(self._texts), 0)

    def neighbours(self) -> None:
        left = self._left()
        texts = self._texts.take(left)
        self._set(left, self._index.neighbours(texts), 1)
        long = left[texts.lengths() >= LONGEST_EDITED]  # these the index knows only as copies
        self._measure(long[self.line[long] == NONE], 1, 1)

    def two_away(self) -> None:
        left = self._left()
        line, searched = two_edits_away(self._lines, self._texts.take(left))
        found = np.flatnonzero(line != NONE)
        true = found[_are_apart(self._texts.take(left[found]), self._lines.take(line[found]), 2)]
        self._set(left[true], line[true], 2)
        unsure = ~searched
        unsure[found] = True
        unsure[true] = False
        self._measure(left[unsure], 2, 2)

    def farther(self, within: int) -> None:
        least = 3
        while least <= within and len(left := self._left()):
            most = min(2 * least, within)  # a low limit is much quicker to measure by
            self._measure(left, least, most)
            least = most + 1

    def _measure(self, which: np.ndarray, least: int, within: int) -> None:
        """Of texts that no line is nearer to than `least`, line against line; those found at `least` leave."""
        if not len(which):
            return
        sizes = self._texts.lengths()[which]
        which = which[np.argsort(sizes, kind="stable")]
        sizes = np.sort(sizes)
        best, line = np.full(len(which), within + 1), np.full(len(which), NONE)
        for first in range(0, len(self._lines), LINES_AT_ONCE):
            part = self._lines[first : first + LINES_AT_ONCE]
            known, lengths = np.array(part.texts(), dtype=object), part.lengths()
            left = np.flatnonzero(best > least)
            for at in range(0, len(left), QUERIES_AT_ONCE):
                asked = left[at : at + QUERIES_AT_ONCE]
                low, high = sizes[asked[0]] - within, sizes[asked[-1]] + within
                about = np.flatnonzero((lengths >= low) & (lengths <= high))
                if not len(about):
                    continue
                queries = self._texts.take(which[asked]).texts()
                apart = cdist(queries, known[about], scorer=Levenshtein.distance, score_cutoff=within)
                nearest = apart.argmin(axis=1)
                how_far = apart[np.arange(len(asked)), nearest]
                better = how_far < best[asked]
                best[asked[better]] = how_far[better]
                line[asked[better]] = first + about[nearest[better]]
        self._set(which, line, best)


def _are_apart(texts: Lines, lines: Lines, distance: int) -> np.ndarray:
    """Which texts are so many edits from the line beside them: bool [texts]."""
    bounds = [*range(0, len(texts), CHECKED_AT_ONCE), len(texts)]
    parts = [
        cpdist(texts[a:b].texts(), lines[a:b].texts(), scorer=Levenshtein.distance, score_cutoff=distance) == distance
        for a, b in pairwise(bounds)
    ]
    return np.concatenate([np.zeros(0, dtype=bool), *parts])

"""Where a line comes from: a copy of one of the run's lines, a near copy of one that is named, or new.

A near copy is new all the same: of real unseen names 89 % are one edit from a known one. So near is said beside new,
with the same rate for held-out lines, and is no fault in itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from moreish.errors import UsageError
from moreish.generating.nearest import Nearest, nearest_lines
from moreish.text.edits import NONE, EditIndex
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

ORIGINS = ("new", "near copy", "copy")
NEW, NEAR_COPY, COPY = range(3)
Z_95 = 1.959963984540054
"""Of a normal distribution 95 % lies within so many standard deviations."""


@dataclass(frozen=True)
class Origins:
    """The origins of many lines. Iterating gives a pair for each: its origin's name, and the line it is near or None.

    Shapes: kinds uint8 [lines], an index into ORIGINS; near: for near copies the run's line that is one edit away.
    """

    kinds: np.ndarray
    near: list[str | None]

    def __len__(self) -> int:
        return len(self.near)

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        return zip((ORIGINS[kind] for kind in self.kinds.tolist()), self.near)

    @property
    def is_new(self) -> np.ndarray:
        """Lines that the run does not have, near copies among them: bool [lines]."""
        return self.kinds != COPY

    @property
    def is_near(self) -> np.ndarray:
        """New lines that are one edit from one of the run's: bool [lines]."""
        return self.kinds == NEAR_COPY


class Novelty:
    """Compares lines with all the lines of a run: train, dev and test alike.

    A run that keeps its list gives `lines`. One that keeps only hashes (`line_hashes`, uint64 [lines]) gives those:
    then copies are still found, and nothing is ever called near.
    """

    def __init__(self, lines: Lines | None, hashes: np.ndarray | None = None):
        assert lines is not None or hashes is not None, "a run's lines, or their hashes"
        self._lines = lines
        self._index = None if lines is None else EditIndex(lines)
        self._hashes = np.sort(hashes) if lines is None and hashes is not None else np.zeros(0, dtype=np.uint64)

    @property
    def knows_near(self) -> bool:
        """Whether near copies can be told from other new lines."""
        return self._index is not None

    def origins(self, texts: Lines | Sequence[str]) -> Origins:
        """Where each of `texts` comes from; quickest for thousands at once."""
        texts = _as_lines(texts)
        kinds = np.where(self._copies(texts), COPY, NEW).astype(np.uint8)
        near: list[str | None] = [None] * len(texts)
        if self._index is not None and self._lines is not None:
            new = np.flatnonzero(kinds == NEW)
            neighbour = self._index.neighbours(texts.take(new))
            found = np.flatnonzero(neighbour != NONE)
            kinds[new[found]] = NEAR_COPY
            for i, text in zip(new[found].tolist(), self._lines.take(neighbour[found]).texts()):
                near[i] = text
        return Origins(kinds, near)

    def within(self, texts: Lines | Sequence[str], distance: int) -> np.ndarray:
        """Which of `texts` are at most `distance` edits from one of the run's lines: bool [texts].

        Raises:
            UsageError: the distance is negative, or is not 0 and the run kept no list.
        """
        _check_distance("distance", distance)
        texts = _as_lines(texts)
        if distance == 0:
            return self._copies(texts)
        return self.nearest(texts, distance).line != NONE

    def nearest(self, texts: Lines | Sequence[str], within: int | None = 2) -> Nearest:
        """The run's line nearest to each of `texts`, the first of those as near, at most `within` edits away.

        None for `within` looks however far. A million names against 32,000 take about 1 s within one edit and 3 s
        within two, and 280 MiB; farther lines are measured one against another, 10 ns or more for each pair. Texts are
        looked up in portions: 128 KiB of them in an `EditIndex`, and for two edits 2^18 hashes in a table of at most 4
        million (`two_edits_away`, 220 MiB).

        Raises:
            UsageError: `within` is negative, or the run kept no list.
        """
        if within is not None:
            _check_distance("within", within)
        if self._index is None or self._lines is None:
            asked = "nearest" if within is None else f"distance={within}"
            raise UsageError(
                f"{asked} needs the run's lines, and this run kept only their hashes. "
                "Use distance 0, which drops copies, or train without --no-keep-list."
            )
        return nearest_lines(self._index, self._lines, _as_lines(texts), within)

    def _copies(self, texts: Lines) -> np.ndarray:
        if self._index is not None:
            return self._index.copies(texts) != NONE
        asked = line_hashes(texts)
        if not len(self._hashes):
            return np.zeros(len(asked), dtype=bool)
        at = np.searchsorted(self._hashes, asked)
        at[at == len(self._hashes)] = 0
        return self._hashes[at] == asked


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share by its score test (Wilson 1927): sound for few trials and for shares near 0 or 1.

    Without trials it is (0, 1): anything is possible.
    """
    if not trials:
        return 0.0, 1.0
    share, doubt = successes / trials, Z_95**2 / trials
    middle = (share + doubt / 2) / (1 + doubt)
    half = sqrt(share * (1 - share) * doubt + doubt**2 / 4) / (1 + doubt)
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == trials else min(1.0, middle + half)
    return low, high


def _check_distance(name: str, distance: int) -> None:
    if isinstance(distance, bool) or not isinstance(distance, int) or distance < 0:
        raise UsageError(f"{name}={distance!r} is not a number of edits. Use a whole number, such as 0, 1 or 2.")


def _as_lines(texts: Lines | Sequence[str]) -> Lines:
    return texts if isinstance(texts, Lines) else Lines.of(texts)

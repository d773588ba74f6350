"""Lines as symbols and 3-grams, all sets over one alphabet, so that they can be counted against one another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from moreish.shapes import BOUNDARY
from moreish.text.alphabet import Alphabet, Kind
from moreish.text.lines import Lines


@dataclass(frozen=True)
class Coded:
    """Lines as ids: `stream` is `0 e m m a 0 a v a 0`, over an alphabet of `symbols` ids, the boundary among them."""

    lines: Lines
    stream: Int[np.ndarray, " ids"]
    symbols: int

    @classmethod
    def of(cls, lines: Lines, alphabet: Alphabet) -> Coded:
        """Lines over an alphabet that has all their symbols."""
        return cls(lines, alphabet.encode_lines(lines).astype(np.int64), len(alphabet))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @cached_property
    def _ends(self) -> Int[np.ndarray, " bounds"]:
        return np.flatnonzero(self.stream == BOUNDARY)

    @cached_property
    def lengths(self) -> Int[np.ndarray, " lines"]:
        """Symbols in each line."""
        return np.diff(self._ends) - 1

    @cached_property
    def line(self) -> Int[np.ndarray, " grams"]:
        """The line of each 3-gram."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def trigrams(self) -> Int[np.ndarray, " grams"]:
        """Each 3-gram as one number: a line of L symbols between one boundary at each end has L, one about each symbol.

        An alphabet has at most 2,000,000 symbols, so the number fits 63 bits.
        """
        before, middle, after = self.stream[:-2], self.stream[1:-1], self.stream[2:]
        inside = middle != BOUNDARY
        return ((before * self.symbols + middle) * self.symbols + after)[inside]

    def part(self, first: int, count: int) -> Coded:
        """`count` of the lines from line `first` on, or as many as there are."""
        last = min(first + count, len(self))
        stream = self.stream[self._ends[first] : self._ends[last] + 1]
        return Coded(self.lines[first:last], stream, self.symbols)

    def sets(self, size: int, most: int) -> list[Coded]:
        """Disjoint sets of `size` lines, at most so many; lines that do not fill one are left out."""
        return [self.part(first, size) for first in range(0, min(most, len(self) // size) * size, size)]


def shared_alphabet(kind: Kind, *sets: Lines) -> Alphabet:
    """One alphabet for several sets of lines: of a run's own kind of symbol, but of characters where that is bytes.

    A model of bytes can break off inside a character; as text that is a sign that its list may not have.
    """
    together = Lines(np.concatenate([lines.data for lines in sets]))
    return Alphabet.of(together, "characters" if kind == "bytes" else kind)

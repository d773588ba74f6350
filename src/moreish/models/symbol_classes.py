"""Classes of symbols learnt from a list: symbols that stand between like neighbours go together.

Source: Kneser and Ney, Improved Clustering Techniques for Class-Based Statistical Language Modelling (1993); Martin,
Liermann and Ney, Algorithms for Bigram and Trigram Word Clustering (1998), section 3: each symbol in turn moves to the
class that makes the bigrams of classes likeliest, until none moves. Of 32,033 names, six classes have the vowels as one
of them, though nothing said what a vowel is. Where we differ: the boundary is a class of its own, class 0.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

MOVES = 40_000
"""Symbols looked at in all: many passes where there are few symbols, one where there are many."""
MOST_PASSES = 30
GAIN = 1e-9
"""Nats that a move must gain, so that rounding cannot move symbols to and fro for ever."""


def learn_classes(tokens: Int[Array, " N"], targets: Int[Array, " N"], symbols: int, classes: int) -> Int[Array, " V"]:
    """Each symbol's class, from 1 to `classes`; the boundary's is 0.

    Args:
        tokens, targets: each symbol and the one after it.
        symbols: V.
    """
    pairs, counts = np.unique(tokens * symbols + targets, return_counts=True)
    return _Exchange(pairs // symbols, pairs % symbols, counts.astype(np.float64), symbols, classes).settle()


class _Exchange:
    """Symbols in their classes, and what the classes' bigrams come to: `pairs` [C C], `before` and `after` [C]."""

    def __init__(self, left: Array, right: Array, counts: Array, symbols: int, classes: int):
        self.often = np.bincount(left, counts, symbols) + np.bincount(right, counts, symbols)
        self.size = classes + 1
        # The most frequent symbols begin in different classes.
        self.order = np.argsort(-self.often[1:], kind="stable") + 1
        self.of = np.zeros(symbols, np.int64)
        self.of[self.order] = 1 + np.arange(symbols - 1) % classes
        self.itself = np.bincount(left[left == right], counts[left == right], symbols)
        apart = left != right
        left, right, counts = left[apart], right[apart], counts[apart]
        self.next, self.next_counts, self.next_starts = _grouped(left, right, counts, symbols)
        self.previous, self.previous_counts, self.previous_starts = _grouped(right, left, counts, symbols)
        self.pairs = np.zeros((self.size, self.size))
        np.add.at(self.pairs, (self.of[left], self.of[right]), counts)
        np.add.at(self.pairs, (self.of, self.of), self.itself)

    def settle(self) -> Array:
        """Move symbols until none gains by it."""
        seen = self.order[self.often[self.order] > 0]
        if self.size > 2:
            for _ in range(min(MOST_PASSES, max(1, MOVES // max(1, len(seen))))):
                if not sum(self._moves(int(symbol)) for symbol in seen):
                    break
        return self.of

    def _moves(self, symbol: int) -> bool:
        """Put a symbol into its best class; returns whether that is another one."""
        to, come, itself = self._neighbours(symbol)
        old = int(self.of[symbol])
        self._add(old, -to, -come, -itself)
        gains = self._gains(to, come, itself)
        new = int(gains.argmax()) + 1
        if gains[new - 1] <= gains[old - 1] + GAIN:
            new = old
        self._add(new, to, come, itself)
        self.of[symbol] = new
        return new != old

    def _neighbours(self, symbol: int) -> tuple[Array, Array, float]:
        """How often each class follows the symbol, and precedes it (itself left out); and how often it does itself."""
        after = slice(self.next_starts[symbol], self.next_starts[symbol + 1])
        before = slice(self.previous_starts[symbol], self.previous_starts[symbol + 1])
        to = np.bincount(self.of[self.next[after]], self.next_counts[after], self.size)
        come = np.bincount(self.of[self.previous[before]], self.previous_counts[before], self.size)
        return to, come, float(self.itself[symbol])

    def _add(self, where: int, to: Array, come: Array, itself: float) -> None:
        self.pairs[where] += to
        self.pairs[:, where] += come
        self.pairs[where, where] += itself

    def _gains(self, to: Array, come: Array, itself: float) -> Array:
        """For each class but the boundary's, what the log-likelihood gains where the symbol joins it.

        That is the sum of n log n over pairs of classes, less those over their margins: Martin et al., equation 6.
        """
        pairs = self.pairs
        rows = (_n_log_n(pairs + to) - _n_log_n(pairs)).sum(1)
        columns = (_n_log_n(pairs + come[:, None]) - _n_log_n(pairs)).sum(0)
        middle = pairs.diagonal()
        met = _n_log_n(middle + to + come + itself) - _n_log_n(middle + to) - _n_log_n(middle + come)
        # How often each class stands first, and second; there the symbol is a neighbour already, whichever it joins.
        first, second = pairs.sum(1) + come, pairs.sum(0) + to
        margins = _n_log_n(first + to.sum() + itself) - _n_log_n(first)
        margins += _n_log_n(second + come.sum() + itself) - _n_log_n(second)
        return (rows + columns + met + _n_log_n(middle) - margins)[1:]


def _grouped(by: Array, others: Array, counts: Array, symbols: int) -> tuple[Array, Array, Array]:
    order = np.argsort(by, kind="stable")
    return others[order], counts[order], np.searchsorted(by[order], np.arange(symbols + 1))


def _n_log_n(counts: Array) -> Array:
    # Adding and taking away leaves some counts a rounding below 0: they are whole numbers below 2**53, so none does.
    return counts * np.log(np.maximum(counts, 1.0))

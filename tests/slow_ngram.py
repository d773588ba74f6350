"""N-gram models by dictionaries, one probability at a time: the oracle that the fast ones are held against.

Written from Chen and Goodman (1998), with START as a symbol of its own, so that no padding can be confused with it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache

START = -1
END = 0
Gram = tuple[int, ...]


def padded_counts(lines: list[list[int]], order: int) -> Counter[Gram]:
    """The n-grams that end at each symbol and each line's end, as far back as the line's one START goes."""
    found: Counter[Gram] = Counter()
    for ids in lines:
        line = [START, *ids, END]
        for end in range(2, len(line) + 1):
            found[tuple(line[max(0, end - order) : end])] += 1
    return found


class SlowNGram:
    """`probability(symbol, history)` of an n-gram model; `history` is what was read since the line's start."""

    def __init__(self, lines: list[list[int]], symbols: int, order: int, smoothing: str):
        self.symbols, self.order, self.smoothing = symbols, order, smoothing
        self.counts: Counter[Gram] = Counter()
        for ids in lines:
            line = [START, *ids, END]
            for end in range(2, len(line) + 1):
                for size in range(1, min(order, end) + 1):
                    self.counts[tuple(line[end - size : end])] += 1
        before: dict[Gram, set[int]] = defaultdict(set)
        for gram in self.counts:
            before[gram[1:]].add(gram[0])
        self.adjusted = {
            gram: count if len(gram) == order or gram[0] == START else len(before[gram])
            for gram, count in self.counts.items()
        }
        self.after: dict[Gram, list[int]] = defaultdict(list)
        for gram in self.counts:
            self.after[gram[:-1]].append(gram[-1])
        self.discounts = {size: self._discounts(size) for size in range(1, order + 1)}
        self._memo = cache(self._in_context)

    def context(self, history: Gram) -> Gram:
        """What the model may look at: the last order - 1 symbols, START counted."""
        line = (START, *history)
        return line[len(line) - min(self.order - 1, len(line)) :]

    def longest_seen(self, history: Gram) -> Gram:
        context = self.context(history)
        while context and context not in self.after:
            context = context[1:]
        return context

    def probability(self, symbol: int, history: Gram) -> float:
        kind = self.smoothing
        if kind in ("kneser-ney", "witten-bell"):
            return self._memo(symbol, self.context(history))
        if kind == "none":
            context = self.longest_seen(history)
            return self.counts[(*context, symbol)] / sum(self.counts[(*context, s)] for s in self.after[context])
        added, context = float(kind.removeprefix("add-")), self.context(history)
        seen = sum(self.counts[(*context, s)] for s in self.after.get(context, []))
        return (self.counts[(*context, symbol)] + added) / (seen + added * self.symbols)

    def line_probability(self, ids: Gram) -> float:
        product = 1.0
        for i, symbol in enumerate((*ids, END)):
            product *= self.probability(symbol, tuple(ids[:i]))
        return product

    def _in_context(self, symbol: int, context: Gram) -> float:
        shorter = self._memo(symbol, context[1:]) if context else 1 / self.symbols
        if context not in self.after:
            return shorter
        gram = (*context, symbol)
        if self.smoothing == "witten-bell":
            total = sum(self.counts[(*context, s)] for s in self.after[context])
            kinds = len(self.after[context])
            return (self.counts[gram] + kinds * shorter) / (total + kinds)
        amounts = [self.adjusted[(*context, s)] for s in self.after[context]]
        amount = self.adjusted.get(gram, 0)
        kept = max(amount - self._discount(len(gram), amount), 0.0)
        withheld = sum(self._discount(len(gram), a) for a in amounts)
        return kept / sum(amounts) + withheld / sum(amounts) * shorter

    def _discount(self, size: int, amount: int) -> float:
        return 0.0 if amount == 0 else self.discounts[size][min(amount, 3) - 1]

    def _discounts(self, size: int) -> tuple[float, float, float]:
        amounts = Counter(a for gram, a in self.adjusted.items() if len(gram) == size)
        n1, n2, n3, n4 = (amounts[k] for k in (1, 2, 3, 4))
        if n1 == 0 or n2 == 0:
            return 0.5, 1.0, 1.5
        y = n1 / (n1 + 2 * n2)
        d1, d2 = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2
        d3 = 3 - 4 * y * n4 / n3 if n3 else y
        return (d1 if 0 < d1 < 1 else y), (d2 if 0 < d2 < 2 else y), (d3 if 0 < d3 < 3 else y)

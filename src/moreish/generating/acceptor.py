"""A deterministic finite automaton over a model's symbols: which lines are accepted.

States are numbers, `table[state, kind_of[symbol]]` is the next one, and DEAD is where nothing can be accepted any more.
Symbols that no state tells apart share a *kind*, so an alphabet of a million words costs one column for most of them.
Hopcroft, Motwani and Ullman 2006, Introduction to Automata Theory, sections 2.2 and 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from moreish.errors import UsageError

DEAD = -1
MOST_STATES = 4_096
"""Of one automaton, and of all conditions together."""


class TooManyStates(UsageError):
    """Conditions that need more states than MOST_STATES."""


@dataclass(frozen=True, eq=False)
class Acceptor:
    """Shapes: table int32 [states, kinds], DEAD or a state; kind_of int32 [symbols], by id - 1 (the boundary has none);
    accepting bool [states]. It starts in state 0; with no states at all it accepts nothing."""

    table: np.ndarray
    kind_of: np.ndarray
    accepting: np.ndarray

    @classmethod
    def explore(
        cls, start: Hashable, step: Callable[[Hashable, int], Hashable | None], accepts: Callable[[Hashable], bool],
        kind_of: np.ndarray, what: str = "the conditions",
    ) -> Acceptor:  # fmt: skip
        """The automaton of all states that are reached from `start`; `step(state, kind)` is the next, or None.

        Raises:
            TooManyStates: there are more than MOST_STATES.
        """
        kinds = int(kind_of.max(initial=-1)) + 1
        number: dict[Hashable, int] = {start: 0}
        states, rows = [start], []
        for state in states:
            row = []
            for kind in range(kinds):
                after = step(state, kind)
                if after is None:
                    row.append(DEAD)
                    continue
                if after not in number:
                    number[after] = len(states)
                    states.append(after)
                    if len(states) > MOST_STATES:
                        raise too_many(what)
                row.append(number[after])
            rows.append(row)
        table = np.array(rows, np.int32).reshape(len(rows), kinds)
        return cls(table, kind_of, np.array([accepts(state) for state in states], bool)).minimal()

    @classmethod
    def everything(cls, symbols: int) -> Acceptor:
        """Accepts every line."""
        return cls(np.zeros((1, 1), np.int32), np.zeros(symbols, np.int32), np.ones(1, bool))

    def __len__(self) -> int:
        return len(self.table)

    @property
    def by_symbol(self) -> np.ndarray:
        """The next state for each symbol: int32 [states, symbols]."""
        return self.table[:, self.kind_of]

    def __and__(self, other: Acceptor) -> Acceptor:
        """Accepts what both accept.

        Raises:
            TooManyStates: together they have more than MOST_STATES.
        """
        assert len(self.kind_of) == len(other.kind_of), "automata over one alphabet"
        if not len(self) or not len(other):
            return self if not len(self) else other
        width = int(other.kind_of.max(initial=0)) + 1
        pairs, kind_of = np.unique(self.kind_of.astype(np.int64) * width + other.kind_of, return_inverse=True)
        ours, theirs = self.table[:, pairs // width], other.table[:, pairs % width]
        seen = np.zeros(len(self) * len(other), bool)
        seen[0] = True
        fresh, found = np.zeros(1, np.int64), [np.zeros(1, np.int64)]
        while len(fresh):
            a, b = ours[fresh // len(other)], theirs[fresh % len(other)]
            after = (a.astype(np.int64) * len(other) + b)[(a >= 0) & (b >= 0)]
            fresh = np.unique(after[~seen[after]])
            seen[fresh] = True
            found.append(fresh)
            if sum(map(len, found)) > 16 * MOST_STATES:
                raise too_many("the conditions together")
        code = np.concatenate(found)
        number = np.full(len(seen), DEAD, np.int32)
        number[code] = np.arange(len(code))
        a, b = ours[code // len(other)], theirs[code % len(other)]
        table = np.where((a >= 0) & (b >= 0), number[np.where(a >= 0, a, 0) * np.int64(len(other)) + b], DEAD)
        accepting = self.accepting[code // len(other)] & other.accepting[code % len(other)]
        both = Acceptor(table.astype(np.int32), kind_of.reshape(-1).astype(np.int32), accepting).minimal()
        if len(both) > MOST_STATES:
            raise too_many("the conditions together")
        return both

    def negated(self) -> Acceptor:
        """Accepts what this one does not."""
        sink = len(self)
        table = np.concatenate([self.table, np.full((1, self.table.shape[1]), sink, np.int32)])
        table[table == DEAD] = sink
        if not table.shape[1] and len(self.kind_of):
            table, kinds = np.zeros((1, 1), np.int32), np.zeros(len(self.kind_of), np.int32)
            return Acceptor(table, kinds, np.ones(1, bool))
        return Acceptor(table, self.kind_of, ~np.append(self.accepting, False)).minimal()

    def minimal(self) -> Acceptor:
        """The smallest automaton that accepts the same lines, by refining a partition of the states (Moore 1956)."""
        table = self.table
        alive = self.accepting.copy()
        while True:  # which states can still accept
            more = alive | (alive[table] & (table >= 0)).any(1)
            if (more == alive).all():
                break
            alive = more
        if not len(alive) or not alive[0]:
            return Acceptor(np.zeros((0, table.shape[1]), np.int32), self.kind_of, np.zeros(0, bool))
        table = np.where((table >= 0) & alive[table], table, DEAD)
        # Blocks: 0 is DEAD, which is put in as a last state.
        table = np.concatenate([table, np.full((1, table.shape[1]), DEAD, table.dtype)])
        block = np.append(np.where(alive, 1 + self.accepting, 0), 0)
        count = 0
        while True:
            _, refined = np.unique(np.column_stack([block, block[table]]), axis=0, return_inverse=True)
            refined = refined.reshape(-1)
            if refined.max() + 1 == count:
                break
            block, count = refined, int(refined.max()) + 1
        reached, fresh = {int(block[0])}, [int(block[0])]
        first = np.full(count, -1)
        first[block[::-1]] = np.arange(len(block))[::-1]
        dead = int(block[-1])
        order = []
        while fresh:
            order += fresh
            after = {int(b) for b in np.unique(block[table[first[fresh]]])} - reached - {dead}
            reached |= after
            fresh = sorted(after)
        number = np.full(count, DEAD, np.int32)
        number[order] = np.arange(len(order))
        kept = first[order]
        small = number[block[table[kept]]]
        columns, kinds = np.unique(small, axis=1, return_inverse=True)
        kind_of = kinds.reshape(-1)[self.kind_of] if len(self.kind_of) else self.kind_of
        return Acceptor(columns.astype(np.int32), kind_of.astype(np.int32), self.accepting[kept])

    def counts(self, low: int, high: int) -> np.ndarray:
        """How many lines are accepted from each state, of `low` to `high` symbols in all, by how many were read.

        Returns: float64 [high + 1, states]; row l is for states reached after l symbols. Above 2**53 it is rounded.
        """
        sizes = np.bincount(self.kind_of, minlength=self.table.shape[1]).astype(float)
        state, kind = np.nonzero((self.table >= 0) & (sizes > 0))
        pairs, at = np.unique(state * len(self) + self.table[state, kind], return_inverse=True)
        weight = np.bincount(at.reshape(-1), sizes[kind], len(pairs))  # of each pair of a state and one after it
        state, after = np.divmod(pairs, max(len(self), 1))
        out = np.zeros((high + 1, len(self)))
        with np.errstate(over="ignore"):
            for read in range(high, -1, -1):
                if read < high:
                    out[read] = np.bincount(state, weight * np.minimum(out[read + 1, after], 1e300), len(self))
                if read >= low:
                    out[read] += self.accepting
        return out

    def can_end(self, low: int, high: int) -> bool:
        """Whether any line of `low` to `high` symbols is accepted."""
        return bool(len(self)) and bool(self.counts(low, high)[0, 0] > 0)

    def accepts(self, stream: np.ndarray) -> np.ndarray:
        """Which lines of a stream of ids, `0 e m m a 0 a v a 0`, are accepted: bool [lines]. Of any length."""
        ends = np.flatnonzero(stream == 0)
        starts, sizes = ends[:-1] + 1, np.diff(ends) - 1
        if not len(self):
            return np.zeros(len(sizes), bool)
        order = np.argsort(-sizes, kind="stable")
        table = np.concatenate([self.by_symbol, np.full((1, len(self.kind_of)), DEAD, np.int32)])  # DEAD stays so
        state = np.zeros(len(sizes), np.int64)
        for t in range(int(sizes.max(initial=0))):
            going = order[: int((sizes > t).sum())]
            state[going] = table[state[going], stream[starts[going] + t].astype(np.int64) - 1]
        return (state >= 0) & self.accepting[state]


def too_many(what: str) -> TooManyStates:
    """The error for what needs more than MOST_STATES states."""
    return TooManyStates(
        f"{what} would need an automaton of more than {MOST_STATES:,} states. "
        f"Use shorter repetitions, such as x{{1,5}} for x{{1,500}}, or fewer conditions at once."
    )

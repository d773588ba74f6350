"""Regular expressions as automata: Python's own syntax, read by Python's own parser, matched against a whole line.

Thompson's construction (1968, Regular expression search algorithm) gives a nondeterministic automaton; sets of its
states, made as they are met, are the states of the deterministic one. What no finite automaton of this kind can do is
refused by name: back-references, looking ahead or behind, atomic groups and possessive repeats.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from re import _compiler, _parser  # type: ignore[attr-defined]
from typing import Any

import numpy as np

from moreish.errors import UsageError
from moreish.generating.acceptor import Acceptor, too_many

MOST_PIECES = 20_000
"""States of the nondeterministic automaton: `a{1000}` has 2,000 of them."""
MOST_WORK = 3_000_000
"""Members of all sets of states that are looked at, before a pattern is called too large."""
REFUSED = {
    "GROUPREF": "a back-reference",
    "GROUPREF_EXISTS": "a back-reference",
    "GROUPREF_IGNORE": "a back-reference",
    "ASSERT": "looking ahead or behind",
    "ASSERT_NOT": "looking ahead or behind",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repeat",
}

Condition = Callable[[str, str], bool]
"""Of an edge without a symbol: may it be taken between a symbol before and one after? Each is "", "a" or " "."""


def pattern_acceptor(pattern: str, characters: Sequence[str]) -> Acceptor:
    """The automaton of the lines of these characters that the whole of a regular expression matches.

    Raises:
        UsageError: it is no regular expression, or has a part that no finite automaton knows; says which.
        TooManyStates: it needs more than MOST_STATES states.
    """
    what = f"the pattern {pattern!r:.60}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of sets that a later Python may read otherwise
            re.compile(pattern)
            parsed = _parser.parse(pattern)
        return _Construction(pattern, characters, parsed).determinize(what)
    except (re.error, OverflowError) as error:
        raise UsageError(
            f"{what} is no regular expression: {str(error)[:100]}. "
            f"Put a backslash before characters that are meant as themselves, such as \\( or \\?."
        ) from None
    except RecursionError:
        raise UsageError(f"{what} is nested too deeply. Use fewer brackets within brackets.") from None


@dataclass
class _Construction:
    """The nondeterministic automaton: `free[state]` are its edges without a symbol, `read[state]` the one with."""

    pattern: str
    characters: Sequence[str]
    parsed: Any
    free: list[list[tuple[int, Condition | None]]] = field(default_factory=list)
    read: list[tuple[int, int] | None] = field(default_factory=list)
    sets: list[np.ndarray] = field(default_factory=list)
    known: dict[Hashable, int] = field(default_factory=dict)
    looks_back: bool = False
    """Whether an edge without a symbol asks what stands before it; `looks_on`: or before or after it."""
    looks_on: bool = False

    def determinize(self, what: str) -> Acceptor:
        if self._size(self.parsed) > MOST_PIECES:
            raise too_many(what)
        start = self._state()
        end = self._sequence(self.parsed, start, self.parsed.state.flags)
        # Characters are of one kind where every set has all of them or none.
        masks = np.array([*self.sets, [_is_word(c) for c in self.characters]], bool)
        columns, kind_of = np.unique(masks, axis=1, return_inverse=True)
        words = ["a" if column[-1] else " " for column in columns.T]
        work = 0

        @lru_cache(maxsize=4)  # the same for all kinds, mostly
        def closed(core: frozenset[int], before: str, after: str) -> set[int]:
            nonlocal work
            found, waiting = set(core), list(core)
            while waiting:
                for target, condition in self.free[waiting.pop()]:
                    if target not in found and (condition is None or condition(before, after)):
                        found.add(target)
                        waiting.append(target)
            work += len(found)
            if work > MOST_WORK:
                raise too_many(what)
            return found

        def step(state: Hashable, kind: int) -> Hashable | None:
            core, before = state  # type: ignore[misc]
            here = closed(core, before, words[kind] if self.looks_on else "")
            after = frozenset(edge[1] for at in here if (edge := self.read[at]) is not None and columns[edge[0], kind])
            return (after, words[kind] if self.looks_back else "") if after else None

        return Acceptor.explore(
            (frozenset([start]), ""),
            step,
            lambda state: end in closed(state[0], state[1], ""),  # type: ignore[index]
            kind_of.reshape(-1).astype(np.int32),
            what,
        )

    def _size(self, parsed: Any) -> int:
        """How many states a part will have, found without making them."""
        total = 1
        for op, value in parsed:
            name = str(op)
            if name in ("MAX_REPEAT", "MIN_REPEAT"):
                low, high, inner = value
                copies = low + 1 if high is _parser.MAXREPEAT else max(high, 1)
                total += copies * (self._size(inner) + 1)
            elif name == "SUBPATTERN":
                total += self._size(value[3])
            elif name == "BRANCH":
                total += sum(map(self._size, value[1])) + 1
            else:
                total += 1
            total = min(total, 10 * MOST_PIECES)
        return total

    def _state(self) -> int:
        self.free.append([])
        self.read.append(None)
        return len(self.free) - 1

    def _sequence(self, parsed: Any, at: int, flags: int) -> int:
        for item in parsed:
            at = self._part(item, at, flags)
        return at

    def _part(self, item: Any, at: int, flags: int) -> int:
        """Put in what leads from a state through one part of the pattern; the state it ends in."""
        op, value = item
        name = str(op)
        if name in REFUSED:
            raise UsageError(
                f"the pattern {self.pattern!r:.60} has {REFUSED[name]}, which no finite automaton knows. "
                f"Use --contains, --excludes, --prefix or --suffix beside a plain pattern."
            )
        if name == "SUBPATTERN":
            _, added, removed, inner = value
            return self._sequence(inner, at, (flags | added) & ~removed)
        if name == "BRANCH":
            end = self._state()
            for branch in value[1]:
                first = self._state()
                self.free[at].append((first, None))
                self.free[self._sequence(branch, first, flags)].append((end, None))
            return end
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            low, high, inner = value
            return self._repeat(low, high, inner, at, flags)
        end = self._state()
        if name == "AT":
            condition = _condition(str(value))
            self.looks_back |= condition is not _at_end
            self.looks_on = True
            self.free[at].append((end, condition))
        else:
            self.read[at] = (self._set(item, flags), end)
        return end

    def _repeat(self, low: int, high: Any, inner: Any, at: int, flags: int) -> int:
        for _ in range(low):
            at = self._sequence(inner, self._after(at), flags)
        end = self._state()
        self.free[at].append((end, None))
        if high is _parser.MAXREPEAT:
            again = self._after(at)
            self.free[self._sequence(inner, again, flags)].extend([(again, None), (end, None)])
        else:
            for _ in range(high - low):
                at = self._sequence(inner, self._after(at), flags)
                self.free[at].append((end, None))
        return end

    def _after(self, at: int) -> int:
        """A fresh state after one, so that it has no other edges."""
        fresh = self._state()
        self.free[at].append((fresh, None))
        return fresh

    def _set(self, item: Any, flags: int) -> int:
        """The number of the set of characters that one part matches, by asking Python."""
        key = (repr(item), flags)
        if key not in self.known:
            state = _parser.State()
            state.flags, state.str = flags, ""
            one = _compiler.compile(_parser.SubPattern(state, [item]), flags)
            self.known[key] = len(self.sets)
            self.sets.append(np.array([one.fullmatch(c) is not None for c in self.characters], bool))
        return self.known[key]


def _is_word(character: str) -> bool:
    return re.match(r"\w", character) is not None


def _at_beginning(before: str, after: str) -> bool:
    return before == ""


def _at_end(before: str, after: str) -> bool:
    return after == ""


def _at_boundary(before: str, after: str) -> bool:
    return (before == "a") != (after == "a")


def _not_at_boundary(before: str, after: str) -> bool:
    return (before == "a") == (after == "a")


def _condition(where: str) -> Condition:
    if "NON_BOUNDARY" in where:
        return _not_at_boundary
    if "BOUNDARY" in where:
        return _at_boundary
    return _at_beginning if "BEGINNING" in where else _at_end

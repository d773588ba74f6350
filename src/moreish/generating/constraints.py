"""Conditions on lines, and the one automaton that they come to, over a model's symbols.

Prefix, suffix and pattern speak of characters, whatever the model's symbols are; length counts symbols.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, reduce
from operator import and_

import numpy as np

from moreish.errors import AlphabetError, Impossible, UsageError
from moreish.generating.acceptor import Acceptor
from moreish.generating.patterns import pattern_acceptor
from moreish.generating.spelling import characters_of, over_symbols
from moreish.text.alphabet import Alphabet, printable
from moreish.text.vowels import base_letter

MOST_LENGTH = 1_000_000


@dataclass(frozen=True)
class Conditions:
    """What every line shall be like; all of them together.

    `prefix`, `suffix`: what it begins and ends with. `contains`, `excludes`: a text, or several, that stand in
    it, or do not.
    `length`: least and most symbols. `pattern`: a regular expression that matches the whole of it. `alphabet`: the
    characters it may have. `syllables`: least and most runs of vowels; `vowels` says which letters those are (with
    their accents, in upper and lower case), and is found by Sukhotin's algorithm where it is None.
    """

    prefix: str = ""
    suffix: str = ""
    contains: Sequence[str] = ()
    excludes: Sequence[str] = ()
    length: tuple[int, int | None] | None = None
    pattern: str | None = None
    alphabet: str | None = None
    syllables: tuple[int, int | None] | None = None
    vowels: str | None = None

    def __post_init__(self) -> None:
        for name in ("prefix", "suffix", "pattern", "alphabet", "vowels"):
            value = getattr(self, name)
            if not isinstance(value, str) and not (value is None and name not in ("prefix", "suffix")):
                raise UsageError(f"{name}={value!r:.60} is not text. Use characters, or leave it out.")
        for name in ("contains", "excludes"):
            value = getattr(self, name)
            several = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
            if not all(isinstance(text, str) and text for text in several):
                raise UsageError(f"{name}={value!r:.60} is not text. Use one or more characters, or leave it out.")
            object.__setattr__(self, name, several)
        for name in ("length", "syllables"):
            _check_range(name, getattr(self, name), 1 if name == "length" else 0)
        for name in ("alphabet", "vowels"):
            if getattr(self, name) == "":
                raise UsageError(f"--{name} is empty. Name the characters, such as {name}='aeiou', or leave it out.")
        if self.pattern == "":
            raise UsageError("--pattern is empty, which no line matches. Use one such as '[aeiou].*', or leave it out.")
        if self.vowels is not None and self.syllables is None:
            raise UsageError("--vowels says what syllables are counted by. Give --syllables 2:3 too, say.")

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) not in ("", (), None) for f in fields(self))

    @property
    def only_prefix(self) -> bool:
        """Whether a beginning is all that is asked: then any model draws without looking ahead."""
        return Conditions(prefix=self.prefix) == self


@dataclass(frozen=True)
class Compiled:
    """Conditions over an alphabet: a line is meant when `acceptor` accepts it and it has `low` to `high` symbols.

    `parts`: each condition's own automaton by its name, such as `--suffix a`.
    """

    acceptor: Acceptor
    low: int
    high: int
    parts: dict[str, Acceptor]

    @cached_property
    def lines(self) -> float:
        """How many different lines there are, likely or not; rounded above 2**53."""
        return float(self.acceptor.counts(self.low, self.high)[0, 0]) if len(self.acceptor) else 0.0


def compile_conditions(
    conditions: Conditions, alphabet: Alphabet, max_length: int, vowels: Iterable[str] | None = None
) -> Compiled:
    """The automaton of all conditions together. The empty line is never meant: no list can hold it. Nor, of all rows of
    bytes, are those that are no text.

    Args:
        max_length: symbols in a line at most, where `conditions` sets no larger length itself.
        vowels: the letters that syllables are counted by, where `conditions` names none.

    Raises:
        Impossible: no line at all is like that; says which conditions exclude one another.
        TooManyStates: they need more states than an automaton may have.
        UsageError, AlphabetError: a condition that cannot be read, or that names characters nobody has.
    """
    low, high = conditions.length or (1, None)
    high = max_length if high is None else high
    if low > high:
        raise Impossible(
            f"no line has at least {low:,} and at most {high:,} symbols. "
            f"Use a larger --max-length, or a shorter --length."
        )
    characters = characters_of(alphabet)
    parts = {
        name: over_symbols(part, characters, alphabet)
        for name, part in _over_characters(conditions, alphabet, characters, vowels)
    }
    whole = _together(parts.values(), alphabet)
    if alphabet.kind == "bytes" and not parts:
        whole = over_symbols(Acceptor.everything(len(characters)), characters, alphabet)
    if not whole.can_end(low, high):
        raise Impossible(_why_impossible(conditions, parts, alphabet, low, high))
    return Compiled(whole, low, high, parts)


def _together(parts: Iterable[Acceptor], alphabet: Alphabet) -> Acceptor:
    first, *others = sorted(parts, key=len) or [Acceptor.everything(len(alphabet.symbols))]
    return reduce(and_, others, first)


def _over_characters(
    conditions: Conditions, alphabet: Alphabet, characters: list[str], vowels: Iterable[str] | None
) -> Iterable[tuple[str, Acceptor]]:
    """Each condition by its name, as an automaton over characters."""
    known = set(characters)

    def spelling(text: str, option: str) -> str:
        text = alphabet.spelling(text)
        strange = next((c for c in text if c not in known), None)
        if strange is not None:
            raise AlphabetError(
                f"--{option} {printable(text)!r:.60} holds {printable(strange)!r}, which this model never saw. "
                f"Its characters are {alphabet.describe()}."
            )
        return re.escape(text)

    for option, wanted in (("prefix", conditions.prefix), ("suffix", conditions.suffix)):
        if wanted:
            text = spelling(wanted, option)
            pattern = f"(?s){text}.*" if option == "prefix" else f"(?s).*{text}"
            yield f"--{option} {printable(wanted):.40}", pattern_acceptor(pattern, characters)
    for text in conditions.contains:
        found = pattern_acceptor(f"(?s).*{spelling(text, 'contains')}.*", characters)
        yield f"--contains {printable(text):.40}", found
    for text in conditions.excludes:
        found = pattern_acceptor(f"(?s).*{re.escape(alphabet.spelling(text))}.*", characters)
        yield f"--excludes {printable(text):.40}", found.negated()
    if conditions.pattern is not None:
        found = pattern_acceptor(alphabet.spelling(conditions.pattern), characters)
        if not len(found):
            _complain_of_pattern(conditions.pattern, alphabet, known)
        yield f"--pattern {printable(conditions.pattern):.40}", found
    if conditions.alphabet is not None:
        allowed = set(conditions.alphabet) & known
        if not allowed:
            raise AlphabetError(
                f"--alphabet {printable(conditions.alphabet)!r:.60} has no character that this model knows. "
                f"Its characters are {alphabet.describe()}."
            )
        kind_of = np.array([0 if c in allowed else 1 for c in characters], np.int32)
        found = Acceptor(np.array([[0, -1]], np.int32), kind_of, np.ones(1, bool)).minimal()
        yield f"--alphabet {printable(conditions.alphabet):.40}", found
    if conditions.syllables is not None:
        yield _range_name("--syllables", conditions.syllables), _syllables(conditions, characters, vowels)


def _syllables(conditions: Conditions, characters: list[str], vowels: Iterable[str] | None) -> Acceptor:
    assert conditions.syllables is not None
    low, high = conditions.syllables
    letters = {base_letter(c) for c in (conditions.vowels if conditions.vowels is not None else vowels or ())} - {""}
    kind_of = np.array([1 if base_letter(c) in letters else 0 for c in characters], np.int32)
    if not kind_of.any():
        why = "no letter of this model is a vowel, so it has no syllables to count"
        if conditions.vowels is None and vowels is None:
            why = "this run kept no list to find vowels in, so it has no syllables to count"
        raise UsageError(f"{why}. Name its vowels: --vowels aeiou.")
    most = low if high is None else high  # beyond the least, without an upper bound, there is nothing more to count

    def step(state: tuple[int, bool], kind: int) -> tuple[int, bool] | None:
        count, inside = state
        if not kind:
            return count, False
        count += not inside
        if count > most and high is not None:
            return None
        return min(count, most), True

    return Acceptor.explore((0, False), step, lambda state: state[0] >= low, kind_of, "--syllables")  # type: ignore


def _complain_of_pattern(pattern: str, alphabet: Alphabet, known: set[str]) -> None:
    strange = sorted({c for c in pattern if c.isalnum() and c not in known})
    why = f" It names {' '.join(strange[:10])}, which this model never saw." if strange else ""
    raise Impossible(
        f"no line of this model's characters matches the pattern {pattern!r:.60}.{why} "
        f"Its characters are {alphabet.describe()}."
    )


def _why_impossible(conditions: Conditions, parts: dict[str, Acceptor], alphabet: Alphabet, low: int, high: int) -> str:
    """Which conditions exclude one another: a smallest set of them, from which none can be left out."""
    length = "length"
    left = [*parts, length]
    for name in [*parts, length]:
        rest = [x for x in left if x != name]
        whole = _together([parts[x] for x in rest if x != length], alphabet)
        fits = whole.can_end(low, high) if length in rest else bool(len(whole) and (whole.table[0] >= 0).any())
        if not fits:
            left = rest
    names = [name for name in left if name != length]
    if length in left:
        names.append(_range_name("--length", conditions.length) if conditions.length else f"at most {high:,} symbols")
    if len(names) == 1:
        return f"no line can have {names[0]}, given this model's characters: {alphabet.describe()}. Loosen it."
    longer = "" if length not in left or conditions.length else " A larger --max-length may help."
    return f"no line can have {', '.join(names[:-1])} and {names[-1]} together. Loosen one of them.{longer}"


def _range_name(option: str, bounds: tuple[int, int | None]) -> str:
    return f"{option} {bounds[0]}:{'' if bounds[1] is None else bounds[1]}"


def _check_range(name: str, value: tuple[int, int | None] | None, least: int) -> None:
    if value is None:
        return
    good = isinstance(value, tuple) and len(value) == 2
    good = good and all(
        isinstance(x, int) and not isinstance(x, bool) and 0 <= x <= MOST_LENGTH for x in value if x is not None
    )
    if not good or value[0] is None:
        raise UsageError(
            f"{name}={value!r:.60} is not a least and a most number. Use (4, 8), or (4, None) for no most."
        )
    low, high = value
    if high is not None and (low > high or high < least):
        raise UsageError(f"--{name} {low}:{high} leaves nothing. Use a most of at least {max(low, least)}.")

"""64-bit hashes of lines over their code points: equal lines, and lines one edit apart, without a Python string.

A line's sum is `mix(c0) + mix(c1) R + mix(c2) R^2 + ...` modulo 2^64 (a polynomial hash, Karp and Rabin 1987) with R
odd, so that R has an inverse and the sum of a line with one symbol taken out or replaced follows from prefixes' sums.
Integers only: the same on every machine. Among ten million lines two differing ones share a hash with a chance of
3 in a million; this is no defence against lines made to collide.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from moreish.text.lines import NEWLINE, Lines

SLICE = 1 << 16
"""Symbols worked on at a time: the arrays of 64-bit numbers made from them stay in a processor's cache."""
LONGEST_EDITED = SLICE - 1
"""Lines of more symbols than this have no hashes of their edits."""

_R = 0x9E3779B97F4A7C55
_R_INVERSE = pow(_R, -1, 1 << 64)
_MASK = (1 << 64) - 1
_SALT = np.uint64(0x9E3779B97F4A7C15)
_TABLED = 1 << 16
"""Code points below this (the basic plane) are looked up rather than mixed anew."""
_WILDCARD = 0x110000
"""One past the last code point: stands for any symbol."""


class Edited(NamedTuple):
    """Sums of lines with one position taken out, and with it replaced by a wildcard; one entry for each position.

    Shapes: line int64 [k], position int64 [k], deleted uint64 [k], replaced uint64 [k], and distinct bool [k]: false
    where taking out the position before gives the same text (the second l of `ella`).
    """

    line: np.ndarray
    position: np.ndarray
    deleted: np.ndarray
    replaced: np.ndarray
    distinct: np.ndarray


def line_hashes(lines: Lines) -> np.ndarray:
    """A hash for each line: uint64 [lines]. Streams over the text; beyond the result it needs a few MiB."""
    hashes = bytearray()  # grows in place: joining a list of arrays would hold everything twice
    for block in lines.blocks():
        hashes += text_hashes(*block_codes(block)).data
    return np.frombuffer(hashes, dtype=np.uint64)


def text_hashes(codes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Hashes of lines given as code points (`Lines.codepoints`): uint64 [lines]."""
    sums = line_sums(codes, starts)
    sums += _SALT
    return _mix(sums)


def block_codes(block: bytes) -> tuple[np.ndarray, np.ndarray]:
    """A block of UTF-8 lines as `Lines.codepoints` gives them: codes uint8 or uint32 [n], starts int64 [lines + 1]."""
    return Lines(np.frombuffer(block, dtype=np.uint8)).codepoints()


def line_sums(codes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The polynomial sum of each line: uint64 [lines]. Its upper bits are as good as random, its lowest are not."""
    sums = np.zeros(len(starts) - 1, dtype=np.uint64)
    powers, inverses = _powers()
    for begin in range(0, len(codes), SLICE):
        products = _mixed(codes[begin : begin + SLICE])
        products *= powers[: len(products)]
        first, last = np.searchsorted(starts[:-1], (begin, begin + len(products)))
        inside = starts[first:last] - begin
        head = inside[0] if len(inside) else len(products)
        if head:  # the end of a line that began in an earlier slice
            shift = pow(_R, begin - int(starts[first - 1]), 1 << 64)
            carried = int(sums[first - 1]) + int(products[:head].sum()) * shift
            sums[first - 1] = carried & _MASK
        if len(inside):
            sums[first:last] = np.add.reduceat(products, inside) * inverses[inside]
    return sums


def edited_sums(codes: np.ndarray, starts: np.ndarray, at_least: int = 1) -> Iterator[Edited]:
    """For slices of the lines, in order: the sums of every line with each one of its positions edited.

    Lines of fewer than `at_least` or more than LONGEST_EDITED symbols are left out. `deleted` compares with `line_sums`
    of other lines (an insertion apart), `replaced` with `replaced` (a substitution apart).
    """
    begin = 0
    lines = len(starts) - 1
    while begin < lines:
        end = int(np.searchsorted(starts, starts[begin] + SLICE, side="right")) - 1
        if end <= begin:  # one line longer than a slice
            begin += 1
            continue
        offset = starts[begin]
        part = _edited(codes[offset : starts[end]], starts[begin : end + 1] - offset, at_least)
        yield part._replace(line=part.line + begin)
        begin = end


def _edited(codes: np.ndarray, starts: np.ndarray, at_least: int) -> Edited:
    powers, inverses = _powers()
    sizes = np.diff(starts)
    mixed = _mixed(codes)
    mixed *= powers[: len(codes)]
    before = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum(mixed, out=before[1:])
    back = np.repeat(inverses[starts[:-1]], sizes)
    # A position k out of a line from s to e leaves (before[k] - before[s]) + (before[e] - before[k + 1]) / R.
    line_part = before[starts[1:]] * np.uint64(_R_INVERSE) - before[starts[:-1]]
    deleted = before[:-1] - before[1:] * np.uint64(_R_INVERSE) + np.repeat(line_part, sizes)
    deleted *= back
    replaced = powers[: len(codes)] * _wildcard() - mixed + np.repeat(np.diff(before[starts]), sizes)
    replaced *= back
    distinct = np.ones(len(codes), dtype=bool)
    np.not_equal(codes[1:], codes[:-1], out=distinct[1:])
    kept = codes != NEWLINE
    if at_least > 1:
        kept &= np.repeat(sizes > at_least, sizes)  # sizes count the newline
    line = np.repeat(np.arange(len(sizes)), sizes)
    position = np.arange(len(codes)) - np.repeat(starts[:-1], sizes)
    return Edited(line[kept], position[kept], deleted[kept], replaced[kept], distinct[kept])


class TwiceEdited:
    """Sums of lines of one length with none, one or two of their positions edited: uint64 [lines edits] each.

    They compare with those of other lines, and with `line_sums`, wherever as many positions are left and as many
    wildcards are in them. Each is a sum of a term for the line and one for each edited position.

    Shapes: codes [lines n], with no newline in it.
    """

    def __init__(self, codes: np.ndarray):
        size = codes.shape[1]
        powers = _powers()[0][:size]
        mixed = _mixed(codes) * powers
        before = np.zeros((len(codes), size + 1), dtype=np.uint64)
        np.cumsum(mixed, axis=1, out=before[:, 1:])
        self.whole = before[:, -1:]
        self._left = self.whole * np.uint64(_R_INVERSE)
        self._out = before[:, :-1] - before[:, 1:] * np.uint64(_R_INVERSE)  # what follows moves down by one power
        self._wild = powers * _wildcard() - mixed
        self._pairs = _pairs(size)

    @property
    def deleted(self) -> np.ndarray:
        return self._out + self._left

    @property
    def replaced(self) -> np.ndarray:
        return self._wild + self.whole

    @property
    def deleted_twice(self) -> np.ndarray:
        first, second = self._pairs
        again = (self._out + self._left) * np.uint64(_R_INVERSE)
        return self._out[:, first] + again[:, second]

    @property
    def replaced_twice(self) -> np.ndarray:
        first, second = self._pairs
        return self._wild[:, first] + self.replaced[:, second]

    @property
    def deleted_and_replaced(self) -> np.ndarray:
        first, second = self._pairs
        deleted, moved = self.deleted, self._wild * np.uint64(_R_INVERSE)
        return np.concatenate([deleted[:, first] + moved[:, second], deleted[:, second] + self._wild[:, first]], axis=1)


@cache
def _pairs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of positions, the first before the second: int64 [size (size - 1) / 2] each."""
    first, second = np.triu_indices(size, 1)
    return first, second


def first_occurrences(hashes: np.ndarray) -> np.ndarray:
    """Where each distinct hash stands first, in order: int64 [distinct].

    Needs 9 bytes for each hash while it works, then 8 for each result.
    """
    return np.flatnonzero(_is_first(hashes))


def _is_first(hashes: np.ndarray) -> np.ndarray:
    count = len(hashes)
    first = np.zeros(count, dtype=bool)
    if not count:
        return first
    bits = np.uint64(max(1, (count - 1).bit_length()))
    index_mask = np.uint64((1 << int(bits)) - 1)
    # The index takes the place of each hash's lowest bits, so that one sort in place also orders equal hashes by index.
    keys = hashes & ~index_mask
    for begin in range(0, count, SLICE):
        end = min(begin + SLICE, count)
        keys[begin:end] |= np.arange(begin, end, dtype=np.uint64)
    keys.sort()
    first[keys[0] & index_mask] = True
    doubtful: list[np.ndarray] = []
    for begin in range(1, count, SLICE):
        part = keys[begin - 1 : begin + SLICE]
        at = (part & index_mask).astype(np.int64)
        upper = part >> bits
        fresh = upper[1:] != upper[:-1]
        first[at[1:][fresh]] = True
        alike = np.flatnonzero(~fresh)
        doubtful.append(upper[alike[hashes[at[alike]] != hashes[at[alike + 1]]]])
    for upper in np.unique(np.concatenate([keys[:0], *doubtful])):  # different hashes with the same upper bits: few
        lowest, highest = upper << bits, (upper << bits) | index_mask
        run = keys[np.searchsorted(keys, lowest) : np.searchsorted(keys, highest, side="right")]
        members = (run & index_mask).astype(np.int64)
        first[members[np.unique(hashes[members], return_index=True)[1]]] = True
    return first


def _mix(numbers: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), in place: uint64 [n]."""
    numbers ^= numbers >> np.uint64(30)
    numbers *= np.uint64(0xBF58476D1CE4E5B9)
    numbers ^= numbers >> np.uint64(27)
    numbers *= np.uint64(0x94D049BB133111EB)
    numbers ^= numbers >> np.uint64(31)
    return numbers


def _mixed(codes: np.ndarray) -> np.ndarray:
    """A number of 64 random-looking bits for each code point, and 0 for newlines: a new uint64 [n]."""
    if codes.dtype == np.uint8 or not codes.size or int(codes.max()) < _TABLED:
        return _table()[codes]
    mixed = _mix(codes.astype(np.uint64) + _SALT)
    mixed[codes == NEWLINE] = 0
    return mixed


@cache
def _table() -> np.ndarray:
    table = _mix(np.arange(_TABLED, dtype=np.uint64) + _SALT)
    table[NEWLINE] = 0
    return table


@cache
def _wildcard() -> np.uint64:
    return _mix(np.array([_WILDCARD], dtype=np.uint64) + _SALT)[0]


@cache
def _powers() -> tuple[np.ndarray, np.ndarray]:
    """R^0, R^1, ... and their inverses, modulo 2^64: uint64 [SLICE] each."""
    powers = np.full(SLICE, _R, dtype=np.uint64)
    inverses = np.full(SLICE, _R_INVERSE, dtype=np.uint64)
    powers[0] = inverses[0] = 1
    return np.cumprod(powers, dtype=np.uint64), np.cumprod(inverses, dtype=np.uint64)

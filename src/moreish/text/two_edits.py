"""Lines two edits apart, found by looking up hashes of lines with two of their positions edited.

Two edits are two substitutions, two deletions, two insertions, or one each of two of these. A line that another is two
edits from agrees with it once both are cut and masked alike: with two wildcards in each, two positions out of the
longer, one position out of each, or one out of the longer and then one wildcard in each. So, as for one edit
(`edits`), these are deletion neighbourhoods (Mor and Fraenkel 1982; up to two deletions on both sides: the SymSpell of
Garbe 2012) with the substituted positions kept. By the deletions alone a name of six symbols has 230
candidates in names.txt, all to be measured; by these everything found is right, but for a chance of hashes.

A line of n symbols has 2 n^2 such hashes, and only lines of n - 2 to n + 2 symbols are two edits from it. So lengths
take turns, and for each the tables are of those lines alone. Where that is dearer than to measure every pair (few are
asked for, or lines are long) a length is left out, and measuring it is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from moreish.text.edits import NONE, Table
from moreish.text.hashing import TwiceEdited
from moreish.text.lines import Lines

KEYS_AT_ONCE = 1 << 22
"""Hashes of the lines in one table: with the table and its making 200 MiB."""
PROBES_AT_ONCE = 1 << 18
"""Hashes of the queries looked up at a time: 16 MiB with what is made of them."""
LONGEST_PAIRED = 256
"""Of longer queries too many positions could be paired."""
TABLED, PROBED, MEASURED = 250, 45, 25
"""Nanoseconds that it takes to put one hash into a table, to look one up, and to measure a pair of lines."""


def two_edits_away(lines: Lines, queries: Lines, always: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(line, searched): the first line two edits from each query or -1, and whether it was looked for at all.

    Of each query no line may be nearer than two edits (`EditIndex` says so). By hash alone: in a hundred million
    hashes looked up among ten million a false one has a chance of 5 in a hundred thousand, so measure what is found.
    Needs the code points and 16 bytes for each line and query, and 220 MiB.

    Args:
        always: look for all queries of up to LONGEST_PAIRED symbols, also where measuring would be quicker.

    Shapes: line int64 [queries], an index into `lines`; searched bool [queries].
    """
    text, asked = _ByLength(lines), _ByLength(queries)
    best = np.full(len(queries), NONE)
    searched = np.zeros(len(queries), dtype=bool)
    for size in np.unique(asked.sizes).tolist():
        group = np.flatnonzero(asked.sizes == size)
        near = np.flatnonzero(np.abs(text.sizes - size) <= 2)
        if size <= LONGEST_PAIRED and (always or _pays(size, len(group), text.sizes[near])):
            searched[group] = True
            best[group] = _of_one_length(text, near, asked, group, size)
    return best, searched


class _ByLength:
    """Lines as code points, from which those of one length are taken as a matrix."""

    def __init__(self, lines: Lines):
        self.codes, self._starts = lines.codepoints()
        self.sizes = np.diff(self._starts) - 1

    def edited(self, which: np.ndarray, size: int) -> TwiceEdited:
        return TwiceEdited(self.codes[self._starts[which][:, None] + np.arange(size)])


def _of_one_length(text: _ByLength, near: np.ndarray, asked: _ByLength, group: np.ndarray, size: int) -> np.ndarray:
    """The first of the lines `near` that is two edits from each query of `group`, or -1: int64 [group]."""
    best = np.full(len(group), NONE)
    for part in _parts(near, text.sizes):
        keys, owners = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
        for line_size in range(max(size - 2, 0), size + 3):
            which = part[text.sizes[part] == line_size]
            if len(which):
                for hashes in _of_lines(text.edited(which, line_size), line_size - size):
                    keys.append(hashes.ravel())
                    owners.append(np.repeat(which, hashes.shape[1]))
        table, owner = Table(np.concatenate(keys)), np.concatenate(owners)
        left = np.flatnonzero(best == NONE)
        step = max(1, PROBES_AT_ONCE // (2 * size * size + 2))
        for at in range(0, len(left), step):
            some = left[at : at + step]
            probes = np.concatenate(list(_of_query(asked.edited(group[some], size))), axis=1)
            # Equal hashes are of the same kind, so in the order of the lines, of which the table finds the first.
            which, where = table.find(probes.ravel())
            row, line = which // probes.shape[1], owner[table.entries[where]]
            if len(row):
                first = np.flatnonzero(np.diff(row, prepend=-1))
                best[some[row[first]]] = np.minimum.reduceat(line, first)
    return best


def _of_query(query: TwiceEdited) -> Iterator[np.ndarray]:
    yield query.whole
    yield query.deleted
    yield query.replaced
    yield query.deleted_twice
    yield query.deleted_and_replaced
    yield query.replaced_twice


def _of_lines(lines: TwiceEdited, longer: int) -> Iterator[np.ndarray]:
    """What lines so many symbols `longer` than the query share with it when they are two edits from it."""
    if longer == -2:
        yield lines.whole
    elif longer == -1:
        yield lines.replaced
    elif longer == 0:
        yield lines.deleted
        yield lines.replaced_twice
    elif longer == 1:
        yield lines.deleted_and_replaced
    else:
        yield lines.deleted_twice


def _hashes(sizes: np.ndarray) -> np.ndarray:
    """As many as a line has in a table, or a few more: int64 [lines]."""
    return sizes * sizes + 1


def _parts(near: np.ndarray, sizes: np.ndarray) -> Iterator[np.ndarray]:
    """The lines in order, in parts of about KEYS_AT_ONCE hashes."""
    turn = np.cumsum(_hashes(sizes[near])) // KEYS_AT_ONCE
    for first, last in zip(np.unique(turn, return_index=True)[1], [*np.unique(turn, return_index=True)[1][1:], None]):
        yield near[first:last]


def _pays(size: int, queries: int, sizes: np.ndarray) -> bool:
    """Whether hashes take less time than measuring every query against every line of about its length."""
    tabled = int(_hashes(sizes).sum())
    probed = queries * 2 * size * size * -(-tabled // KEYS_AT_ONCE)
    return tabled * TABLED + probed * PROBED < queries * len(sizes) * MEASURED

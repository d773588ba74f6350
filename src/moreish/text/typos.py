"""Probable typos: long lines of one list that are one edit apart, all pairs of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moreish.text.edits import Table
from moreish.text.hashing import edited_sums, line_sums
from moreish.text.lines import Lines

TYPO_LENGTH = 8
"""Between shorter lines one edit is no sign of a slip: 91 % of given names have such a neighbour."""
TYPO_KEYS = 1 << 22
"""Hashes sorted at a time."""


@dataclass(frozen=True)
class Typos:
    """Pairs of long lines one edit apart.

    `count` of them; `pairs` int64 [at most a limit, 2] has the two lines' indices, the smaller first. `near` lines of
    the `long` ones have such a partner: where many do, near pairs are the nature of the list, not slips.
    """

    count: int
    pairs: np.ndarray
    near: int
    long: int


def probable_typos(lines: Lines, limit: int = 1_000_000) -> Typos:
    """Among lines that are all different: those of TYPO_LENGTH or more symbols that are one edit apart.

    By hash alone: in ten million positions a false pair has a chance of 3 in a million. Memory beyond the text: 40
    bytes for each line and about 100 MiB. `limit` bounds the pairs that are returned, not those that are counted.
    """
    sizes = lines.lengths()
    long = np.flatnonzero(sizes >= TYPO_LENGTH)
    codes, starts = (lines if len(long) == len(lines) else lines.take(long)).codepoints()
    near = np.zeros(len(long), dtype=bool)
    pairs: list[np.ndarray] = []
    count = 0

    whole = Table(line_sums(codes, starts))
    passes = max(1, -(-len(codes) // TYPO_KEYS))
    for turn in range(passes):  # equal hashes meet in the same turn
        keys, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)]
        for part in edited_sums(codes, starts):
            mine = np.flatnonzero(((part.replaced >> np.uint64(32)) * np.uint64(passes)) >> np.uint64(32) == turn)
            keys.append(part.replaced[mine])
            owners.append(part.line[mine].astype(np.int32))
            if turn == 0:
                distinct = np.flatnonzero(part.distinct)
                which, where = whole.find(part.deleted[distinct])
                found = np.stack([part.line[distinct[which]], whole.entries[where]], axis=1)
                near[found] = True
                pairs.append(found[: max(0, limit - count)])
                count += len(found)
        found, total = _pairs_sharing(np.concatenate(keys), np.concatenate(owners), near, max(0, limit - count))
        pairs.append(found)
        count += total
    everything = long[np.sort(np.concatenate(pairs), axis=1)]
    everything = everything[np.lexsort((everything[:, 1], everything[:, 0]))]
    return Typos(count, everything, int(near.sum()), len(long))


def _pairs_sharing(keys: np.ndarray, owners: np.ndarray, near: np.ndarray, limit: int) -> tuple[np.ndarray, int]:
    """(pairs int64 [at most limit, 2], how many there are) of owners with the same key; marks them in `near`."""
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return np.zeros((0, 2), dtype=np.int64), 0
    group_table = Table(np.unique(repeated))
    which, group = group_table.find(keys)  # few keys are shared: finding those is quicker than sorting all with owners
    order = np.argsort(group, kind="stable")
    owner, group = owners[which[order]].astype(np.int64), group[order]
    near[owner] = True
    sizes = np.bincount(group)
    total = int((sizes * (sizes - 1) // 2).sum())
    pairs: list[np.ndarray] = []
    room = limit
    for apart in range(1, int(sizes.max())):
        if room <= 0:
            break
        first = np.flatnonzero(group[apart:] == group[:-apart])[:room]
        pairs.append(np.stack([owner[first], owner[first + apart]], axis=1))
        room -= len(first)
    return np.concatenate([np.zeros((0, 2), dtype=np.int64), *pairs]), total

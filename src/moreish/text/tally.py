"""One pass over a list's text: what it adds up, and the different lines it keeps."""

from __future__ import annotations

from collections import Counter

import numpy as np

from moreish.text.folding import folded_hashes, white_space
from moreish.text.hashing import block_codes, first_occurrences, text_hashes
from moreish.text.lines import Lines

KEPT_LINES = 1_000_000
KEPT_BYTES = 1 << 26
"""The text that is kept: so many different lines and bytes; with more of them, typos are not looked for."""
EXAMPLES = 5
SHORT = 1 << 10
"""Lines of fewer symbols are counted by length in an array, longer ones in a dictionary."""


class Kept:
    """The first different lines, as text, with their hashes: enough for examples, and for typos if it is all of them.

    Shapes: hashes and folded uint64 [kept], in the order of first occurrence.
    """

    def __init__(self) -> None:
        self.text, self._hashes, self._folded = bytearray(), bytearray(), bytearray()
        self._seen = np.zeros(0, dtype=np.uint64)
        self.full: str | None = None

    def add(self, block: bytes, hashes: np.ndarray, folded: np.ndarray) -> None:
        if self.full:
            return
        at = np.searchsorted(self._seen, hashes)
        at[at == len(self._seen)] = 0
        new = np.flatnonzero(self._seen[at] != hashes) if len(self._seen) else np.arange(len(hashes))
        new = new[first_occurrences(hashes[new])]
        if len(self._seen) + len(new) > KEPT_LINES:
            self.full = f"there are more than {KEPT_LINES:,} different lines"
        elif len(self.text) + len(block) > KEPT_BYTES:
            self.full = f"the different lines take more than {KEPT_BYTES >> 20} MiB"
        elif len(new):
            self._seen = np.sort(np.concatenate([self._seen, hashes[new]]))
            self._hashes += hashes[new].data
            self._folded += folded[new].data
            lines = Lines(np.frombuffer(block, dtype=np.uint8))
            self.text += block if len(new) == len(hashes) else lines.take(new).data.data

    @property
    def lines(self) -> Lines:
        return Lines(np.frombuffer(self.text, dtype=np.uint8))

    def most_repeated(self, ordered: np.ndarray) -> dict[str, int]:
        """Those that stand most often among `ordered`, the sorted hashes of all lines."""
        own, back = np.unique(np.frombuffer(self._hashes, dtype=np.uint64), return_inverse=True)
        counts = np.searchsorted(ordered, own, side="right") - np.searchsorted(ordered, own)
        counts = counts[back]
        lines = self.lines
        most = np.argsort(-counts, kind="stable")[:EXAMPLES].tolist()
        return {lines[i]: int(counts[i]) for i in most if counts[i] > 1}

    def look_alikes(self) -> list[list[str]]:
        """A few groups of lines that fold to the same text, the earliest first."""
        folded = np.frombuffer(self._folded, dtype=np.uint64)
        order = np.argsort(folded, kind="stable")
        same = folded[order[1:]] == folded[order[:-1]]
        first = np.flatnonzero(same & ~np.concatenate([[False], same[:-1]]))
        lines = self.lines
        groups = []
        for at in first[np.argsort(order[first])][:EXAMPLES].tolist():
            group = order[at : at + EXAMPLES]
            groups.append([lines[i] for i in group[folded[group] == folded[group[0]]].tolist()])
        return groups


class Tally:
    """What one pass over the text adds up. `hashes` and `folded` grow to uint64 [lines]; `folded` stays empty where
    every line folds to itself.
    """

    def __init__(self) -> None:
        self.lines = self.white_space_lines = 0
        self._short = np.zeros(SHORT, dtype=np.int64)
        self._long: Counter[int] = Counter()
        self._narrow = np.zeros(128, dtype=np.int64)
        self._wide = np.zeros(0, dtype=np.int64)
        self.hashes, self.folded = bytearray(), bytearray()
        self.kept = Kept()

    def add(self, block: bytes) -> None:
        codes, starts = block_codes(block)
        sizes = np.diff(starts) - 1
        short = sizes < SHORT
        self._short += np.bincount(sizes[short], minlength=SHORT)
        self._long.update(sizes[~short].tolist())
        if codes.dtype == np.uint8:
            self._narrow += np.bincount(codes, minlength=128)
        else:
            counts = np.bincount(codes)
            if len(counts) > len(self._wide):
                self._wide.resize(len(counts), refcheck=False)
            self._wide[: len(counts)] += counts
        space = white_space()
        outer = np.stack([codes[starts[:-1]], codes[starts[1:] - 2]]).astype(np.uint32)
        self.white_space_lines += int(np.count_nonzero(space[np.minimum(outer, len(space) - 1)].any(axis=0)))

        hashes = text_hashes(codes, starts)
        folded = folded_hashes(block, hashes)
        if folded is not hashes and not self.folded:
            self.folded += self.hashes  # until here the lines were folded as they stood
        self.hashes += hashes.data
        if folded is not hashes or self.folded:
            self.folded += folded.data
        self.lines += len(hashes)
        self.kept.add(block, hashes, folded)

    def lengths(self) -> dict[int, int]:
        short = np.flatnonzero(self._short)
        return {**dict(zip(short.tolist(), self._short[short].tolist())), **dict(sorted(self._long.items()))}

    def symbols(self) -> dict[str, int]:
        counts = self._wide.copy()
        counts.resize(max(len(counts), 128), refcheck=False)
        counts[:128] += self._narrow
        counts[ord("\n")] = 0
        seen = np.flatnonzero(counts)
        seen = seen[np.argsort(-counts[seen], kind="stable")]
        return dict(zip(map(chr, seen.tolist()), counts[seen].tolist()))

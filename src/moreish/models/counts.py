"""Counting n-grams, streaming over the text.

A line is preceded by ONE start symbol: `emma` with order 3 counts `(start) e`, `(start) e m`, `e m m`, `m m a`, `m a
(end)`. In a table of fixed width that context is padded with boundaries on the left, `0 0 e`, `0 e m`; two leading
boundaries therefore mean "nothing stands here", never two start symbols.

Four ways, by what there is to hold; all give the same table (a test says so):
pairs of bytes (orders 2, one-byte symbols), a dense table, sorted keys in 63 bits, sorted rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from moreish.errors import ConfigError
from moreish.text.alphabet import Alphabet
from moreish.text.lines import BLOCK, NEWLINE, Lines

DENSE_ENTRIES = 1 << 25
"""Up to here a table of every possible n-gram is held: 134 MB of 32-bit counts (32 symbols, order 5)."""
KEY_BITS = 62
SLICE = 1 << 16
"""Symbols coded at a time, so that the arrays between stay in the processor's cache."""
SORTED_AT_ONCE = 1 << 20
NARROW_COUNTS = 1 << 30
"""Symbols counted in 32 bits before the counts move to 64."""
HIGHEST_ORDER = 64


@dataclass(frozen=True)
class Grams:
    """The n-grams of a text with their counts.

    Shapes: rows int32 [G n], sorted, oldest symbol first, padded with 0 on the left; counts int64 [G], all positive.
    """

    symbols: int
    rows: np.ndarray
    counts: np.ndarray

    @property
    def order(self) -> int:
        return self.rows.shape[1]


def count_grams(lines: Lines, alphabet: Alphabet, order: int) -> Grams:
    """Count every n-gram of `order` symbols, each line with one start symbol and one end.

    Raises:
        ConfigError: the order is not from 1 to 64.
        AlphabetError: a line holds a symbol that the alphabet lacks.
    """
    if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order <= HIGHEST_ORDER:
        raise ConfigError(f"order={order!r} is not a whole number from 1 to {HIGHEST_ORDER}. Use 5, say.")
    symbols = len(alphabet)
    if order == 2 and _one_byte_each(alphabet):
        return _count_byte_pairs(lines, alphabet)
    streams = alphabet.encode_blocks(lines.blocks())
    if symbols**order <= DENSE_ENTRIES:
        return _count_dense(streams, symbols, order)
    if symbols**order < 2**KEY_BITS:
        return _count_sorted(streams, symbols, order)
    return _count_rows(streams, symbols, order)


def _one_byte_each(alphabet: Alphabet) -> bool:
    return alphabet.kind == "bytes" or (
        alphabet.kind != "words" and all(len(symbol) == 1 and ord(symbol) < 128 for symbol in alphabet.symbols)
    )


def _count_byte_pairs(lines: Lines, alphabet: Alphabet) -> Grams:
    """Bigrams as pairs of neighbouring bytes, the newline being the boundary: two bytes are one 16-bit index."""
    pairs = np.zeros(1 << 16, dtype=np.int64)
    index = np.empty(BLOCK, dtype=np.intp)  # kept from block to block: fresh pages for each would cost a fifth
    for block in lines.blocks():
        for text in (b"\n" + block, block):  # the pairs from every second byte on, and those between
            read = np.frombuffer(text, dtype=np.uint16, count=len(text) // 2)
            if len(read) > len(index):
                index = np.empty(2 * len(read), dtype=np.intp)
            index[: len(read)] = read
            pairs += np.bincount(index[: len(read)], minlength=1 << 16)
    table = pairs.reshape(256, 256)  # as stored on a little-endian machine: [second, first]
    if np.little_endian:
        table = table.T
    at = np.array([NEWLINE, *map(ord, alphabet.symbols)])
    known = table[np.ix_(at, at)]
    if known.sum() != pairs.sum():
        for _ in alphabet.encode_blocks(lines.blocks()):  # finds the symbol that the alphabet lacks, and says where
            pass
    return _of_dense(known.reshape(-1), len(alphabet), 2)


def _codes(stream: np.ndarray, symbols: int, order: int) -> Iterator[np.ndarray]:
    """The key of each n-gram in a stream that begins with a line: base-V digits, oldest symbol first."""
    dtype = np.int32 if symbols**order < 2**31 else np.int64
    padded = np.concatenate([np.zeros(order, stream.dtype), stream])
    for first in range(0, len(stream), SLICE):
        ids = padded[first : first + SLICE + order]
        count = len(ids) - order
        code = ids[order:].astype(dtype)
        inside: np.ndarray | None = None  # whether the context has not yet reached back beyond the line's start
        factor = 1
        for back in range(1, order):
            factor *= symbols
            symbol = ids[order - back : order - back + count].astype(dtype)
            if inside is not None:
                symbol *= inside
            inside = symbol != 0
            symbol *= dtype(factor)
            code += symbol
        yield code


def _count_dense(streams: Iterable[np.ndarray], symbols: int, order: int) -> Grams:
    table = np.zeros(symbols**order, dtype=np.int32)
    wide: np.ndarray | None = None
    one, since = np.int32(1), 0
    for stream in streams:
        for code in _codes(stream, symbols, order):
            np.add.at(table, code, one)
        since += len(stream)
        if since > NARROW_COUNTS:
            wide = table.astype(np.int64) if wide is None else wide + table
            table[:] = 0
            since = 0
    return _of_dense(table if wide is None else wide + table, symbols, order)


def _of_dense(table: np.ndarray, symbols: int, order: int) -> Grams:
    keys = np.flatnonzero(table)
    return Grams(symbols, unpack(keys, symbols, order), table[keys].astype(np.int64))


def _count_sorted(streams: Iterable[np.ndarray], symbols: int, order: int) -> Grams:
    """Sort a million keys at a time, and merge tables of like size, so that each key is merged log(n) times."""
    tables: list[tuple[np.ndarray, np.ndarray]] = []
    waiting: list[np.ndarray] = []
    size = 0

    def settle(keys: np.ndarray) -> None:
        keys.sort()
        tables.append(_tally(keys, None))
        while len(tables) > 1 and len(tables[-2][0]) < 2 * len(tables[-1][0]):
            tables.append(_merge(tables.pop(), tables.pop()))

    for stream in streams:
        for code in _codes(stream, symbols, order):
            waiting.append(code)
            size += len(code)
            if size >= SORTED_AT_ONCE:
                settle(np.concatenate(waiting))
                waiting, size = [], 0
    if waiting:
        settle(np.concatenate(waiting))
    while len(tables) > 1:
        tables.append(_merge(tables.pop(), tables.pop()))
    keys, counts = tables[0] if tables else (np.zeros(0, np.int64), np.zeros(0, np.int64))
    return Grams(symbols, unpack(keys, symbols, order), counts)


def _tally(keys: np.ndarray, counts: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Sorted keys with repeats to keys once each with their counts summed."""
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    if counts is None:
        return keys[first], np.diff(np.append(first, len(keys)))
    return keys[first], np.add.reduceat(counts, first)


def _merge(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    keys = np.concatenate([a[0], b[0]])
    order = np.argsort(keys, kind="stable")  # two sorted runs: one merge
    return _tally(keys[order], np.concatenate([a[1], b[1]])[order])


def _count_rows(streams: Iterable[np.ndarray], symbols: int, order: int) -> Grams:
    """For keys over 63 bits (long contexts of words): rows of symbols, sorted as rows, merged like sorted keys."""
    tables: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros((0, order), np.int32), np.zeros(0, np.int64))]

    def merge(ways: int) -> None:
        rows = np.concatenate([tables[-way][0] for way in range(ways, 0, -1)])
        counts = np.concatenate([tables[-way][1] for way in range(ways, 0, -1)])
        del tables[-ways:]
        kept, inverse = unique_rows(rows, symbols)
        tables.append((kept, sum_by(inverse, counts, len(kept))))

    for stream in streams:
        padded = np.concatenate([np.zeros(order - 1, np.int32), stream.astype(np.int32)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, order).copy()
        for column in range(order - 2, 0, -1):  # what stands before a boundary is another line
            windows[windows[:, column] == 0, :column] = 0
        tables.append((windows, np.ones(len(windows), np.int64)))
        merge(1)
        while len(tables) > 1 and len(tables[-2][0]) < 2 * len(tables[-1][0]):
            merge(2)
    merge(len(tables))
    return Grams(symbols, *tables[0])


def unpack(keys: np.ndarray, symbols: int, order: int) -> np.ndarray:
    """Keys to rows of symbols: int32 [G order]."""
    rows = np.empty((len(keys), order), dtype=np.int32)
    for column in range(order - 1, -1, -1):
        keys, rows[:, column] = np.divmod(keys, symbols)
    return rows


def pack(symbols: int, *tables: np.ndarray) -> list[np.ndarray]:
    """For each table of rows (int [G n], all of one width) int64 keys that are equal, and in order, as the rows are."""
    width = tables[0].shape[1]
    if symbols**width < 2**KEY_BITS:
        keys = []
        for rows in tables:
            key = np.zeros(len(rows), dtype=np.int64)
            for column in range(width):
                key = key * symbols + rows[:, column]
            keys.append(key)
        return keys
    together = np.concatenate(tables)
    order = np.lexsort(together.T[::-1])  # column by column: np.unique over rows compares them one by one
    fresh = np.ones(len(order), bool)
    fresh[1:] = (together[order[1:]] != together[order[:-1]]).any(1)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.cumsum(fresh) - 1
    return np.split(ranks, np.cumsum([len(rows) for rows in tables])[:-1])


def unique_rows(rows: np.ndarray, symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows once each, sorted, and where each given row stands among them."""
    (keys,) = pack(symbols, rows)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], inverse.reshape(-1)


def find_rows(rows: np.ndarray, among: np.ndarray, symbols: int) -> np.ndarray:
    """Where each row stands in the sorted table `among`, or -1."""
    keys, table = pack(symbols, rows, among)
    if not len(table):
        return np.full(len(keys), -1)
    at = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[at] == keys, at, -1)


def sum_by(index: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Sums of integer values that share an index: int64 [size]. Exact up to 2**53."""
    return np.bincount(index, weights=values, minlength=size).astype(np.int64)

"""Lines of text held as one run of UTF-8 bytes, every line ended by a newline.

Ten million names take 95 MiB here and over 600 MiB as Python strings; and whatever reads them all (encoding, hashing,
counting) does so in a few passes over an array. A Python string is made only for a line somebody looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

import numpy as np

NEWLINE = 10
BLOCK = 1 << 20
"""Bytes handed on at a time: small enough for a processor's cache, large enough that Python's part vanishes."""


TAKEN = 1 << 17
"""Lines taken at a time: gathering them needs 8 bytes for each byte."""


class Lines(Sequence[str]):
    """A sequence of lines, in memory or still on disk.

    `Lines(data)` holds text in memory. `Lines(reread=f)` holds none: `blocks()` calls `f()` and streams what it
    yields, and only a use that needs the text itself (an index, a sample, a length) loads it.

    Shapes: data uint8 [bytes], starts int64 [lines + 1]: line i is data[starts[i] : starts[i + 1] - 1].
    """

    __slots__ = ("_count", "_data", "_reread", "_starts")

    def __init__(
        self,
        data: np.ndarray | None = None,
        *,
        reread: Callable[[], Iterator[bytes]] | None = None,
        count: int | None = None,
    ):
        assert (data is None) != (reread is None), "text in memory, or a way to read it again"
        self._data, self._reread, self._count = data, reread, count
        self._starts: np.ndarray | None = None

    @classmethod
    def of(cls, lines: Iterable[str]) -> Lines:
        """Lines of Python strings; none may hold a newline."""
        text = "".join(f"{line}\n" for line in lines)
        return cls(np.frombuffer(text.encode(), dtype=np.uint8))

    @classmethod
    def load(cls, blocks: Iterable[bytes]) -> Lines:
        """Lines of the reader's blocks, brought together in memory."""
        text = bytearray()
        for block in blocks:
            text += block
        return cls(np.frombuffer(text, dtype=np.uint8))

    @property
    def in_memory(self) -> bool:
        """Whether the text is held, rather than read again at every use."""
        return self._data is not None

    @property
    def data(self) -> np.ndarray:
        """The text, uint8 [bytes], every line ended by a newline."""
        if self._data is None:
            assert self._reread is not None
            self._data = Lines.load(self._reread()).data
        return self._data

    @property
    def starts(self) -> np.ndarray:
        """Where each line begins in `data`, and where the next would: int64 [lines + 1]."""
        if self._starts is None:
            self._starts = line_starts(self.data)
        return self._starts

    def blocks(self) -> Iterator[bytes]:
        """The text in blocks of about 1 MiB, each ending with a line's end."""
        if self._data is None:
            assert self._reread is not None
            yield from self._reread()
            return
        at = 0
        while at < len(self._data):
            end = min(at + BLOCK, len(self._data))
            while self._data[end - 1] != NEWLINE:  # to the end of the line that the cut went through
                ahead = np.flatnonzero(self._data[end : end + BLOCK] == NEWLINE)
                end = end + int(ahead[0]) + 1 if len(ahead) else min(end + BLOCK, len(self._data))
            yield self._data[at:end].tobytes()
            at = end

    def codepoints(self) -> tuple[np.ndarray, np.ndarray]:
        """The text as Unicode code points, newlines included, and where each line begins in it.

        Returns: codes uint8 or uint32 [code points], starts int64 [lines + 1].
        """
        text = self.data.tobytes()
        if text.isascii():
            return self.data, self.starts
        codes = np.frombuffer(text.decode().encode("utf-32-le"), dtype=np.uint32)
        return codes, line_starts(codes)

    def lengths(self) -> np.ndarray:
        """Code points in each line: int64 [lines]."""
        return np.diff(self.codepoints()[1]) - 1

    def take(self, indices: np.ndarray) -> Lines:
        """The lines at `indices` (int [k], in that order)."""
        if not len(indices):
            return Lines(np.zeros(0, np.uint8))
        parts = [indices[first : first + TAKEN] for first in range(0, len(indices), TAKEN)]
        out = np.empty(sum(int((self.starts[part + 1] - self.starts[part]).sum()) for part in parts), dtype=np.uint8)
        at = 0
        for chosen in parts:
            size = self.starts[chosen + 1] - self.starts[chosen]
            total = int(size.sum())
            before = np.cumsum(size) - size
            out[at : at + total] = self.data[np.repeat(self.starts[chosen] - before, size) + np.arange(total)]
            at += total
        return Lines(out)

    def texts(self) -> list[str]:
        """Every line as a Python string."""
        return self.data.tobytes().decode().split("\n")[:-1]

    def __len__(self) -> int:
        if self._count is None:
            self._count = int(np.count_nonzero(self.data == NEWLINE)) if len(self.data) else 0
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Lines: ...
    def __getitem__(self, index: int | slice) -> str | Lines:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"line {index} of {len(self)}")
        i = index % len(self)
        return self.data[self.starts[i] : self.starts[i + 1] - 1].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks():
            yield from block.decode().split("\n")[:-1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lines) and np.array_equal(self.data, other.data)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Lines({len(self):,})"


def line_starts(codes: np.ndarray) -> np.ndarray:
    """Where each newline-ended line begins, and one past the last: int64 [lines + 1]."""
    ends = np.flatnonzero(codes == NEWLINE)
    starts = np.zeros(len(ends) + 1, dtype=np.int64)
    np.add(ends, 1, out=starts[1:])
    return starts

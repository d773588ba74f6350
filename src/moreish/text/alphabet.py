"""Symbols to ids and back. Id 0 is the boundary, which begins and ends every line; it is no character.

Four kinds of symbol: `characters` (Unicode code points), `graphemes` (what a reader calls one letter, by Unicode's
extended grapheme clusters: a base with its marks, an emoji with its joiners), `words` (as in Bengio et al. 2003: pieces
between single spaces, so that a line comes back exactly), `bytes` (of UTF-8).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import regex

from moreish.errors import AlphabetError, UsageError, printable
from moreish.shapes import BOUNDARY
from moreish.text.lines import NEWLINE, Lines

Kind = Literal["characters", "graphemes", "words", "bytes"]
KINDS: tuple[str, ...] = get_args(Kind)
SHOWN_SYMBOLS = 40


@dataclass(frozen=True)
class Alphabet:
    """The symbols that lines are made of, in order: id i stands for `symbols[i - 1]`, id 0 for the boundary.

    `len(alphabet)` counts the boundary too: it is V, the number of logits. In an alphabet of bytes the symbol of
    byte b is `chr(b)`.
    """

    kind: Kind
    symbols: tuple[str, ...]
    ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"no kind of symbol is called {self.kind!r}. There are: {', '.join(KINDS)}.")
        object.__setattr__(self, "ids", {symbol: i for i, symbol in enumerate(self.symbols, start=1)})
        if len(self.ids) != len(self.symbols):
            raise AlphabetError("an alphabet holds a symbol twice. Name each symbol once.")

    @classmethod
    def of(cls, lines: Lines, kind: Kind = "characters") -> Alphabet:
        """The symbols that stand in `lines`, sorted. Streams over the text."""
        if kind == "bytes":
            found = _bytes_in(lines.blocks())
            return cls(kind, tuple(chr(byte) for byte in sorted(found)))
        seen: set[str] = set()
        known_ascii = b"\n"
        for block in lines.blocks():
            if kind != "words" and block.isascii():
                # Deleting what is known is ten times faster than asking which characters there are.
                fresh = block.translate(None, known_ascii)
                if fresh:
                    known_ascii += bytes(set(fresh))
                    seen.update(chr(byte) for byte in set(fresh))
                continue
            for line in block.decode().split("\n")[:-1] if kind != "characters" else (block.decode(),):
                seen.update(split_symbols(line, kind))
        if kind == "characters":
            seen.discard("\n")
        return cls(kind, tuple(sorted(seen)))

    def __len__(self) -> int:
        return len(self.symbols) + 1

    def encode(self, line: str) -> list[int]:
        """The ids of a line's symbols, without boundaries.

        Raises:
            AlphabetError: the line holds a symbol that the alphabet lacks; says which and where.
        """
        try:
            pieces = split_symbols(line, self.kind)
        except UnicodeEncodeError as error:  # half a surrogate pair has no bytes
            raise self._lacks(line, line[error.start], len(line[: error.start].encode())) from None
        try:
            return [self.ids[piece] for piece in pieces]
        except KeyError:
            at, piece = next((i, piece) for i, piece in enumerate(pieces) if piece not in self.ids)
            raise self._lacks(line, piece, at) from None

    def spelling(self, text: str) -> str:
        """Text as this alphabet spells it: itself, or in Unicode form NFC where only that has all its symbols known.

        Lists are brought to NFC, but some keyboards and file systems give an accent as a character of its own.
        """
        composed = unicodedata.normalize("NFC", text)
        if composed == text or not self._knows(composed) or self._knows(text):
            return text
        return composed

    def _knows(self, text: str) -> bool:
        try:
            return all(piece in self.ids for piece in split_symbols(text, self.kind))
        except UnicodeEncodeError:  # half a surrogate pair has no bytes
            return False

    def decode(self, ids: Iterable[int]) -> str:
        """The line whose ids (without boundaries) these are."""
        pieces = [self.symbols[i - 1] for i in ids]
        if self.kind == "bytes":
            return "".join(pieces).encode("latin-1").decode(errors="replace")
        return (" " if self.kind == "words" else "").join(pieces)

    def encode_lines(self, lines: Lines) -> np.ndarray:
        """All lines as one stream of ids: `0 e m m a 0 a v a 0`; uint8, uint16 or int32 [N]."""
        return np.concatenate([np.zeros(1, self.dtype), *self.encode_blocks(lines.blocks())])

    def encode_texts(self, texts: Iterable[str]) -> np.ndarray:
        """The same of Python strings, none of which holds a newline."""
        return self.encode_lines(Lines.of(texts))

    def encode_blocks(self, blocks: Iterable[bytes]) -> Iterator[np.ndarray]:
        """Each block of text as ids, every line's end a 0: `e m m a 0 a v a 0`.

        Raises:
            AlphabetError: a line holds a symbol that the alphabet lacks.
        """
        for block in blocks:
            if self.kind == "bytes" or (self.kind in ("characters", "graphemes") and block.isascii()):
                ids = self._byte_table[np.frombuffer(block, np.uint8)]
                if (ids == self._absent).any():
                    self._complain(block)
                yield ids
            elif self.kind == "characters":
                yield self._encode_codepoints(block)
            else:
                ids = [i for line in block.decode().split("\n")[:-1] for i in (*self.encode(line), BOUNDARY)]
                yield np.array(ids, dtype=self.dtype)

    def decode_rows(self, ids: np.ndarray, lengths: np.ndarray) -> list[str]:
        """Many lines at once.

        Args:
            ids: int [lines T], row i meaning `ids[i, :lengths[i]]`.
            lengths: int [lines].
        """
        if not len(ids):
            return []
        if self.kind == "words" or self._points is None:
            return [self.decode(row[:size]) for row, size in zip(ids.tolist(), lengths.tolist())]
        width = ids.shape[1]
        table, narrow = self._points
        out = np.zeros((len(ids), width + 1), dtype=table.dtype)
        out[:, :width] = table[ids]
        out[np.arange(len(ids)), lengths] = NEWLINE
        kept = out[np.arange(width + 1) <= lengths[:, None]]
        if self.kind == "bytes":  # a model of bytes may break off inside a character
            return [line.decode(errors="replace") for line in kept.tobytes().split(b"\n")[:-1]]
        return kept.tobytes().decode("ascii" if narrow else "utf-32-le").split("\n")[:-1]

    @property
    def dtype(self) -> type[np.unsignedinteger] | type[np.signedinteger]:
        """The smallest integers that hold every id and one value more."""
        return np.uint8 if len(self) < 255 else np.uint16 if len(self) < 65_535 else np.int32

    def describe(self) -> str:
        """How many symbols there are, and the first of them: for a sentence."""
        shown = " ".join(printable(symbol) for symbol in self.symbols[:SHOWN_SYMBOLS])
        return f"{len(self.symbols)}: {shown}{' …' if len(self.symbols) > SHOWN_SYMBOLS else ''}"

    @cached_property
    def _absent(self) -> int:
        return np.iinfo(self.dtype).max

    @cached_property
    def _byte_table(self) -> np.ndarray:
        table = np.full(256, self._absent, dtype=self.dtype)
        for symbol, i in self.ids.items():
            if len(symbol) == 1 and ord(symbol) < (256 if self.kind == "bytes" else 128):
                table[ord(symbol)] = i
        table[NEWLINE] = BOUNDARY
        return table

    @cached_property
    def _codepoint_table(self) -> np.ndarray:
        points = [ord(symbol) for symbol in self.symbols]
        table = np.full(max([NEWLINE, *points]) + 2, self._absent, dtype=self.dtype)
        table[points] = np.arange(1, len(self), dtype=self.dtype)
        table[NEWLINE] = BOUNDARY
        return table

    @cached_property
    def _points(self) -> tuple[np.ndarray, bool] | None:
        """Ids to code points (or bytes) where every symbol is one, and whether they are narrow."""
        if any(len(symbol) != 1 for symbol in self.symbols):
            return None
        points = np.array([0, *map(ord, self.symbols)], dtype=np.uint32)
        narrow = self.kind == "bytes" or int(points.max()) < 128
        return (points.astype(np.uint8) if narrow else points), narrow

    def _encode_codepoints(self, block: bytes) -> np.ndarray:
        codes = np.frombuffer(block.decode().encode("utf-32-le"), dtype=np.uint32)
        table = self._codepoint_table
        ids = table[np.minimum(codes, len(table) - 1)]
        if (ids == self._absent).any():
            self._complain(block)
        return ids

    def _complain(self, block: bytes) -> None:
        for line in block.decode().split("\n")[:-1]:
            self.encode(line)
        raise AssertionError("a symbol was missing from the table but not from the alphabet")

    def _lacks(self, line: str, piece: str, at: int) -> AlphabetError:
        shown = line if len(line) <= 60 else line[:57] + "..."
        return AlphabetError(
            f"{printable(shown)!r} has a symbol this alphabet lacks: {printable(piece)!r} (position {at + 1}). "
            f"It knows {self.describe()}. Use those, or train on a list that has it."
        )


def split_symbols(line: str, kind: str) -> list[str]:
    """A line's symbols, in order; joined again (by spaces for words) they are the line."""
    if kind == "characters":
        return list(line)
    if kind == "graphemes":
        return regex.findall(r"\X", line)
    if kind == "words":
        return line.split(" ")
    return [chr(byte) for byte in line.encode()]


def sign(symbol: str) -> str:
    """A symbol as a label: white space and control characters have a sign, and a bare mark a circle to sit on."""
    if symbol == " ":
        return "␣"
    if len(symbol) == 1 and ord(symbol) < 32:
        return chr(0x2400 + ord(symbol))
    return f"◌{symbol}" if symbol and unicodedata.combining(symbol[0]) else printable(symbol)


def _bytes_in(blocks: Iterable[bytes]) -> set[int]:
    known = b"\n"
    for block in blocks:
        fresh = set(block.translate(None, known))
        known += bytes(fresh)
    return set(known) - {NEWLINE}

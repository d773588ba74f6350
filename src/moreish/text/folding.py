"""What symbols are, and text without what readers overlook: case, accents, punctuation and spaces.

`José-María`, `JOSE MARIA` and `jose maria` fold to the same. Each symbol folds for itself, by Unicode's compatibility
decomposition and full case folding (Unicode Standard 3.13); so a table does it for a block at a time, and a line of a
hundred thousand marks takes no longer than any other.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np

from moreish.text.hashing import block_codes, text_hashes
from moreish.text.lines import NEWLINE, line_starts

STROKES = {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t", "ƀ": "b", "ɨ": "i", "ı": "i"}
"""Letters with a stroke, which Unicode does not take apart."""
HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs"}
PLAIN_SPACES = " \u3000"
BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Letters, marks and patterns that show nothing, though their category does not say so."""
JOINERS = "\u200c\u200d"
"""Hidden, but Persian, the scripts of India and emoji are written with them."""
REPLACEMENT = "\ufffd"
CONTROL_NAMES = {
    0: "NULL", 7: "BELL", 8: "BACKSPACE", 9: "TAB", 11: "VERTICAL TAB", 12: "FORM FEED", 13: "CARRIAGE RETURN",
    26: "SUBSTITUTE", 27: "ESCAPE", 28: "FILE SEPARATOR", 29: "GROUP SEPARATOR", 30: "RECORD SEPARATOR",
    31: "UNIT SEPARATOR", 127: "DELETE", 133: "NEXT LINE",
}  # fmt: skip
_UNKNOWN = 255


def folded_hashes(block: bytes, hashes: np.ndarray) -> np.ndarray:
    """Hashes of a block's lines as folded: equal for look-alikes, uint64 [lines].

    A line of nothing but punctuation keeps its own of `hashes`; so do all lines where folding changes nothing.
    """
    if block.isascii():
        table, dropped = _ascii_tables()
        folded = block.translate(table, dropped)
        if folded == block:
            return hashes
        codes, starts = block_codes(folded)
    else:
        codes = _folds().apply(np.frombuffer(block.decode().encode("utf-32-le"), dtype="<u4"))
        starts = line_starts(codes)
    return np.where(np.diff(starts) > 1, text_hashes(codes, starts), hashes)


def fold_symbol(symbol: str) -> str:
    """What is left of a symbol: nothing of accents, punctuation, spaces and what cannot be seen."""
    if symbol == "\n":
        return symbol
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", symbol).casefold())
    return "".join(STROKES.get(piece, piece) for piece in text if not _is_overlooked(piece))


def _is_overlooked(symbol: str) -> bool:
    category, order = unicodedata.category(symbol), unicodedata.combining(symbol)
    if category == "Mn":
        # Accents, and the points of Hebrew and Arabic. The marks that make another letter (the vowels of India and
        # Thailand, the voicing of kana) have other combining classes, and stay.
        return order >= 200 or 10 <= order <= 36 or order == 1 or symbol in BLANKS or "VARIATION" in symbol_name(symbol)
    return category in ("Me", "Cc", "Cf", "Sk") or category[0] in "PZ" or symbol in BLANKS


def is_hidden(symbol: str) -> bool:
    """Whether a reader cannot see this symbol, or not tell it from a space: controls, joiners, odd spaces, blanks."""
    return symbol in BLANKS or (unicodedata.category(symbol) in HIDDEN and symbol not in PLAIN_SPACES)


def symbol_name(symbol: str) -> str:
    """Its Unicode name, or for those without one what it is."""
    point = ord(symbol)
    kind = "PRIVATE USE" if unicodedata.category(symbol) == "Co" else "CONTROL"
    return unicodedata.name(symbol, CONTROL_NAMES.get(point, f"{kind}-{point:04X}"))


@cache
def white_space() -> np.ndarray:
    """Which code points of a line are white space, by code point; the last entry, false, is for all from there on."""
    return np.array([chr(point).isspace() and point != NEWLINE for point in range(0x3002)])


class _Folds:
    """Every code point's folded symbols, filled in as they are met.

    Shapes: size uint8 and start uint32 [code points]; code point c folds to flat[start[c] : start[c] + size[c]].
    """

    def __init__(self) -> None:
        self.size = np.full(0x110000, _UNKNOWN, dtype=np.uint8)
        self.start = np.zeros(0x110000, dtype=np.uint32)
        self.flat = np.zeros(0, dtype=np.uint32)

    def apply(self, codes: np.ndarray) -> np.ndarray:
        size = self.size[codes]
        unknown = codes[size == _UNKNOWN]
        if len(unknown):
            self._learn(np.unique(unknown).tolist())
            size = self.size[codes]
        if int(size.max(initial=0)) <= 1:
            return self.flat[self.start[codes[size > 0]]]
        ends = np.cumsum(size, dtype=np.int64)
        return self.flat[np.repeat(self.start[codes] - (ends - size), size) + np.arange(ends[-1])]

    def _learn(self, points: list[int]) -> None:
        folded = [fold_symbol(chr(point)) for point in points]
        sizes = [len(text) for text in folded]
        self.size[points] = sizes
        self.start[points] = len(self.flat) + np.cumsum(sizes) - sizes
        more = np.frombuffer("".join(folded).encode("utf-32-le"), dtype="<u4")
        self.flat = np.concatenate([self.flat, more])


_folds = cache(_Folds)


@cache
def _ascii_tables() -> tuple[bytes, bytes]:
    """For bytes.translate: each ASCII byte in lower case, and the bytes to leave out."""
    table = bytes(range(256)).lower()
    return table, bytes(point for point in range(128) if not fold_symbol(chr(point)))

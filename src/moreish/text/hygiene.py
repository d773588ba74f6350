"""The doctor for lists: what is wrong with a list, before a model learns it.

One pass over the text, 8 to 16 bytes kept for each line, and the text of the first million different lines: ten
million lines take about 300 MiB. What is counted is exact (up to a 64-bit hash); examples come from the text kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from moreish.errors import ListError
from moreish.randomness import shuffled
from moreish.text.alphabet import printable
from moreish.text.folding import JOINERS, REPLACEMENT, is_hidden, symbol_name
from moreish.text.lines import Lines
from moreish.text.reading import ReadOptions, ReadReport, blocks
from moreish.text.tally import EXAMPLES, Tally
from moreish.text.typos import Typos, probable_typos

RARE_TIMES = 3
RARE_FROM_LINES = 1_000
"""In a list of so many lines, a symbol seen so few times is too rare to learn anything of."""
TYPO_SHARE = 0.05
"""Where more of the long lines are one edit from another, that is the nature of the list."""
_GATHERED = 1 << 20
JOINED_EMOJI = {*map(chr, range(0x1F1E6, 0x1F200)), *map(chr, range(0x1F3FB, 0x1F400))}
"""The letters of flags and the tones of skin: parts of an emoji that mean nothing alone."""


@dataclass(frozen=True)
class OddSymbol:
    """A symbol that cannot be seen, how often it stands in the list, and its Unicode code and name."""

    symbol: str
    code: str
    name: str
    count: int


@dataclass(frozen=True)
class Hygiene:
    """What the doctor says of a list. Lengths are in symbols (code points), shares from 0 to 1."""

    name: str
    lines: int
    unique_lines: int
    duplicate_lines: int
    """Lines that repeat an earlier one: lines - unique_lines."""
    most_repeated: dict[str, int]
    """A few lines that stand more than once, with their counts, among the first million different ones."""
    look_alikes: int
    """Unique lines equal to an earlier one but for case, accents, punctuation and spaces."""
    look_alike_examples: list[list[str]]
    probable_typos: int | None
    """Pairs of unique lines of eight or more symbols, one edit apart; None where it was not looked for."""
    probable_typos_reason: str | None
    """Why probable_typos is None."""
    probable_typo_examples: list[list[str]]
    near_share: float | None
    """The share of the unique lines of eight or more symbols that are in such a pair."""
    longest: int
    shortest: int
    mean_length: float
    lengths: dict[int, int]
    """Lines of each length."""
    symbols: dict[str, int]
    """How often each symbol stands in the list, the most common first."""
    rare_symbols: dict[str, int]
    """Those too rare to learn anything of, in lists of a thousand lines or more."""
    control_symbols: list[OddSymbol]
    """Symbols that cannot be seen, or not told from a space."""
    white_space_lines: int
    """Lines that begin or end with white space."""
    leak: dict[str, float]
    """The share of the lectures' dev and test lines (random.seed(42), shuffle, 80/10/10) that also stand in train."""
    reading: dict[str, Any] = field(default_factory=dict)
    """What the reader met: bytes, blank lines, a byte order mark, and the like; empty for lines that were at hand."""
    warnings: list[str] = field(default_factory=list)
    """One sentence for each fault: what it is and what to do."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: everything, under the same names."""
        return asdict(self)


def inspect(source: str | os.PathLike[str], options: ReadOptions | None = None) -> Hygiene:
    """Examine a list: a path, `-` for standard input, or the name of a bundled list. Reads it once.

    Raises:
        ListError: the list cannot be read.
    """
    report = ReadReport()
    found = _examine(blocks(source, options or ReadOptions(), report), read=True)
    met = asdict(report)
    name, said = met.pop("name"), met.pop("warnings")
    del met["lines"]
    return replace(found, name=name, reading=met, warnings=[*said, *found.warnings])


def inspect_lines(lines: Lines, name: str = "list") -> Hygiene:
    """Examine lines that are at hand, as `inspect` does.

    Raises:
        ListError: there are none.
    """
    if not len(lines):
        raise ListError(f"{name} has no lines. Give a list with one thing per line.")
    return replace(_examine(lines.blocks(), read=False), name=name)


def _examine(text: Iterable[bytes], read: bool) -> Hygiene:
    """All but the name; `read` says that the reader warns of what it meets itself."""
    tally = Tally()
    for block in text:
        tally.add(block)
    lines, kept = tally.lines, tally.kept
    hashes = np.frombuffer(tally.hashes, dtype=np.uint64)
    folded = np.frombuffer(tally.folded, dtype=np.uint64) if tally.folded else hashes
    ordered = np.sort(hashes)
    unique = _distinct(ordered)
    most_repeated = kept.most_repeated(ordered) if unique < lines else {}
    if folded is not hashes:
        ordered[:] = folded
        ordered.sort()
    look_alikes = unique - _distinct(ordered)
    del ordered, folded
    tally.folded.clear()
    leak = lecture_leak(hashes) if unique < lines else {"dev": 0.0, "test": 0.0}
    del hashes
    tally.hashes.clear()

    texts = kept.lines
    typos = None if kept.full else probable_typos(texts, limit=1 << 16)
    pairs = typos.pairs[:EXAMPLES].tolist() if typos else []
    lengths, symbols = tally.lengths(), tally.symbols()
    few = lines >= RARE_FROM_LINES
    found = Hygiene(
        name="", lines=lines, unique_lines=unique, duplicate_lines=lines - unique, most_repeated=most_repeated,
        look_alikes=look_alikes, look_alike_examples=kept.look_alikes() if look_alikes else [],
        probable_typos=typos.count if typos else None, probable_typos_reason=kept.full,
        probable_typo_examples=[[texts[i], texts[j]] for i, j in pairs],
        near_share=(typos.near / typos.long if typos.long else 0.0) if typos else None,
        longest=max(lengths), shortest=min(lengths), mean_length=sum(n * k for n, k in lengths.items()) / lines,
        lengths=lengths, symbols=symbols,
        rare_symbols={symbol: n for symbol, n in symbols.items() if n <= RARE_TIMES and few},
        control_symbols=[
            OddSymbol(symbol, f"U+{ord(symbol):04X}", symbol_name(symbol), n)
            for symbol, n in symbols.items() if is_hidden(symbol)
        ],
        white_space_lines=tally.white_space_lines, leak=leak,
    )  # fmt: skip
    return replace(found, warnings=_warnings(found, typos, read))


def _distinct(ordered: np.ndarray) -> int:
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def lecture_leak(hashes: np.ndarray) -> dict[str, float]:
    """How much of the lectures' dev and test also stands in their train, for lines of these hashes (uint64 [lines]).

    The split: `random.seed(42); random.shuffle(lines)`, cut at 80 % and 90 %.
    """
    count = len(hashes)
    order = shuffled(count, 42)
    one, two = int(0.8 * count), int(0.9 * count)

    def part(begin: int, end: int) -> np.ndarray:
        gathered = np.empty(end - begin, dtype=np.uint64)
        for at in range(begin, end, _GATHERED):  # numpy makes 8-byte indices of these: not of all at once
            stop = min(at + _GATHERED, end)
            gathered[at - begin : stop - begin] = hashes[order[at:stop]]
        gathered.sort()
        return gathered

    train = part(0, one)
    shares = {}
    for name, begin, end in (("dev", one, two), ("test", two, count)):
        asked = part(begin, end)
        at = np.searchsorted(train, asked)
        at[at == len(train)] = 0
        known = train[at] == asked if len(train) else np.zeros(len(asked), dtype=bool)
        shares[name] = float(known.mean()) if len(asked) else 0.0
    return shares


def _warnings(found: Hygiene, typos: Typos | None, read: bool) -> list[str]:
    """A sentence or two for each fault. Where the lines were `read`, the reader has told of some symbols already."""
    said = []
    if found.duplicate_lines:
        share = _percent(found.duplicate_lines / found.lines)
        said.append(
            f"{found.duplicate_lines:,} of {found.lines:,} lines ({share}) repeat an earlier one: split by line, "
            f"{_percent(found.leak['dev'])} of dev and {_percent(found.leak['test'])} of test would also be in train. "
            "Keep --split unique, the default."
        )
    if found.look_alikes:
        differ = _many(found.look_alikes, "line differs", "lines differ")
        said.append(
            f"{differ} from another only in case, accents, punctuation or spaces, such as "
            f"{_quoted(found.look_alike_examples)}. Spell them one way if they are the same thing."
        )
    if typos and 0 < typos.near <= max(2, TYPO_SHARE * typos.long) and typos.near < typos.long:
        apart = _many(typos.count, "pair of long lines is", "pairs of long lines are")
        said.append(
            f"{apart} one edit apart, such as {_quoted(found.probable_typo_examples)}. Look whether one is a slip."
        )
    hidden = [odd for odd in found.control_symbols if odd.symbol not in JOINERS]
    if read:
        hidden = [odd for odd in hidden if odd.symbol == "\t" or odd.symbol >= " "]
    if hidden:
        names = [f"{odd.name} ({odd.code}, {_many(odd.count, 'time', 'times')})" for odd in hidden[:EXAMPLES]]
        said.append(
            f"{_many(len(hidden), 'symbol', 'symbols')} cannot be seen, or not told from a space: {', '.join(names)}"
            f"{', ...' if len(hidden) > EXAMPLES else ''}. Take them out unless they are meant."
        )
    if REPLACEMENT in found.symbols and not read:
        times = _many(found.symbols[REPLACEMENT], "time", "times")
        said.append(
            f"U+FFFD, the mark of a failed conversion, stands in it {times}. Go back to the list it comes from."
        )
    if any(symbol in JOINED_EMOJI for symbol in found.symbols):
        said.append(
            "Some emoji in it are several code points that belong together. Use --symbols graphemes to keep them whole."
        )
    if found.white_space_lines:
        begin = _many(found.white_space_lines, "line begins or ends", "lines begin or end")
        said.append(f"{begin} with white space, which a model learns as any symbol. Trim them unless it is meant.")
    return said


def _many(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _quoted(examples: list[list[str]]) -> str:
    if not examples:
        return "some after the first million different lines"
    pair = (printable(text if len(text) <= 40 else text[:37] + "...") for text in examples[0][:2])
    return " and ".join(f"'{text}'" for text in pair)

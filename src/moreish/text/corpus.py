"""A list, read and split: train to learn from, dev to choose by, test to look at seldom.

Splits are by unique item unless asked otherwise: a line that stands twice would else be learnt in train and met again
in test. The lectures split all lines and so leak 12 % of names.txt; that split is offered too, and labelled.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from moreish.errors import ListError, UsageError
from moreish.randomness import shuffled
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import KINDS, Alphabet, Kind
from moreish.text.hashing import first_occurrences, line_hashes
from moreish.text.hygiene import Hygiene, inspect_lines
from moreish.text.lines import Lines
from moreish.text.reading import ReadOptions, ReadReport, blocks

Split = Literal["unique", "lecture", "none"]
SPLITS: tuple[str, ...] = get_args(Split)
SPLIT_SEED = 42
FEW_LINES = 200
"""With fewer unique lines than this, a tenth of them says little: k folds take turns instead."""
MOST_FOLDS = 10

LEAK_NOTES = {
    "unique": "",
    "lecture": "this split leaks: lines that stand twice in the list can be in train and in dev or test",
    "none": "nothing is held out: the figures are on the training lines themselves",
}
ELSEWHERE_NOTE = "these weights were learnt elsewhere, by another split: lines held out here can be among those learnt"


@dataclass(frozen=True)
class Corpus:
    """A list in parts, with what it is made of.

    `train`, `dev`, `test` are empty where the split has no such part. Where `kfold` is true the list is too short to
    hold any of it out: `train` is every unique line, and `folds()` gives the parts that take turns.
    `fingerprint` is the sha256 of the clean text, so that the same list is known again. `elsewhere`: the weights in use
    were learnt from this list by another program, whose split is not ours.
    """

    name: str
    train: Lines
    dev: Lines
    test: Lines
    alphabet: Alphabet
    fingerprint: str
    split: Split = "unique"
    split_seed: int = SPLIT_SEED
    kfold: bool = False
    report: ReadReport | None = None
    elsewhere: bool = False

    @classmethod
    def read(
        cls,
        source: str | os.PathLike[str],
        *,
        split: Split = "unique",
        split_seed: int = SPLIT_SEED,
        symbols: Kind = "characters",
        options: ReadOptions | None = None,
    ) -> Corpus:
        """Read a list: a path, `-` for standard input, or the name of a bundled list.

        With `split="none"` the text of a file is not held: each use streams over it again.

        Raises:
            ListError: the list cannot be read.
            UsageError: an unknown split or kind of symbol.
        """
        _check_choices(split, symbols, split_seed)
        options = options or ReadOptions()
        report = ReadReport()
        alphabet = None
        if split == "none" and str(source) != "-":
            # One reading fills the report and finds the symbols.
            alphabet = Alphabet.of(Lines(reread=lambda: blocks(source, options, report)), symbols)
            lines = Lines(reread=lambda: _same_again(source, options, report), count=report.lines)
        else:
            lines = Lines.load(blocks(source, options, report))
        return cls.of(
            lines, name=report.name, split=split, split_seed=split_seed, symbols=symbols, report=report,
            fingerprint=report.sha256, alphabet=alphabet,
        )  # fmt: skip

    @classmethod
    def of(
        cls,
        lines: Lines | Iterable[str],
        *,
        name: str = "list",
        split: Split = "unique",
        split_seed: int = SPLIT_SEED,
        symbols: Kind = "characters",
        report: ReadReport | None = None,
        fingerprint: str | None = None,
        alphabet: Alphabet | None = None,
    ) -> Corpus:
        """Split lines that are at hand already. `report`, `fingerprint` and `alphabet` are theirs, where known.

        Raises:
            ListError: there are no lines, an empty one, or too few for the split.
            UsageError: an unknown split or kind of symbol.
        """
        _check_choices(split, symbols, split_seed)
        if not isinstance(lines, Lines):
            lines = _checked_lines(lines, name)
        if not len(lines):
            raise ListError(f"{name} has no lines. Give a list with one thing per line.")
        train, dev, test, kfold = split_lines(lines, split, split_seed, name)
        return cls(
            name=name, train=train, dev=dev, test=test, alphabet=alphabet or Alphabet.of(lines, symbols),
            fingerprint=fingerprint or _fingerprint(lines), split=split, split_seed=split_seed, kfold=kfold,
            report=report,
        )  # fmt: skip

    @property
    def leaks(self) -> bool:
        """Whether a figure on dev or test may rest on lines that were learnt."""
        return self.elsewhere or self.split != "unique"

    @property
    def note(self) -> str:
        """What must be said beside every figure from this split; empty where there is nothing to say."""
        return ELSEWHERE_NOTE if self.elsewhere and self.split != "none" else LEAK_NOTES[self.split]

    def part(self, name: str) -> Lines:
        """The lines of `train`, `dev` or `test`.

        Raises:
            UsageError: there is no such part, or the split left it empty.
        """
        if name not in ("train", "dev", "test"):
            raise UsageError(f"no part is called {name!r}. There are: train, dev, test.")
        if self.split == "none":
            return self.train
        lines: Lines = getattr(self, name)
        if not len(lines):
            raise UsageError(f"{self.name} has no {name} part: {len(self.train):,} lines take turns as k folds.")
        return lines

    @cached_property
    def lines(self) -> Lines:
        """Every line the run knows, part after part: what *new* is measured against."""
        if self.split == "none":
            return self.train
        return Lines(np.concatenate([self.train.data, self.dev.data, self.test.data]))

    @cached_property
    def longest(self) -> int:
        """Symbols in the longest line."""
        longest = 0
        for lines in (self.train, self.dev, self.test):
            for ids in self.alphabet.encode_blocks(lines.blocks()):
                ends = np.flatnonzero(ids == BOUNDARY)
                longest = max(longest, int(np.diff(ends, prepend=-1).max()) - 1)
        return longest

    @cached_property
    def unique_train(self) -> Lines:
        """The training lines, each once, in the order of their first occurrences."""
        if self.split == "unique":
            return self.train
        return self.train.take(first_occurrences(line_hashes(self.train)))

    @cached_property
    def hygiene(self) -> Hygiene:
        """What the doctor for lists says of these lines (of the unique ones, where the split keeps only those)."""
        return inspect_lines(self.lines, name=self.name)

    def folds(self) -> list[tuple[Lines, Lines]]:
        """(learn from, hold out) for each fold; empty unless `kfold`, and for a list with one unique line."""
        count = len(self.train)
        if not self.kfold or count < 2:
            return []
        k = min(MOST_FOLDS, count)
        turn = np.arange(count) % k  # train is in shuffled order already
        held_out = [turn == i for i in range(k)]
        return [(self.train.take(np.flatnonzero(~out)), self.train.take(np.flatnonzero(out))) for out in held_out]


def split_lines(lines: Lines, split: Split, seed: int, name: str = "list") -> tuple[Lines, Lines, Lines, bool]:
    """(train, dev, test, kfold) of a list.

    `unique`: first occurrences in file order, `random.Random(seed).shuffle`, 80/10/10.
    `lecture`: `random.seed(42); random.shuffle(words)` over all lines, 80/10/10, exactly as the lectures do.
    `none`: all lines are train.
    """
    nothing = Lines(np.zeros(0, np.uint8))
    if split == "none":
        return lines, nothing, nothing, False
    if split == "lecture":
        order = shuffled(len(lines), 42)
    else:
        first = first_occurrences(line_hashes(lines)).astype(np.uint32)  # 4 bytes, as `shuffled`: ten million lines
        order = first[shuffled(len(first), seed)]
        del first
        if len(order) < FEW_LINES:
            return lines.take(order), nothing, nothing, True
    one, two = int(0.8 * len(order)), int(0.9 * len(order))
    if not 0 < one < two < len(order):
        raise ListError(
            f"{name} has {len(order)} lines, and the lecture's split of them leaves a part empty. "
            f"Use --split unique, which takes folds in turn, or give at least 10 lines."
        )
    return lines.take(order[:one]), lines.take(order[one:two]), lines.take(order[two:]), False


def _same_again(source: str | os.PathLike[str], options: ReadOptions, first: ReadReport):
    again = ReadReport()
    yield from blocks(source, options, again)
    if again.sha256 != first.sha256:
        raise ListError(f"{first.name} changed while it was in use. Let it rest and run the command again.")


def _checked_lines(lines: Iterable[str], name: str) -> Lines:
    if isinstance(lines, (str, bytes)):
        raise ListError(f"{lines!r:.60} is one text, not lines. Give a list of them, or read a file with Corpus.read.")
    kept = list(lines)
    for i, line in enumerate(kept, start=1):
        if not isinstance(line, str) or not line or "\n" in line or not _is_unicode(line):
            raise ListError(
                f"{name}, item {i}: {line!r:.60} is not a line of text. Give non-empty str without newlines "
                f"and half surrogate pairs."
            )
    return Lines.of(kept)


def _is_unicode(line: str) -> bool:
    return line.isascii() or not any("\ud800" <= c <= "\udfff" for c in line)  # half a surrogate pair has no bytes


def _fingerprint(lines: Lines) -> str:
    digest = hashlib.sha256()
    for block in lines.blocks():
        digest.update(block)
    return digest.hexdigest()


def _check_choices(split: str, symbols: str, seed: int) -> None:
    if split not in SPLITS:
        raise UsageError(f"no split is called {split!r}. There are: {', '.join(SPLITS)}.")
    if symbols not in KINDS:
        raise UsageError(f"no kind of symbol is called {symbols!r}. There are: {', '.join(KINDS)}.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UsageError(f"split_seed={seed!r} is not a whole number from 0 to 2**63 - 1. Use one, such as 42.")

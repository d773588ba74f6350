"""Counting n-grams through the real reader, beside the lectures' loop over a dictionary."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from moreish import Corpus, fit
from moreish.models.counts import count_grams
from moreish.models.ngram import NGram
from timing import MB, Measured, clock, in_turn, memory_now, memory_peak, rates

LOOP_SYMBOLS = 2_500_000
"""The loop counts so much of the text; its time grows with the symbols, so its rate is that of the whole."""


def count_bigrams(path: str) -> NGram:
    """The bigram model as the command line makes it."""
    model = fit(Corpus.read(path, split="none"), "bigram", smoothing="none").model
    assert isinstance(model, NGram)
    return model


def count_five(path: str) -> Any:
    corpus = Corpus.read(path, split="none")
    return count_grams(corpus.train, corpus.alphabet, 5)


def bigram_loop(path: str) -> dict[tuple[str, ...], int]:
    """As in the lecture: makemore part 1, "the spelled-out intro to language modeling"."""
    with Path(path).open(encoding="utf-8") as file:
        words = file.read(LOOP_SYMBOLS).splitlines()
    b: dict[tuple[str, ...], int] = {}
    for w in words:
        chs = ["<S>", *list(w), "<E>"]
        for ch1, ch2 in zip(chs, chs[1:]):  # noqa: RUF007
            bigram = (ch1, ch2)
            b[bigram] = b.get(bigram, 0) + 1
    return b


def five_loop(path: str) -> dict[tuple[str, ...], int]:
    """The same over five symbols."""
    with Path(path).open(encoding="utf-8") as file:
        words = file.read(LOOP_SYMBOLS).splitlines()
    b: dict[tuple[str, ...], int] = {}
    for w in words:
        chs = ["<S>", "<S>", "<S>", "<S>", *list(w), "<E>"]
        for gram in zip(chs, chs[1:], chs[2:], chs[3:], chs[4:]):
            b[gram] = b.get(gram, 0) + 1
    return b


def bigrams(lists: dict[str, str]) -> Measured:
    """Million symbols a second, an end of line counted as one."""
    (path,) = lists.values()
    corpus = Corpus.read(path, split="none")
    symbols = int(count_grams(corpus.train, corpus.alphabet, 2).counts.sum())
    looped = sum(bigram_loop(path).values())
    ours, loop = in_turn(lambda: count_bigrams(path), lambda: bigram_loop(path), repeats=7)
    note = f"{symbols / MB:.1f} M symbols; the loop counts {looped / MB:.1f} M of them"
    return Measured(rates(symbols / MB, ours), rates(looped / MB, loop), note, clock=clock(ours))


def five_grams(lists: dict[str, str]) -> Measured:
    """As `bigrams`, over five symbols."""
    (path,) = lists.values()
    grams = count_five(path)
    symbols = int(grams.counts.sum())
    note = f"{symbols / MB:.1f} M symbols, an alphabet of {grams.symbols:,}, {len(grams.counts):,} different 5-grams"
    del grams
    looped = sum(five_loop(path).values())
    ours, loop = in_turn(lambda: count_five(path), lambda: five_loop(path))
    return Measured(rates(symbols / MB, ours), rates(looped / MB, loop), note, clock=clock(ours))


def bigrams_memory(lists: dict[str, str]) -> Measured:
    """MB beyond the process with torch loaded; the tables are the model's."""
    (path,) = lists.values()
    before = _before()
    model = count_bigrams(path)
    return _memory(before, sum(table.nbytes for table in model.buffers()))


def five_grams_memory(lists: dict[str, str]) -> Measured:
    """MB beyond the process with torch loaded; the tables are the n-grams with their counts."""
    (path,) = lists.values()
    before = _before()
    grams = count_five(path)
    return _memory(before, grams.rows.nbytes + grams.counts.nbytes)


def _before() -> int:
    assert "torch" in sys.modules and torch.zeros(1).sum() == 0
    return memory_now()


def _memory(before: int, tables: int) -> Measured:
    peak = memory_peak() - before
    return Measured([peak / MB], note=f"tables of {tables / MB:.1f} MB", at_most=2.5 * tables / MB + 200)

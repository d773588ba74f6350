"""The rows of the table: what is measured, on which list, and what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LOOP = "the lectures' dictionary loop"
OF_NAMES = ("names", "names-100MB", "names-10M", "different-10M", "full-names-1M")
"""The lists that are names.txt, or are made from it."""
LECTURE_SAMPLER = "the lectures' loop, one symbol at a time"


@dataclass(frozen=True)
class Row:
    """One figure.

    `measure` is `module:function` of this folder, given `lists` by name; `figure` one of several that it takes at once.
    `at_least` and `at_most` bound `of`: our own figure, or its ratio to the reference. With neither the row is for
    information, and nothing is asked of it.
    """

    id: str
    what: str
    measure: str
    unit: str
    lists: tuple[str, ...] = ()
    figure: str = ""
    reference: str = ""
    of: Literal["ours", "ratio"] = "ours"
    at_least: float | None = None
    at_most: float | None = None
    limit_follows: bool = False
    """Whether `at_most` follows from what is measured."""


def _memory(id: str, what: str, measure: str, made: str) -> Row:
    what = f"{what}: peak memory beyond the process with torch loaded, at most 2.5 times the tables + 200 MB"
    return Row(id, what, measure, "MB", (made,), limit_follows=True)


ROWS = (
    Row(
        "help", "moreish --help, the whole process", "starting:help_page", "s",
        reference="a process that imports typer and rich", of="ratio", at_most=2.2,
    ),
    Row(
        "count-bigrams-100MB", "names.txt over and over, read and counted as bigrams", "counting:bigrams",
        "M symbols/s", ("names-100MB",), reference=LOOP, of="ratio", at_least=40,
    ),
    _memory(
        "count-bigrams-100MB-memory", "names.txt over and over, bigrams", "counting:bigrams_memory", "names-100MB"
    ),
    Row(
        "count-5gram-100MB", "names.txt over and over, read and counted as 5-grams", "counting:five_grams",
        "M symbols/s", ("names-100MB",), reference=f"{LOOP} over 5 symbols", at_least=25,
    ),
    _memory(
        "count-5gram-100MB-memory", "names.txt over and over, 5-grams", "counting:five_grams_memory", "names-100MB"
    ),
    Row(
        "count-5gram-32-symbols", "5-grams of made text: 31 letters, each drawn by the two before, 2.2 nats a letter",
        "counting:five_grams", "M symbols/s", ("markov-100MB",), reference=f"{LOOP} over 5 symbols", at_least=10,
    ),
    _memory("count-5gram-32-symbols-memory", "the same", "counting:five_grams_memory", "markov-100MB"),
    Row(
        "count-5gram-32-uniform", "5-grams of made text: 31 letters, all alike, so most of 33.6 M 5-grams are there",
        "counting:five_grams", "M symbols/s", ("uniform-100MB",), reference=f"{LOOP} over 5 symbols", at_least=10,
    ),
    Row(
        "count-5gram-3000-symbols", "5-grams of made text: half the lines Cyrillic, half CJK", "counting:five_grams",
        "M symbols/s", ("symbols-3000-100MB",), reference=f"{LOOP} over 5 symbols", at_least=1,
    ),
    _memory("count-5gram-3000-symbols-memory", "the same", "counting:five_grams_memory", "symbols-3000-100MB"),
    Row(
        "inspect-10M-repeated", "moreish inspect, 10 million lines: names.txt over and over", "inspecting:inspect", "s",
        ("names-10M",), "seconds", at_most=20,
    ),
    Row(
        "inspect-10M-repeated-memory", "the same: peak memory", "inspecting:inspect", "MiB", ("names-10M",), "memory",
        at_most=450,
    ),
    Row(
        "inspect-10M-different", "moreish inspect, 10 million lines, all different", "inspecting:inspect", "s",
        ("different-10M",), "seconds", at_most=20,
    ),
    Row(
        "inspect-10M-different-memory", "the same: peak memory", "inspecting:inspect", "MiB", ("different-10M",),
        "memory", at_most=450,
    ),
    Row(
        "read-10M", "Corpus.read with its split, 10 million lines, all different", "inspecting:read", "s",
        ("different-10M",), "seconds", at_most=60,
    ),
    Row(
        "read-10M-memory", "the same: peak memory", "inspecting:read", "MiB", ("different-10M",), "memory", at_most=450
    ),
    Row("typos-names", "all probable typos of names.txt", "inspecting:typos", "s", ("names",)),
    Row("typos-1M", "all probable typos of a million full names", "inspecting:typos", "s", ("full-names-1M",)),
    Row(
        "fit-5gram", "names.txt, Kneser-Ney 5-gram: from the opened file to the dev loss", "fitting:five_gram",
        "core-seconds", ("names",), at_most=0.5,
    ),
    Row(
        "score-5gram", "5 million symbols scored by it", "scoring:five_gram", "M symbols/s", ("names",),
        reference="the lectures' loop over the bigram's table", at_least=20,
    ),
    Row(
        "sample-5gram", "lines drawn from it and decoded, 10,000 at once", "sampling:drawn", "lines/s", ("names",),
        reference=LECTURE_SAMPLER, at_least=200_000,
    ),
    Row(
        "sample-5gram-origins", "the same, each line with its origin", "sampling:with_origins", "lines/s", ("names",),
        reference=LECTURE_SAMPLER, at_least=100_000,
    ),
    Row(
        "sample-3000-symbols", "lines drawn from a 5-gram of 200,000 made lines, half Cyrillic, half CJK",
        "sampling:drawn_of_many_symbols", "lines/s", ("symbols-3000-lines", "names"), reference=LECTURE_SAMPLER,
        at_least=100_000,
    ),
    Row(
        "kenlm", "KenLM on our ARPA file, 1,000 lines: a line's largest difference", "exchanging:kenlm", "nats",
        ("names",), at_most=1e-4,
    ),
)  # fmt: skip

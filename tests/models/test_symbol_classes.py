"""Classes of symbols: what a move gains, recomputed in full; vowels are found though nothing says what they are."""

from __future__ import annotations

import random

import numpy as np
import pytest

from moreish.models.symbol_classes import learn_classes
from moreish.text.corpus import Corpus

chooser = random.Random(2)
SYLLABLES = [a + b for a in "bdklmnt" for b in "aeiou"]
WORDS = ["".join(chooser.choices(SYLLABLES, k=chooser.randint(1, 4))) for _ in range(400)]


def pairs_of(words: list[str]) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    symbols = {c: i + 1 for i, c in enumerate(sorted(set("".join(words))))}
    text = np.array([0, *(i for word in words for i in [*(symbols[c] for c in word), 0])])
    return text[:-1], text[1:], symbols


def likelihood(tokens: np.ndarray, targets: np.ndarray, classes: np.ndarray) -> float:
    """Of the classes' bigrams, by their definition: the sum over pairs of log N(g, h) / (N(g) N(h))."""
    table = np.zeros((classes.max() + 1,) * 2)
    np.add.at(table, (classes[tokens], classes[targets]), 1)
    first, second = table.sum(1), table.sum(0)
    g, h = classes[tokens], classes[targets]
    return float(np.log(table[g, h] / first[g] / second[h]).sum())


def test_vowels_and_consonants_are_told_apart():
    tokens, targets, symbols = pairs_of(WORDS)
    classes = learn_classes(tokens, targets, len(symbols) + 1, 2)
    assert classes[0] == 0
    assert len({classes[symbols[c]] for c in "aeiou"}) == 1 and len({classes[symbols[c]] for c in "bdklmnt"}) == 1
    assert classes[symbols["a"]] != classes[symbols["b"]]


@pytest.mark.parametrize("many", [2, 3, 5])
def test_no_single_move_would_gain(many):
    tokens, targets, symbols = pairs_of(WORDS[:60])
    classes = learn_classes(tokens, targets, len(symbols) + 1, many)
    best = likelihood(tokens, targets, classes)
    for symbol in range(1, len(classes)):
        for other in range(1, many + 1):
            moved = classes.copy()
            moved[symbol] = other
            assert likelihood(tokens, targets, moved) <= best + 1e-6


def test_names_have_their_vowels_in_one_of_six(names):
    corpus = Corpus.read(names)
    ids = corpus.alphabet.encode_lines(corpus.train).astype(np.int64)
    classes = learn_classes(ids[:-1], ids[1:], len(corpus.alphabet), 6)
    of = {c: classes[i + 1] for i, c in enumerate(corpus.alphabet.symbols)}
    assert len({of[c] for c in "aeiou"}) == 1 and sum(of[c] == of["a"] for c in of) <= 6


@pytest.mark.parametrize("words", [["a"], [""], ["aa", "a"], ["ab"]])
def test_the_shortest_lists_have_classes(words):
    tokens, targets, symbols = pairs_of(words)
    classes = learn_classes(tokens, targets, len(symbols) + 1, 1)
    assert classes[0] == 0 and (classes[1:] == 1).all()

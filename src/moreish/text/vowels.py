"""Which letters of a list are vowels, found by nothing but which letters stand side by side.

Sukhotin's algorithm (1962; Guy 1991, Vowel identification: an old, but good, algorithm, Cryptologia 15:3): vowels and
consonants like to alternate, so the letter with the most neighbours is a vowel; whoever stands beside it is the less
likely to be one; and so on, until no letter has more consonants than vowels beside it.
"""

from __future__ import annotations

import unicodedata

import numpy as np

from moreish.text.lines import Lines


def base_letter(character: str) -> str:
    """A letter in lower case and without its accents, for whether it is a vowel; "" for what is no letter."""
    folded = unicodedata.normalize("NFD", character.casefold())[:1]
    return folded if folded.isalpha() else ""


def find_vowels(lines: Lines) -> frozenset[str]:
    """The vowels of a list, as base letters; fewer than two kinds of letters have none."""
    codes, _ = lines.codepoints()
    distinct, at = np.unique(codes, return_inverse=True)
    letters = [base_letter(chr(code)) for code in distinct.tolist()]
    names = sorted(set(letters) - {""})
    if len(names) < 2:
        return frozenset()
    number = {letter: i for i, letter in enumerate(names)}
    which = np.array([number.get(letter, -1) for letter in letters])[at.reshape(-1)]
    first, second = which[:-1], which[1:]
    beside = (first >= 0) & (second >= 0) & (first != second)
    counts = np.bincount(first[beside] * len(names) + second[beside], minlength=len(names) ** 2)
    pairs = counts.reshape(len(names), -1)
    pairs = pairs + pairs.T
    sums = pairs.sum(1)
    is_vowel = np.zeros(len(names), bool)
    while True:
        best = int(np.where(is_vowel, -1, sums).argmax())
        if is_vowel[best] or sums[best] <= 0:
            return frozenset(letter for letter, vowel in zip(names, is_vowel) if vowel)
        is_vowel[best] = True
        sums = sums - 2 * pairs[best]

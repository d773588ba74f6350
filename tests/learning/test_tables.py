"""The bigram's table of counts against a dictionary's, as in the lecture."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import pairwise

import pytest

from moreish.errors import UsageError
from moreish.learning.fit import fit
from moreish.learning.tables import MOST_SHOWN, bigram_table
from moreish.runs.directory import load
from moreish.runs.recording import save
from moreish.text.alphabet import split_symbols
from moreish.text.corpus import Corpus

chooser = random.Random(2)
LISTS = {
    "letters": ["".join(chooser.choices("abcdé", k=chooser.randint(1, 6))) for _ in range(250)],
    "few": ["ana", "bob", "aa"],
    "one": ["a"],
    "odd": ["a b", "[red]", "\x1b[31m", "e\u0301", "日本", ". .", "<s>"],
}


def by_hand(lines, kind: str) -> Counter:
    pairs = Counter()
    for line in lines:
        symbols = ["", *split_symbols(line, kind), ""]
        pairs.update(pairwise(symbols))
    return pairs


@pytest.mark.parametrize("kind", ["characters", "graphemes", "words", "bytes"])
@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("asked", [("bigram", {}), ("bigram", {"smoothing": "none"}), ("ngram", {"order": 2})])
def test_the_table_is_what_a_dictionary_counts(name, kind, asked):
    model, settings = asked
    trained = fit(Corpus.of(LISTS[name], symbols=kind, split="none"), model, **settings)
    table = bigram_table(trained)
    pairs = by_hand(LISTS[name], kind)
    labels = ["", *trained.alphabet.symbols]
    assert table.symbols == ["·", *trained.alphabet.symbols]
    for before, row in zip(labels, table.counts):
        for after, count in zip(labels, row):
            expected = pairs[before, after]
            if kind == "words" and "" in labels[1:]:
                continue  # an empty word and the boundary are alike to the dictionary
            assert count == expected, (before, after)
    assert table.pairs == sum(pairs.values()) and table.pairs_possible == len(labels) ** 2
    assert table.pairs_seen == sum(count > 0 for row in table.counts for count in row)
    json.dumps(table.to_dict(), allow_nan=False)


def test_the_published_figures(names):
    table = bigram_table(fit(Corpus.read(names, split="none"), "bigram", smoothing="none"))
    assert (table.pairs_seen, table.pairs_possible, table.pairs, table.left_out) == (627, 729, 228_146, 0)
    assert table.counts[0][1] == 4410 and table.counts[1][0] == 6640  # lines that begin and that end with `a`


def test_a_loaded_run_has_the_same_table(tmp_path):
    trained = fit(Corpus.of(LISTS["letters"]), "bigram")
    save(trained, tmp_path / "run", keep_list=False)
    assert bigram_table(load(tmp_path / "run")) == bigram_table(trained)


def test_of_many_symbols_the_most_frequent_are_shown():
    lines = [chr(0x4E00 + i) * (1 + i % 7) for i in range(100)]
    table = bigram_table(fit(Corpus.of(lines, split="none"), "bigram"))
    labels, counts = table.shown()
    assert len(labels) == len(counts) == MOST_SHOWN + 1 and all(len(row) == len(labels) for row in counts)
    assert table.left_out == 100 - MOST_SHOWN and labels[0] == "·"
    often = Counter("".join(lines))
    assert min(often[label] for label in labels[1:]) >= max(often[s] for s in table.symbols[1:] if s not in labels)
    where = [table.symbols.index(label) for label in labels]
    assert where == sorted(where) and counts == [[table.counts[i][j] for j in where] for i in where]


@pytest.mark.parametrize(("model", "settings"), [
    ("uniform", {}), ("unigram", {}), ("ngram", {"order": 3}), ("ngram", {"order": 1}), ("one-layer", {"steps": 1}),
])  # fmt: skip
def test_other_models_have_no_such_table(model, settings):
    with pytest.raises(UsageError, match=model):
        bigram_table(fit(Corpus.of(LISTS["letters"]), model, **settings))


def test_a_table_too_large_to_write_out_is_refused():
    lines = [chr(0x4E00 + i) for i in range(5_001)]
    with pytest.raises(UsageError, match="too large"):
        bigram_table(fit(Corpus.of(lines, split="none"), "bigram"))

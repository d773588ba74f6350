"""Distances, edits and the classifier behind `quality`, held against brute force, hand counts and published figures."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from moreish.generating.novelty import Novelty
from moreish.generating.quality import nearest, two_sample
from moreish.generating.quality.coded import Coded, shared_alphabet
from moreish.generating.quality.distances import (
    gram_distance,
    jensen_shannon,
    length_distance,
    predicted,
    repeated,
    total_variation,
)
from moreish.generating.quality.nearest import affordable, edits_to_nearest
from moreish.generating.quality.two_sample import told_apart
from moreish.learning.intervals import t_quantile
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines

LISTS = st.lists(st.text("abé", min_size=1, max_size=5), min_size=1, max_size=12)


def coded(*lists: list[str]) -> list[Coded]:
    """Lists over one alphabet."""
    lines = [Lines.of(each) for each in lists]
    alphabet = shared_alphabet("characters", *lines)
    return [Coded.of(each, alphabet) for each in lines]


def padded_grams(lines: list[str]) -> Counter[str]:
    return Counter(f".{line}."[i : i + 3] for line in lines for i in range(len(line)))


@pytest.mark.parametrize(
    ("a", "b", "variation", "divergence"),
    [
        ([1, 1], [5, 5], 0, 0),
        ([1, 0], [0, 7], 1, 1),
        ([1, 1], [1, 0], 1 / 2, 3 / 4 * math.log2(4 / 3)),  # m = (3/4, 1/4), by hand
        ([3, 1, 0], [1, 1, 2], 1 / 2, None),
    ],
)
def test_distances_by_hand(a, b, variation, divergence):
    a, b = np.array(a), np.array(b)
    assert total_variation(a, b) == pytest.approx(variation) == total_variation(b, a)
    if divergence is not None:
        assert jensen_shannon(a, b) == pytest.approx(divergence) == jensen_shannon(b, a)


@settings(max_examples=30)
@given(LISTS, LISTS)
def test_grams_and_lengths_are_those_of_padded_strings(first, second):
    a, b = coded(first, second)
    keys = sorted(set(padded_grams(first)) | set(padded_grams(second)))
    counts = [np.array([padded_grams(lines)[key] for key in keys]) for lines in (first, second)]
    assert gram_distance(a, b) == pytest.approx(jensen_shannon(*counts), abs=1e-12)
    assert a.lengths.tolist() == [len(line) for line in first] and a.line.tolist() == [
        i for i, line in enumerate(first) for _ in line
    ]
    shares = [Counter(map(len, lines)) for lines in (first, second)]
    apart = sum(abs(shares[0][n] / len(first) - shares[1][n] / len(second)) for n in range(6)) / 2
    assert length_distance(a, b) == pytest.approx(apart)
    for count in (1, 2, 5):
        sets = a.sets(count, 3)
        assert [part.lines.texts() for part in sets] == [
            first[i : i + count] for i in range(0, min(3, len(first) // count) * count, count)
        ]
        assert all(part.lengths.tolist() == [len(line) for line in part.lines] for part in sets)


def test_an_interval_says_where_one_more_comes_to_lie():
    """Of a normal distribution, five values at a time, 95 % of sixth values are inside."""
    draws = np.random.default_rng(0).normal(0.5, 0.01, (4_000, 6))
    found = [predicted(list(row[:5])) for row in draws]
    inside = np.mean([each.low <= row[5] <= each.high for each, row in zip(found, draws)])
    assert 0.94 < inside < 0.96
    assert math.isnan(predicted([0.1, 0.2, 0.3]).low) and predicted([0.1, 0.2, 0.3]).value == pytest.approx(0.2)
    # From any table of Student's t.
    assert [t_quantile(n) for n in (3, 7, 30)] == pytest.approx([3.182, 2.365, 2.042], rel=0.01)


def test_real_dev_names_come_to_the_published_figures(names):
    """3,203 dev lines of the lectures' split: .868 new, .990 distinct, lengths .023, 3-grams .0918 bits apart."""
    corpus = Corpus.read(names, split="lecture")
    alphabet = shared_alphabet("characters", corpus.train, corpus.dev)
    train, dev = Coded.of(corpus.train, alphabet), Coded.of(corpus.dev, alphabet)
    known = set(corpus.train)
    assert np.mean([line not in known for line in corpus.dev]) == pytest.approx(0.868, abs=5e-4)
    assert len(set(corpus.dev)) / len(corpus.dev) == pytest.approx(0.990, abs=5e-4)
    sets = train.sets(len(dev), 20)
    assert len(dev) == 3203 and len(sets) == 8
    for distance, published in ((length_distance, 0.023), (gram_distance, 0.0918)):
        interval = repeated(distance, [dev], sets)
        assert interval.low < published < interval.high


@settings(max_examples=30)
@given(LISTS, LISTS)
def test_edits_are_those_of_brute_force(known, texts):
    train = Lines.of(known)
    expected = [min(Levenshtein.distance(text, line) for line in known) for text in texts if text not in known]
    assert edits_to_nearest(Novelty(train), Lines.of(texts)).tolist() == expected


def test_fewer_lines_are_asked_of_long_lists():
    short, long = Lines.of(["ab"] * 1000), Lines.of(["a" * 900] * 4000)
    assert affordable(short) == nearest.MOST_ASKED
    assert nearest.FEWEST_ASKED == affordable(long) < nearest.MOST_ASKED


def lines_like(count: int, seed: int, symbols: str = "abcd") -> list[str]:
    generator = np.random.default_rng(seed)
    return ["".join(generator.choice(list(symbols), size=generator.integers(2, 8))) for _ in range(count)]


@pytest.mark.parametrize(
    ("made", "least", "most"),
    [
        (lines_like(300, 1), 0.42, 0.58),  # the same kind: five standard deviations about a half are .10
        (lines_like(300, 1, "abce"), 0.75, 1.0),  # a symbol that real lines do not have, but not in every line
        ([line * 3 for line in lines_like(300, 1)], 0.9, 1.0),  # far too long
        (["abab"] * 300, 0.95, 1.0),  # always one line
    ],
    ids=["alike", "another symbol", "longer", "collapsed"],
)
def test_a_classifier_tells_what_differs(made, least, most):
    right, of = told_apart(*coded(made, lines_like(300, 2)))
    assert of == 600 and least <= right / of <= most


def test_a_few_lines_are_told_apart_all_the_same():
    assert told_apart(*coded(["aa"] * 6, ["b"] * 6)) == (12, 12)


def test_the_classifier_is_at_its_minimum():
    """The gradient of the penalised loss, written out over a dense matrix, is nothing."""
    design = two_sample._design(*coded(lines_like(40, 1), lines_like(40, 2)))
    dense = np.zeros((80, design.width))
    for row in range(80):
        for column in design.columns[design.starts[row] : design.starts[row + 1]]:
            dense[row, column] += 1
    labels = np.repeat([1.0, 0.0], 40)
    weights = two_sample._learn(design, labels)
    share = 1 / (1 + np.exp(-dense @ weights))
    assert np.abs(dense.T @ (share - labels) + two_sample.PENALTY * weights).max() < 1e-2
    assert np.abs(dense.T @ (0.5 - labels)).max() > 5  # where it began
    rows = np.array([3, 70, 4])
    assert np.allclose(design.take(rows).times(weights), dense[rows] @ weights)

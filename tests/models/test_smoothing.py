"""Smoothed probabilities against dictionaries (slow_ngram), every context by every symbol, to 1e-12."""

import itertools
import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from moreish.errors import ConfigError
from moreish.models import ngram as ngram_module
from moreish.models.counts import count_grams
from moreish.models.ngram import NGram, NGramConfig
from moreish.models.smoothing import discounts, parse_smoothing
from moreish.text.alphabet import Alphabet
from moreish.text.lines import Lines
from quick import checked_before
from slow_ngram import SlowNGram

SMOOTHINGS = ["none", "add-1", "add-0.01", "witten-bell", "kneser-ney"]
TOLERANCE = 1e-12


def random_list(letters: str, lines: int, longest: int, seed: int, weights=None) -> list[str]:
    chooser = random.Random(seed)
    return ["".join(chooser.choices(letters, weights, k=chooser.randint(1, longest))) for _ in range(lines)]


ENGLISH = ["ab", "ab", "abba", "baba", "cab", "abc", "cabba", "bacca", "ca", "ba", "abab"]
LISTS = {
    "few": random_list("abc", 6, 4, 1),
    "some": random_list("abc", 30, 6, 2),
    "skewed": random_list("abc", 200, 7, 3, [20, 3, 1]),
    "many, all discounts defined": random_list("abc", 900, 9, 4, [5, 3, 2]),
    "like words": ENGLISH,
    "two symbols": random_list("ab", 40, 8, 5),
    "one line": ["abcab"],
    "one symbol once": ["a"],
    "one symbol": ["a", "aa", "aaaa"],
    "one line, repeated": ["abc"] * 50,
    "two lines, repeated": ["ab"] * 7 + ["ba"] * 7,
    "all different by one": ["a", "b", "c"],
    "nothing once": ["ab", "ab", "cb", "cb", "ab", "ab", "cb", "cb"],
}


def fitted(texts: list[str], order: int, smoothing: str) -> tuple[NGram, list[list[int]]]:
    alphabet = Alphabet.of(Lines.of(texts))
    config = NGramConfig(symbols=len(alphabet), order=order, smoothing=smoothing)
    return NGram.fit(config, count_grams(Lines.of(texts), alphabet, order)), [alphabet.encode(t) for t in texts]


def histories(symbols: int, longest: int) -> list[tuple[int, ...]]:
    """Everything that can be read, up to a length: every context of a model among it."""
    return [h for size in range(longest + 1) for h in itertools.product(range(1, symbols), repeat=size)]


def distributions(model: NGram, read: list[tuple[int, ...]]) -> np.ndarray:
    """What follows each history: probabilities [len(read) V]."""
    out = np.zeros((len(read), model.config.symbols))
    for size, rows in itertools.groupby(range(len(read)), key=lambda i: len(read[i])):
        rows = list(rows)
        tokens = torch.tensor([[0, *read[i]] for i in rows]).reshape(len(rows), size + 1)
        out[rows] = model(tokens, model.begin(len(rows)))[0][:, -1].exp().numpy()
    return out


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("name", LISTS)
def test_every_context_by_every_symbol_is_as_the_dictionaries_say(name, smoothing, monkeypatch):
    symbols = len(set("".join(LISTS[name]))) + 1
    for order in range(1, 8 if symbols <= 3 else 6):
        model, ids = fitted(LISTS[name], order, smoothing)
        slow = SlowNGram(ids, symbols, order, smoothing)
        read = histories(symbols, min(order, 5 if symbols > 3 else 7))
        expected = np.array([[slow.probability(symbol, h) for symbol in range(symbols)] for h in read])
        assert np.abs(expected.sum(1) - 1).max() < TOLERANCE, "the oracle itself"
        for cells in (1 << 23, 0):  # tables written out, then looked up edge by edge
            monkeypatch.setattr(ngram_module, "DENSE_CELLS", cells)
            with nullcontext() if order <= 2 else checked_before():
                found = distributions(model, read)
            assert np.abs(found - expected).max() < TOLERANCE, (order, cells)


@pytest.mark.parametrize("seed", range(12))
def test_random_lists_are_as_the_dictionaries_say(seed):
    chooser = random.Random(seed)
    letters, order = "abcd"[: chooser.randint(1, 4)], chooser.randint(1, 4)
    texts = random_list(letters, chooser.randint(1, 60), chooser.randint(1, 8), seed)
    for smoothing in SMOOTHINGS:
        model, ids = fitted(texts, order, smoothing)
        symbols = model.config.symbols
        slow = SlowNGram(ids, symbols, order, smoothing)
        read = histories(symbols, order)
        expected = np.array([[slow.probability(symbol, h) for symbol in range(symbols)] for h in read])
        assert np.abs(distributions(model, read) - expected).max() < TOLERANCE


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("smoothing", [s for s in SMOOTHINGS if s != "none"])
@pytest.mark.parametrize("name", LISTS)
def test_a_smoothed_model_gives_every_symbol_something_everywhere(name, smoothing, order):
    model, _ = fitted(LISTS[name], order, smoothing)
    rows = distributions(model, histories(model.config.symbols, 3))
    assert (rows > 0).all() and np.abs(rows.sum(1) - 1).max() < TOLERANCE


def test_discounts_are_chen_and_goodmans_where_they_are_defined():
    # 100 n-grams once, 40 twice, 20 three times, 10 four times: Y = 100 / 180.
    amounts = np.repeat([1, 2, 3, 4, 9], [100, 40, 20, 10, 5])
    y = 100 / 180
    expected = (1 - 2 * y * 40 / 100, 2 - 3 * y * 20 / 40, 3 - 4 * y * 10 / 20)
    assert discounts(amounts) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("counts_of_counts", [*itertools.product([0, 1, 7], repeat=4), (1, 50, 1, 50)])
def test_discounts_always_leave_something_and_take_something(counts_of_counts):
    amounts = np.repeat([1, 2, 3, 4], counts_of_counts)
    for k, discount in enumerate(discounts(amounts), start=1):
        assert 0 < discount < k


@pytest.mark.parametrize(
    "text, parsed",
    [
        ("none", ("none", 0.0)),
        ("witten-bell", ("witten-bell", 0.0)),
        ("kneser-ney", ("kneser-ney", 0.0)),
        ("add-1", ("add", 1.0)),
        ("add-0.1", ("add", 0.1)),
        ("add-.5", ("add", 0.5)),
        ("add-2.", ("add", 2.0)),
        ("add-1e-3", ("add", 0.001)),
        ("add-1e-12", ("add", 1e-12)),
        ("add-1e12", ("add", 1e12)),
    ],
)
def test_smoothings_are_read_from_their_names(text, parsed):
    assert parse_smoothing(text) == parsed


REFUSED = [
    "", "add", "add-", "add-0", "add--1", "add-1e-13", "add-1e13", "add-1e999", "add-inf", "add-nan", "add-K",
    "add-1_0", "add-١", "add-1 ", " none", "None", "NONE", "laplace", "kneser ney", "add-1\n", "add-0x1",
    "add-1e+2", None, 1, 0.5, True, ["none"], "a" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text)[:20])
def test_smoothings_that_there_are_not_are_refused_in_one_line(text, types_unchecked):
    with pytest.raises(ConfigError, match="kneser-ney") as error:
        parse_smoothing(text)
    assert len(str(error.value)) < 250 and "\n" not in str(error.value)


@pytest.mark.parametrize("smoothing", ["add-1e-12", "add-1e12"])
def test_the_smallest_and_largest_additions_still_sum_to_one(smoothing):
    model, _ = fitted(LISTS["some"], 3, smoothing)
    rows = distributions(model, histories(4, 3))
    assert (rows > 0).all() and np.abs(rows.sum(1) - 1).max() < TOLERANCE

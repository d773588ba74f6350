"""Whole lines: their scores, where they are cut, what a seed and a prefix decide."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch

from moreish.errors import AlphabetError, Impossible, UsageError
from moreish.generating import draws as draws_module
from moreish.generating.draws import make_draw
from moreish.generating.sampler import Drawn, default_max_length, draw_lines
from moreish.learning.fit import fit
from moreish.learning.score import score
from moreish.models import ngram as ngram_module
from moreish.models.catalog import MODELS
from moreish.models.ngram import NGram
from moreish.text.alphabet import KINDS
from moreish.text.corpus import Corpus

TEXTS = ["emma", "olivia", "ava", "mia", "amelia", "ella", "mila", "éva", "new york", "york", "ana", "ada"]


@functools.cache
def network_on(name: str, symbols: str):
    return fit(Corpus.of(TEXTS, symbols=symbols), name, steps=30)


def trained_on(name: str, symbols: str = "characters", **asked):
    if MODELS[name].learns_by_gradient:  # once each; counting is done anew, for its tables are of the test's kind
        return network_on(name, symbols)
    return fit(Corpus.of(TEXTS, symbols=symbols), name, **asked)


def first(trained, count: int = 200, settings=(), **how) -> Drawn:
    how = {"max_length": 12, "seed": 3, "at_once": count} | how
    return next(draw_lines(trained.model, trained.alphabet, draw=make_draw(trained.model, *settings), **how))


SPARSE = [name for name, entry in MODELS.items() if issubclass(entry.model, NGram)]
"""Models of which it depends on DENSE_CELLS what is drawn from: nothing else reads it."""


@pytest.fixture(params=["dense", "sparse"])
def cells(request, monkeypatch):
    if request.param == "sparse":
        monkeypatch.setattr(ngram_module, "DENSE_CELLS", 0)


def of_each(test):
    """For every model of the catalog; with sparse tables too where a model may have them."""
    kinds = [(name, kind) for kind in ("dense", "sparse") for name in (MODELS if kind == "dense" else SPARSE)]
    return pytest.mark.parametrize("name, cells", kinds, indirect=["cells"])(test)


@pytest.mark.parametrize("settings", [(), (0.5, None, None), (1.0, 3, None), (2.0, None, 0.9)], ids=str)
@of_each
def test_a_lines_nats_are_its_score_whatever_the_settings(name, settings, cells):
    trained = trained_on(name)
    drawn = first(trained, 60, settings)
    assert len(drawn.texts) == 60 and (name == "uniform" or not drawn.cut.all())
    for text, nats, cut, said in zip(drawn.texts, drawn.nats, drawn.cut, score(trained, drawn.texts)):
        expected = sum(part for _, part in said.symbols[:-1]) if cut else said.nats
        assert nats == pytest.approx(expected, abs=1e-9 if MODELS[name].model is NGram else 1e-4)
        assert len(text) == 12 if cut else len(text) <= 12


@pytest.mark.parametrize("symbols", KINDS)
@pytest.mark.parametrize("name", ["ngram", "one-layer"])
def test_lines_of_any_kind_of_symbol_are_text_of_the_alphabet(name, symbols):
    trained = trained_on(name, symbols)
    for text in first(trained).texts:
        assert isinstance(text, str) and "\n" not in text
        if symbols != "bytes":  # bytes may break off inside a character
            assert len(trained.alphabet.encode(text) if text else []) <= 12


@pytest.mark.parametrize("longest", [1, 2, 3, 5])
@of_each
def test_a_line_that_had_not_ended_is_cut_and_says_so(name, longest, cells):
    drawn = first(trained_on(name), 500, max_length=longest)
    lengths = np.array([len(text) for text in drawn.texts])
    assert lengths.max() == longest and drawn.cut.any()
    assert (lengths[drawn.cut] == longest).all()
    if name != "uniform":
        assert ((lengths == longest) & ~drawn.cut).any() or longest < 3, "a line may end just there, uncut"


def test_the_share_of_cut_lines_is_what_the_model_gives_to_longer_ones():
    trained = trained_on("bigram")
    drawn = first(trained, 20_000, max_length=2, at_once=20_000)
    ends = 0.0
    for length in range(3):
        lines = list(itertools.product(range(1, len(trained.alphabet)), repeat=length))
        tokens = torch.tensor(lines, dtype=torch.long).reshape(len(lines), length)
        edge = torch.zeros(len(lines), 1, dtype=torch.long)
        nats = trained.model.target_nats(
            torch.cat([edge, tokens], 1), torch.cat([tokens, edge], 1), trained.model.begin(len(lines))
        )
        ends += nats.sum(1).neg().exp().sum().item()
    share = drawn.cut.mean()
    assert len(drawn.cut) == 10_000, "no more at once than memory is meant for"
    assert abs(share - (1 - ends)) < 5 * math.sqrt(ends * (1 - ends) / 10_000)


@of_each
@pytest.mark.parametrize("prefix", ["e", "em", "new york", "éé", "vvv"])
def test_a_prefix_begins_every_line_and_its_nats_count(name, prefix, cells):
    trained = trained_on(name)
    drawn = first(trained, 50, prefix=prefix)
    assert all(text.startswith(prefix) for text in drawn.texts)
    for nats, cut, said in zip(drawn.nats, drawn.cut, score(trained, drawn.texts)):
        assert nats == pytest.approx(sum(p for _, p in (said.symbols[:-1] if cut else said.symbols)), abs=1e-4)


def test_an_impossible_prefix_is_said_to_be_impossible():
    with pytest.raises(Impossible, match="no line can begin with 'vv'"):
        first(trained_on("ngram", order=3, smoothing="none"), 20, prefix="vv")


PREFIXES = [
    ("x", AlphabetError, "'x'"),
    ("e\n", AlphabetError, r"\\x0a"),
    ("\x00", AlphabetError, r"\\x00"),
    ("a\ud800", AlphabetError, r"\\ud800"),
    ("·", AlphabetError, "·"),
    ("a" * 12, UsageError, "prefix has 12 symbols"),
    ("a" * 1_000_000, UsageError, "prefix has 1000000 symbols"),
]


@pytest.mark.parametrize("prefix, error, words", PREFIXES, ids=lambda x: ascii(x)[:12])
@pytest.mark.parametrize("name", MODELS)
def test_a_prefix_that_no_line_can_begin_with_is_refused(name, prefix, error, words):
    with pytest.raises(error, match=words) as caught:
        first(trained_on(name), prefix=prefix)
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


@pytest.mark.parametrize("value", [0, -1, True, 2.5, "9", None, math.nan, 1_000_001, 10**12])
def test_lengths_that_cannot_be_are_refused(value, types_unchecked):
    with pytest.raises(UsageError, match="max_length="):
        first(trained_on("bigram"), max_length=value)


@of_each
def test_a_seed_decides_the_lines_and_the_next_batch_differs(name, cells):
    trained = trained_on(name)
    one, two, other = first(trained), first(trained), first(trained, seed=4)
    assert one.texts == two.texts and np.array_equal(one.nats, two.nats)
    assert one.texts != other.texts
    batches = draw_lines(trained.model, trained.alphabet, max_length=12, seed=3, at_once=200)
    assert next(batches).texts == one.texts and next(batches).texts != one.texts


def test_drawing_takes_no_number_from_the_global_randomness_and_leaves_gradients_on():
    trained = trained_on("one-layer")
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    for _ in itertools.islice(draw_lines(trained.model, trained.alphabet, max_length=5), 2):
        assert torch.is_grad_enabled()
    assert torch.equal(torch.rand(2), expected) and torch.is_grad_enabled()


def test_batches_shrink_where_a_model_needs_the_memory(monkeypatch):
    monkeypatch.setattr(draws_module, "CELLS_AT_ONCE", 100)
    trained = trained_on("one-layer")
    assert len(first(trained, 200).texts) == 100 // len(trained.alphabet)
    monkeypatch.setattr(draws_module, "CELLS_AT_ONCE", 1)
    assert len(first(trained, 200).texts) == 1


@pytest.mark.parametrize("longest, expected", [(0, 1), (1, 2), (15, 30), (500, 1000), (501, 1000), (10**6, 1000)])
def test_the_default_length_is_twice_the_longest_and_at_most_a_thousand(longest, expected):
    assert default_max_length(longest) == expected


@pytest.mark.parametrize("smoothing", ["none", "add-1", "witten-bell", "kneser-ney"])
@pytest.mark.parametrize("texts", [["a"], ["a", "aa"], ["ab"] * 30, ["名"]])
def test_lists_of_next_to_nothing_can_be_drawn_from(texts, smoothing, cells):
    corpus = Corpus.of(texts)
    trained = fit(corpus, "ngram", order=4, smoothing=smoothing)
    drawn = first(trained, 100)
    assert len(drawn.texts) == 100 and np.isfinite(drawn.nats).all() and (drawn.nats >= -1e-12).all()
    if smoothing == "none":
        assert set(drawn.texts) <= set(texts) or texts == ["a", "aa"]

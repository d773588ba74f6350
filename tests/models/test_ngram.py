"""The automaton: its states are the longest seen suffixes, and every way of reading its tables gives the same."""

import itertools
import random

import numpy as np
import pytest
import torch

from moreish.errors import ConfigError
from moreish.models import ngram as ngram_module
from moreish.models.counts import count_grams
from moreish.models.model import config_from_dict, config_to_dict, select
from moreish.models.ngram import BigramConfig, NGram, NGramConfig, UnigramConfig
from moreish.text.alphabet import Alphabet
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines
from slow_ngram import START, SlowNGram

SMOOTHINGS = ["none", "add-0.5", "witten-bell", "kneser-ney"]
random.seed(11)
TEXTS = ["".join(random.choices("abcd", [9, 4, 2, 1], k=random.randint(1, 8))) for _ in range(70)]


def fitted(order: int, smoothing: str = "kneser-ney", texts: list[str] = TEXTS) -> NGram:
    alphabet = Alphabet.of(Lines.of(texts))
    config = NGramConfig(symbols=len(alphabet), order=order, smoothing=smoothing)
    return NGram.fit(config, count_grams(Lines.of(texts), alphabet, order))


def lines_to_read(symbols: int, rows: int = 40, length: int = 9) -> torch.Tensor:
    inside = torch.randint(1, symbols, (rows, length), generator=torch.Generator().manual_seed(1))
    return torch.cat([torch.zeros(rows, 1, dtype=torch.long), inside], 1)


@pytest.fixture(params=["dense", "sparse"])
def cells(request, monkeypatch):
    if request.param == "sparse":
        monkeypatch.setattr(ngram_module, "DENSE_CELLS", 0)


@pytest.mark.parametrize("order", [1, 2, 3, 5, 7])
def test_the_state_after_reading_is_the_longest_suffix_that_was_seen(order, cells):
    model = fitted(order)
    alphabet = Alphabet.of(Lines.of(TEXTS))
    slow = SlowNGram([alphabet.encode(text) for text in TEXTS], 5, order, "none")
    read = [list(itertools.product(range(1, 5), repeat=size)) for size in range(5)]
    for histories in [*read, [tuple(row) for row in lines_to_read(5)[:, 1:].tolist()]]:
        tokens = torch.tensor([[0, *history] for history in histories])
        state = model.begin(len(tokens))
        for t in range(tokens.shape[1]):
            state = model.look_up(state, tokens[:, t])[1]
        assert torch.equal(model(tokens, model.begin(len(tokens)))[1], state)
        for history, reached in zip(histories, state.tolist()):
            expected = [0 if symbol == START else symbol for symbol in slow.longest_seen(history)]
            assert model.context_symbols(reached) == expected


def test_states_are_the_contexts_that_were_seen_each_once():
    for order in (1, 2, 3, 5):
        model = fitted(order)
        alphabet = Alphabet.of(Lines.of(TEXTS))
        slow = SlowNGram([alphabet.encode(text) for text in TEXTS], 5, order, "none")
        ours = [tuple(model.context_symbols(state)) for state in range(model.config.states)]
        assert len(set(ours)) == len(ours)
        assert set(ours) == {tuple(0 if s == START else s for s in context) for context in slow.after}
        assert model.depths().tolist() == [len(context) for context in ours]
        seen = [gram for gram in slow.counts if len(gram) > 1]
        assert model.config.edges == 5 + len(seen)
        counted = {(ours[s], int(x)): int(n) for s, x, n in zip(model._owners(), model.edge_symbols, model.edge_counts)}
        for gram in seen:
            assert counted[tuple(0 if s == START else s for s in gram[:-1]), gram[-1]] == slow.counts[gram]


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_dense_and_sparse_reading_agree(order, smoothing, monkeypatch):
    model, tokens = fitted(order, smoothing), lines_to_read(5)
    targets = torch.cat([tokens[:, 1:], torch.zeros(len(tokens), 1, dtype=torch.long)], 1)
    strange = torch.randint(0, 5, targets.shape, generator=torch.Generator().manual_seed(2))
    every = torch.arange(model.config.states, dtype=torch.int32)
    seen = []
    for cells in (1 << 23, 0):
        monkeypatch.setattr(ngram_module, "DENSE_CELLS", cells)
        assert model.is_dense == bool(cells)
        logits, state = model(tokens, model.begin(len(tokens)))
        looked_up = [model.look_up(every, torch.full_like(every, symbol)) for symbol in range(5)]
        seen.append([
            logits.exp(), state, model.rows(every).exp(),
            model.target_nats(tokens, targets, model.begin(len(tokens))).neg().exp(),
            model.target_nats(tokens, strange, model.begin(len(tokens))).neg().exp(),
            torch.stack([p for p, _ in looked_up], 1).exp(), torch.stack([s for _, s in looked_up], 1),
        ])  # fmt: skip
    for dense, sparse in zip(*seen):
        assert dense.dtype == sparse.dtype
        assert torch.allclose(dense.double(), sparse.double(), rtol=0, atol=1e-14)
    logits, _, rows, nats, strange_nats, p, _ = seen[0]
    assert torch.equal(rows, p)
    assert torch.allclose(nats, logits.gather(2, targets[..., None])[..., 0], rtol=0, atol=1e-15)
    assert torch.allclose(strange_nats, logits.gather(2, strange[..., None])[..., 0], rtol=0, atol=1e-15)
    assert (rows.sum(1) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_leading_boundaries_collapse_into_one_start(order, cells):
    model, tokens = fitted(order), lines_to_read(5)
    padded = torch.cat([torch.zeros(len(tokens), 4, dtype=torch.long), tokens], 1)
    one, two = (model(t, model.begin(len(t))) for t in (tokens, padded))
    assert torch.equal(one[0], two[0][:, 4:]) and torch.equal(one[1], two[1])


def test_reading_nothing_leaves_the_state(cells):
    model = fitted(3)
    state = model(lines_to_read(5), model.begin(40))[1]
    nothing = torch.zeros(40, 0, dtype=torch.long)
    logits, after = model(nothing, state)
    assert logits.shape == (40, 0, 5) and torch.equal(after, state)
    assert model.target_nats(nothing, nothing, state).shape == (40, 0)
    assert select(state, torch.tensor([3, 3])).tolist() == [int(state[3])] * 2


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
def test_tokens_of_any_whole_type_are_read_alike(dtype, cells):
    model, tokens = fitted(4), lines_to_read(5)
    expected = model(tokens, model.begin(40))[0]
    assert torch.equal(model(tokens.to(dtype), model.begin(40))[0], expected)
    nats = model.target_nats(tokens.to(dtype)[:, :-1], tokens.to(dtype)[:, 1:], model.begin(40))
    assert torch.allclose(nats, -expected[:, :-1].gather(2, tokens[:, 1:, None])[..., 0])


def test_a_word_list_of_thousands_of_symbols_is_sparse_and_still_sums_to_one():
    words = [f"w{i}" for i in range(3000)]
    chooser = random.Random(5)
    texts = [" ".join(chooser.choices(words, k=chooser.randint(1, 5))) for _ in range(3000)]
    corpus = Corpus.of(texts, symbols="words", split="none")
    config = NGramConfig(symbols=len(corpus.alphabet), order=3)
    model = NGram.fit(config, count_grams(corpus.train, corpus.alphabet, 3))
    assert not model.is_dense
    states = torch.randint(0, model.config.states, (50,), generator=torch.Generator().manual_seed(3), dtype=torch.int32)
    rows = model.rows(states).exp()
    assert (rows.sum(1) - 1).abs().max() < 1e-10 and (rows > 0).all()
    looked_up = [model.look_up(states, torch.full_like(states, symbol))[0] for symbol in (0, 1, 7, 2800)]
    assert torch.allclose(torch.stack(looked_up, 1).exp(), rows[:, [0, 1, 7, 2800]], rtol=1e-12, atol=0)


@pytest.mark.parametrize("order", [9, 20, 64])
def test_orders_beyond_the_longest_line_are_as_the_longest_that_there_is(order):
    longest = max(map(len, TEXTS)) + 2
    assert np.isclose(
        float(fitted(order, "witten-bell").target_nats(lines_to_read(5), lines_to_read(5), torch.ones(40).int()).sum()),
        float(
            fitted(longest, "witten-bell").target_nats(lines_to_read(5), lines_to_read(5), torch.ones(40).int()).sum()
        ),
    )


def test_weights_and_config_make_the_same_model_again():
    for smoothing in SMOOTHINGS:
        model = fitted(4, smoothing)
        again = NGram(config_from_dict(NGramConfig, config_to_dict(model.config)))
        again.load_state_dict(model.state_dict())
        again.check_tables()
        assert torch.equal(model(lines_to_read(5), model.begin(40))[0], again(lines_to_read(5), again.begin(40))[0])


def test_tables_written_out_before_do_not_outlive_the_loading_of_others(cells):
    model, other = fitted(4), fitted(4)
    expected = model(lines_to_read(5), model.begin(40))[0]
    other.edge_log_probs.mul_(2)
    assert not torch.allclose(other(lines_to_read(5), other.begin(40))[0], expected)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(lines_to_read(5), other.begin(40))[0], expected)
    assert other.to(torch.float32)(lines_to_read(5), other.begin(40))[0].dtype == torch.float32


def test_a_fresh_model_is_uniform():
    for order in (1, 2, 5):
        model = NGram(NGramConfig(symbols=5, order=order))
        model.check_tables()
        assert torch.allclose(model(lines_to_read(5), model.begin(40))[0].exp(), torch.tensor(0.2).double())


SPOILT = {
    "row_starts": lambda t: t.flip(0),
    "suffix": lambda t: t + 1,
    "edge_next": lambda t: t + 10_000,
    "edge_symbols": lambda t: t.flip(0),
    "oldest": lambda t: t - 1,
    "edge_log_probs": lambda t: torch.where(torch.arange(len(t)) == 9, torch.nan, t),
    "log_backoff": lambda t: t + 1.0,
}


@pytest.mark.parametrize("name", SPOILT)
def test_tables_that_no_fitting_gives_are_refused(name):
    model = fitted(3)
    model.check_tables()
    model.load_state_dict(model.state_dict() | {name: SPOILT[name](getattr(model, name))})
    with pytest.raises(ConfigError, match=name):
        model.check_tables()


CONFIGS = [
    (NGramConfig, {"symbols": 0}, "symbols=0"),
    (NGramConfig, {"symbols": 10**9}, "symbols=1000000000"),
    (NGramConfig, {"symbols": True}, "symbols=True"),
    (NGramConfig, {"symbols": 5.0}, "symbols=5.0"),
    (NGramConfig, {"symbols": "5"}, "symbols='5'"),
    (NGramConfig, {"symbols": 5, "order": 0}, "order=0"),
    (NGramConfig, {"symbols": 5, "order": 65}, "order=65"),
    (NGramConfig, {"symbols": 5, "order": True}, "order=True"),
    (NGramConfig, {"symbols": 5, "order": None}, "order=None"),
    (NGramConfig, {"symbols": 5, "smoothing": "good-turing"}, "good-turing"),
    (NGramConfig, {"symbols": 5, "states": 0}, "states=0"),
    (NGramConfig, {"symbols": 5, "states": 2**31}, "states=2147483648"),
    (NGramConfig, {"symbols": 5, "edges": 4}, "edges=4"),
    (NGramConfig, {"symbols": 5, "states": 2, "edges": 11}, "edges=11"),
    (NGramConfig, {"symbols": 5, "edges": -1}, "edges=-1"),
    (UnigramConfig, {"symbols": 5, "order": 2}, "order=2"),
    (BigramConfig, {"symbols": 5, "order": 3}, "order=3"),
]


@pytest.mark.parametrize("config, settings, words", CONFIGS)
def test_settings_that_cannot_be_are_refused_by_name(config, settings, words, types_unchecked):
    with pytest.raises(ConfigError, match=words):
        config(**settings)

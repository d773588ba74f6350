"""The network of one layer: it is its table, and its closed form is the counts."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from moreish.errors import ConfigError, UsageError
from moreish.models.counts import count_grams
from moreish.models.one_layer import OneLayer, OneLayerConfig
from moreish.text.alphabet import Alphabet
from moreish.text.lines import Lines

TEXTS = ["abba", "ab", "b", "bab", "cab"]
ALPHABET = Alphabet.of(Lines.of([*TEXTS, "dé"]))


def closed_form(texts: list[str]) -> OneLayer:
    model = OneLayer(OneLayerConfig(symbols=len(ALPHABET)), seed=0)
    model.set_closed_form(count_grams(Lines.of(texts), ALPHABET, 2))
    return model


def test_logits_are_the_row_of_the_symbol_before():
    model = OneLayer(OneLayerConfig(symbols=6), seed=1)
    tokens = torch.tensor([[0, 3, 5], [0, 1, 1]])
    logits, state = model(tokens, model.begin(2))
    assert torch.equal(logits, model.weight[tokens]) and state.shape == (2, 0)
    assert torch.equal(model(tokens[:, 2:], state)[0], model.weight[tokens[:, 2:]])


def test_one_hot_times_weights_is_the_lectures_product():
    model = OneLayer(OneLayerConfig(symbols=6), seed=1)
    one_hot = torch.nn.functional.one_hot(torch.arange(6), 6).float()
    assert torch.allclose(model.score(torch.arange(6)[:, None]), one_hot @ model.weight)


def test_the_closed_form_gives_each_pair_its_share_of_the_row():
    pairs = Counter(pair for text in TEXTS for pair in zip("." + text, text + "."))
    model = closed_form(TEXTS)
    probs = torch.log_softmax(model.weight.double(), 1).exp().detach().numpy()
    at = "." + "".join(ALPHABET.symbols)
    for i, before in enumerate(at):
        total = sum(n for (a, _), n in pairs.items() if a == before)
        expected = [pairs[before, after] / total if total else 1 / len(at) for after in at]
        assert np.abs(probs[i] - expected).max() < 1e-6
    assert torch.isfinite(model.weight).all() and (model.weight[at.index("d")] == 0).all()


def test_a_pair_never_seen_is_thirteen_orders_rarer_than_the_rarest():
    model = closed_form(TEXTS)
    nats = -torch.log_softmax(model.weight.detach().double(), 1)
    assert nats[0, 0] == pytest.approx(nats[0, 1:4].max().item() + 30, abs=1e-4)


@pytest.mark.parametrize("lines", [["a"], ["a"] * 10**4, ["a"] * 10**4 + ["b"]])
def test_the_closed_form_of_any_counts_is_finite(lines):
    model = closed_form(lines)
    assert torch.isfinite(model.weight).all()
    loss = -torch.log_softmax(model.weight.double(), 1)[0, 1].item()
    assert loss == pytest.approx(-math.log(lines.count("a") / len(lines)), abs=1e-7)


def test_a_fresh_one_is_near_uniform_and_its_seed_decides_it():
    one, two, other = (OneLayer(OneLayerConfig(symbols=27), seed=seed).weight for seed in (3, 3, 4))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert 0 < one.std() < 0.02


@pytest.mark.parametrize("symbols", [0, -1, 20_001, 10**8, 2**63, True, 2.0, "27", None])
def test_absurd_sizes_are_refused_before_anything_is_allocated(symbols, types_unchecked):
    with pytest.raises(ConfigError, match="symbols="):
        OneLayerConfig(symbols=symbols)


@pytest.mark.parametrize("seed", [-1, 2**63, True, 1.5, "0", None])
def test_seeds_that_are_none_are_refused(seed, types_unchecked):
    with pytest.raises(UsageError, match="seed="):
        OneLayer(OneLayerConfig(symbols=3), seed=seed)

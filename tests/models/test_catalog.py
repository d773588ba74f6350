"""The catalog: every model can be made by its name, and what cannot be made is refused with a hint."""

from dataclasses import fields

import pytest
import torch

from moreish.errors import ConfigError
from moreish.models.catalog import MODELS, find_model
from moreish.models.model import LanguageModel, config_from_dict, config_to_dict


def test_the_catalog_holds_these_models_and_no_others():
    counted, networks = ["uniform", "unigram", "bigram", "ngram"], [
        "one-layer", "mlp", "mlp-bn", "bow", "rnn", "gru", "lstm", "tree", "wavenet", "transformer", "mixture",
    ]  # fmt: skip
    assert list(MODELS) == counted + networks
    assert [name for name, entry in MODELS.items() if entry.learns_by_gradient] == networks
    assert all(entry.name == name and entry.title for name, entry in MODELS.items())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("symbols", [1, 2, 27, 1000])
def test_a_fresh_model_of_any_alphabet_needs_no_more_than_its_size(name, symbols):
    model = MODELS[name](symbols=symbols, seed=0)
    assert isinstance(model, LanguageModel) and model.config.symbols == symbols
    tokens = torch.zeros(2, 1, dtype=torch.long)
    probs = model(tokens, model.begin(2))[0].softmax(-1)
    assert probs.shape == (2, 1, symbols)
    assert (probs * symbols - 1).abs().max() < 0.1, "count models start uniform, networks near it"
    if model.fitted_by_counting:
        assert (probs * symbols - 1).abs().max() < 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_every_key_has_a_meaning_and_its_configs_default(name):
    entry = MODELS[name]
    keys = {key.name: key for key in entry.settings()}
    assert list(keys) == [f.name for f in fields(entry.config)]
    config = entry.configure(symbols=27)
    for key in keys.values():
        assert key.meaning
        if key.settable:
            assert getattr(config, key.name) == key.default
    assert not keys["symbols"].settable


@pytest.mark.parametrize("name", MODELS)
def test_configs_survive_a_dictionary(name):
    config = MODELS[name].configure(symbols=9)
    assert config_from_dict(type(config), config_to_dict(config)) == config


REFUSED = [
    ("ngram", {"oder": 3}, "'order'"),
    ("ngram", {"order": 3, "smoothing": "kneser-nay"}, "kneser-ney"),
    ("ngram", {"order": 0}, "order=0"),
    ("ngram", {"order": "3"}, "order='3'"),
    ("ngram", {"order": True}, "order=True"),
    ("ngram", {"order": 10**30}, "order="),
    ("bigram", {"order": 3}, "order=3"),
    ("unigram", {"order": 2}, "order=2"),
    ("uniform", {"order": 2}, "order"),
    ("one-layer", {"hidden": 64}, "hidden"),
    ("ngram", {"states": 5}, "states"),  # found by fitting, not asked for
    ("ngram", {"states": 2**31 - 1, "edges": 2**31 - 1}, "states"),
    ("ngram", {"edges": 9}, "edges"),
]


@pytest.mark.parametrize("name, settings, words", REFUSED)
def test_settings_that_cannot_be_are_refused_with_a_hint(name, settings, words, types_unchecked):
    with pytest.raises(ConfigError, match=words):
        MODELS[name](symbols=7, **settings)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("symbols", [0, -1, 10**10, True, 7.0, "7", None])
def test_alphabets_that_cannot_be_are_refused(name, symbols, types_unchecked):
    with pytest.raises(ConfigError, match="symbols="):
        MODELS[name](symbols=symbols)


@pytest.mark.parametrize(
    "name, hint",
    [
        ("lsmt", "'lstm'"),
        ("zzzz", "There are"),
        ("n-gram", "'ngram'"),
        ("onelayer", "'one-layer'"),
        ("", "There are"),
        (None, "are"),
    ],
)
def test_an_unknown_model_is_refused_with_a_hint(name, hint, types_unchecked):
    with pytest.raises(ConfigError, match=hint):
        find_model(name)


def test_a_config_with_an_unknown_or_missing_key_is_refused():
    config = MODELS["ngram"].config
    with pytest.raises(ConfigError, match="'order'"):
        config_from_dict(config, {"symbols": 5, "ordre": 3})
    with pytest.raises(ConfigError, match="symbols"):
        config_from_dict(config, {"order": 3})

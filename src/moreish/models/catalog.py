"""The models there are: one explicit dict.

`MODELS["bigram"](symbols=27, seed=0)` makes a fresh model with everything else defaulted. A stranger's model needs no
entry here: it passes itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any

from moreish.errors import ConfigError, did_you_mean
from moreish.models.bow import BagOfWords, BagOfWordsConfig
from moreish.models.mixture import Mixture, MixtureConfig
from moreish.models.mlp import MLP, MLPBatchNorm, MLPBatchNormConfig, MLPConfig
from moreish.models.model import LanguageModel, config_from_dict
from moreish.models.ngram import BigramConfig, NGram, NGramConfig, UnigramConfig
from moreish.models.one_layer import OneLayer, OneLayerConfig
from moreish.models.recurrent import GRU, LSTM, RNN, GRUConfig, LSTMConfig, RNNConfig
from moreish.models.transformer import Transformer, TransformerConfig
from moreish.models.tree import Tree, TreeConfig
from moreish.models.uniform import Uniform, UniformConfig
from moreish.models.wavenet import WaveNet, WaveNetConfig
from moreish.text.alphabet import Alphabet
from moreish.text.lines import Lines

MEANINGS = {
    "symbols": "V: the alphabet's symbols and the boundary; set from the list",
    "order": "symbols in an n-gram, the predicted one included",
    "smoothing": "how unseen n-grams get probability: none, add-K, witten-bell, kneser-ney",
    "states": "contexts that were seen; found by fitting",
    "edges": "n-grams that were seen, of every length; found by fitting",
}
FOUND_BY_FITTING = ("symbols", "states", "edges", "rows", "entries")


@dataclass(frozen=True)
class Key:
    """One setting of a model: its name, default and meaning, and whether a user may set it."""

    name: str
    default: Any
    meaning: str
    settable: bool


@dataclass(frozen=True)
class Entry:
    """A model of the catalog. Called as `entry(symbols=27, seed=0, **given)`, it makes a fresh one."""

    name: str
    title: str
    model: type[LanguageModel[Any]]
    config: type
    fixed: tuple[str, ...] = ()
    """Settings that make this model what it is, and so are no choice."""

    def __call__(self, symbols: int, seed: int = 0, **given: Any) -> LanguageModel[Any]:
        return self.build(self.configure(symbols=symbols, **given), seed=seed)

    def configure(self, **given: Any) -> Any:
        """The model's config.

        Raises:
            ConfigError: an unknown key or a value that the config refuses.
        """
        settable = {f.name for f in fields(self.config)} - (set(FOUND_BY_FITTING) - {"symbols"})
        for name in given:
            if name not in settable:
                raise ConfigError(f"{self.name} has no setting {name!r}. {did_you_mean(name, settable)}")
        return config_from_dict(self.config, given)

    def build(self, config: Any, seed: int = 0) -> LanguageModel[Any]:
        """A fresh model of a config."""
        return self.model(config, seed=seed)  # type: ignore[call-arg]

    def prepare(self, config: Any, lines: Lines, alphabet: Alphabet, seed: int = 0) -> LanguageModel[Any]:
        """A model ready to learn these lines by gradient: fresh, or with tables that come from counting them."""
        make = getattr(self.model, "prepare", None)
        if make is None:
            return self.build(config, seed=seed)
        return make(config, alphabet.encode_lines(lines), seed)

    @property
    def learns_by_gradient(self) -> bool:
        """Whether its weights are learnt step by step."""
        return not self.model.fitted_by_counting

    def settings(self) -> Iterator[Key]:
        """Every setting, with its default and meaning."""
        for f in fields(self.config):
            default = None if f.default is MISSING else f.default
            meaning = f.metadata.get("meaning") or MEANINGS[f.name]
            yield Key(f.name, default, meaning, f.name not in (*FOUND_BY_FITTING, *self.fixed))


MODELS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("uniform", "every symbol equally likely: the line to start from", Uniform, UniformConfig),
        Entry("unigram", "how often each symbol stands anywhere", NGram, UnigramConfig, ("order",)),
        Entry("bigram", "which symbol follows which, by counting", NGram, BigramConfig, ("order",)),
        Entry("ngram", "the last few symbols, by counting; Kneser-Ney smoothing", NGram, NGramConfig),
        Entry("one-layer", "the bigram as a network: one-hot inputs, one linear layer", OneLayer, OneLayerConfig),
        Entry("mlp", "embeddings of the last symbols, hidden layers of tanh (Bengio et al. 2003)", MLP, MLPConfig),
        Entry("mlp-bn", "the MLP with BatchNorm before each tanh (makemore part 3)", MLPBatchNorm, MLPBatchNormConfig),
        Entry(
            "bow",
            "the mean of all symbols so far, and a small network on it (makemore.py)",
            BagOfWords,
            BagOfWordsConfig,
        ),
        Entry("rnn", "a state that each symbol renews (Elman 1990)", RNN, RNNConfig),
        Entry("gru", "a recurrent net with gates (Cho et al. 2014)", GRU, GRUConfig),
        Entry("lstm", "a recurrent net with gates and a memory (Hochreiter and Schmidhuber 1997)", LSTM, LSTMConfig),
        Entry("tree", "pairs fused, then pairs of pairs (makemore part 5)", Tree, TreeConfig),
        Entry(
            "wavenet",
            "dilated causal convolutions, gated, residual, skips (van den Oord et al. 2016)",
            WaveNet,
            WaveNetConfig,
        ),
        Entry(
            "transformer",
            "attention over all symbols so far (Vaswani et al. 2017; GPT-2's parts by switches)",
            Transformer,
            TransformerConfig,
        ),
        Entry("mixture", "count tables weighed against one another; holds the list itself", Mixture, MixtureConfig),
    )
}


def find_model(name: str) -> Entry:
    """The catalog's model of that name.

    Raises:
        ConfigError: there is none; says which was probably meant.
    """
    if name not in MODELS:
        raise ConfigError(f"no model is called {name!r:.60}. {did_you_mean(str(name), MODELS)}")
    return MODELS[name]

"""Count models of rising order beside a run's own model: what each of them says to the same symbols.

They are models of the catalog, fitted on the run's training lines: `uniform`, `unigram` and `bigram` with add-1 as the
lectures count, then `ngram` of orders 3 to 5 with Kneser-Ney. So each column is a distribution of its own, and
`moreish train --model ngram --order 4` on that split gives the same figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from moreish.learning.recipe import Trained
from moreish.models.counts import Grams, count_grams, sum_by, unique_rows
from moreish.models.model import LanguageModel
from moreish.models.ngram import BigramConfig, NGram, NGramConfig, UnigramConfig
from moreish.models.uniform import Uniform, UniformConfig
from moreish.shapes import BOUNDARY

OWN = "run"
"""The rung that is the run's own model."""
HIGHEST = 5


@dataclass(frozen=True)
class Rung:
    """A model that was asked. `name` is `uniform`, `unigram`, `bigram`, `3-gram` to `5-gram`, or `run`.

    `model` and `settings` are as in the catalog; `nats` is the line's negative log-probability under it, its end
    included.
    """

    name: str
    model: str
    settings: dict[str, Any]
    nats: float


def count_rungs(trained: Trained) -> dict[str, tuple[str, LanguageModel[Any]]]:
    """The count models by name, each with its id in the catalog: fitted once, and kept with the run.

    A run that kept only hashes of its lines has nothing to count, so there uniform stands alone.
    """
    return trained.once("rungs", lambda: _fitted(trained))


def rung_nats(model: LanguageModel[Any], ids: list[int]) -> list[float]:
    """The nats of each symbol of a line, its end included, under a count model."""
    if isinstance(model, Uniform):  # whose logits are zeros of 32 bits
        return [math.log(model.config.symbols)] * (len(ids) + 1)
    line = torch.tensor([[BOUNDARY, *ids, BOUNDARY]])
    with torch.no_grad():
        return model.target_nats(line[:, :-1], line[:, 1:], model.begin(1))[0].double().tolist()


def settings_of(model: LanguageModel[Any]) -> dict[str, Any]:
    """What makes a count model the one it is."""
    config = model.config
    return {"order": config.order, "smoothing": config.smoothing} if isinstance(config, NGramConfig) else {}


def shorter(grams: Grams) -> Grams:
    """The counts of the n-grams one symbol shorter: the oldest symbol dropped, and what is then alike summed."""
    rows, where = unique_rows(grams.rows[:, 1:], grams.symbols)
    return Grams(grams.symbols, rows, sum_by(where, grams.counts, len(rows)))


def _fitted(trained: Trained) -> dict[str, tuple[str, LanguageModel[Any]]]:
    symbols = len(trained.alphabet)
    found: dict[str, tuple[str, LanguageModel[Any]]] = {"uniform": ("uniform", Uniform(UniformConfig(symbols)))}
    if trained.hashes is None:
        grams = count_grams(trained.corpus.train, trained.alphabet, HIGHEST)
        by_order = {HIGHEST: grams}
        for order in range(HIGHEST - 1, 0, -1):
            by_order[order] = shorter(by_order[order + 1])
        found["unigram"] = ("unigram", NGram.fit(UnigramConfig(symbols), by_order[1]))
        found["bigram"] = ("bigram", NGram.fit(BigramConfig(symbols), by_order[2]))
        for order in range(3, HIGHEST + 1):
            found[f"{order}-gram"] = ("ngram", NGram.fit(NGramConfig(symbols, order), by_order[order]))
    return {name: rung for name, rung in found.items() if not _is_own(trained, *rung)}


def _is_own(trained: Trained, name: str, model: LanguageModel[Any]) -> bool:
    """Whether this rung is the run's own model over again."""
    own = trained.recipe
    alike = own.method == "counting" and type(trained.model) is type(model)
    return alike and settings_of(trained.model) == settings_of(model)

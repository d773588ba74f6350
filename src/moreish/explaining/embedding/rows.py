"""Which rows of a network stand for symbols, and where they were before anything was learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from numpy import ndarray as Array

from moreish.errors import MoreishError, UsageError
from moreish.layers import Embedding
from moreish.learning.recipe import Trained
from moreish.models.catalog import find_model
from moreish.models.mixture import Mixture
from moreish.models.model import LanguageModel
from moreish.models.one_layer import OneLayer

MOST_BUILT = 20_000_000
"""Weights of a network that is built once more to know where it began."""


@dataclass(frozen=True)
class Rows:
    """A row for each symbol, the boundary first; then, in some models, one for the blank before a line.

    `layer` is what the rows are in the model, `about` a sentence on what they are to it.
    """

    layer: str
    about: str
    weight: Float[Array, "R D"]


def rows_of(model: LanguageModel[Any], name: str) -> Rows:
    """A model's rows for symbols.

    Raises:
        UsageError: it has none; says what has.
        MoreishError: they hold what is no number.
    """
    found = _found(model)
    if found is None:
        counts = "it counts, and to counts two symbols are the same or they are not" if (
            model.fitted_by_counting
        ) else "no layer of it has a row for each symbol"  # fmt: skip
        raise UsageError(
            f"this run holds the model {name}, which has no embedding: {counts}. Train another: --model mlp, say."
        )
    layer, about, weight = found
    values = weight.detach().double().cpu()
    if isinstance(model, OneLayer):
        # A softmax takes no notice of a constant added to its row, so neither does the picture.
        values = values - values.mean(1, keepdim=True)
    if not bool(torch.isfinite(values).all()):
        raise MoreishError(
            f"the {layer} of this {name} holds what is no number: its learning blew up. Train again at a lower --lr."
        )
    return Rows(layer, about, values.numpy())


def rows_at_start(trained: Trained) -> Float[Array, "R D"] | None:
    """The same rows before the first step, drawn again from the seed; None where that is not known."""
    recipe = trained.recipe
    if recipe.method == "imported" or trained.parameters > MOST_BUILT:
        return None
    try:
        fresh = find_model(recipe.model).build(trained.model.config, seed=recipe.seed)
    except MoreishError:  # a model of one's own
        return None
    return rows_of(fresh, recipe.model).weight


def _found(model: LanguageModel[Any]) -> tuple[str, str, torch.Tensor] | None:
    symbols = int(model.config.symbols)
    if isinstance(model, OneLayer):
        about = "this network has no embedding, but its one layer has a row of logits for each symbol: what follows it"
        return "rows of W", about, model.weight
    if isinstance(model, Mixture):
        about = "what the last symbol read adds to the units that weigh the tables"
        return "history", about, model.history.weight[:symbols]
    about = "the numbers that stand for a symbol when the network reads it"
    there = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Embedding) and len(module.weight) in (symbols, symbols + 1)
    }
    for name in sorted(there, key=lambda name: name != "embedding"):
        return name, about, there[name].weight
    return None

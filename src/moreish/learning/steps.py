"""How each model learns: by counting in one step, by descent on the whole list, in closed form, or by minibatches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

from moreish.errors import MoreishError
from moreish.learning.batches import Batches
from moreish.learning.lsuv import scale_on_list
from moreish.learning.recipe import Recipe
from moreish.learning.training import Training
from moreish.models.catalog import find_model
from moreish.models.counts import Grams, count_grams
from moreish.models.initialization import initialize
from moreish.models.model import LanguageModel, device_of, place
from moreish.models.ngram import NGram, NGramConfig
from moreish.models.one_layer import OneLayer
from moreish.ops.arithmetic import add
from moreish.ops.loss import expected_nats
from moreish.ops.losses import l2_penalty
from moreish.ops.op import by_hand
from moreish.text.alphabet import Alphabet
from moreish.text.lines import Lines


@cache
def keep_freed_memory() -> None:
    """Have the C library keep what a step frees for the next one.

    glibc hands blocks above a threshold back to the system at once, and each step would meet fresh pages: a third of a
    small network's time. The threshold rises to the largest such block that was freed, at most 32 MiB.
    """
    torch.empty(31 << 20, dtype=torch.uint8)


def fit_lines(recipe: Recipe, lines: Lines, alphabet: Alphabet, device: str = "cpu") -> LanguageModel[Any]:
    """The model that a recipe makes of some lines."""
    if recipe.method == "minibatches":
        training = begin(recipe, lines, alphabet, device)
        while training.step < recipe.steps:
            training.advance()
        return training.result()
    model: LanguageModel[Any] | None = None
    for _, _, model in learn(recipe, lines, alphabet, device):  # noqa: B007
        pass
    assert model is not None
    return model


def begin(recipe: Recipe, lines: Lines, alphabet: Alphabet, device: str = "cpu") -> Training:
    """A training by minibatches, before its first step."""
    keep_freed_memory()
    entry = find_model(recipe.model)
    config = entry.configure(symbols=len(alphabet), **recipe.settings)
    model = entry.prepare(config, lines, alphabet, recipe.seed)
    initialize(model, recipe.initialization, recipe.seed, called=recipe.model)
    model = place(model, device)
    batches = Batches(lines, alphabet, recipe.batch, recipe.seed, str(device_of(model)))
    if recipe.initialization == "lsuv":
        scale_on_list(model, batches, recipe.seed)
    return Training(recipe, model, batches)


def learn(
    recipe: Recipe, lines: Lines, alphabet: Alphabet, device: str
) -> Iterator[tuple[int, float | None, LanguageModel[Any]]]:
    """Yields (step, loss or None, model) after each step; counting is one step without a loss. Not for minibatches.

    Raises:
        MoreishError: the weights came from another program, or the loss is no longer finite.
    """
    if recipe.method == "imported":
        raise MoreishError(
            f"this {recipe.model} was imported, so how it learnt is not known and cannot be done again. Train one."
        )
    entry = find_model(recipe.model)
    config = entry.configure(symbols=len(alphabet), **recipe.settings)
    if isinstance(config, NGramConfig):
        yield 1, None, place(NGram.fit(config, count_grams(lines, alphabet, config.order)), device)
        return
    model = entry.build(config, seed=recipe.seed)
    initialize(model, recipe.initialization, recipe.seed, called=recipe.model)
    model = place(model, device)
    if not isinstance(model, OneLayer):
        yield 1, None, model
        return
    pairs = count_grams(lines, alphabet, 2)
    if recipe.method == "closed-form":
        model.set_closed_form(pairs)
        yield 1, None, model
        return
    if recipe.initialization == "lsuv":
        scale_on_list(model, Batches(lines, alphabet, recipe.batch, recipe.seed, device), recipe.seed)
    yield 0, None, model
    for step, loss in descend(model, pairs, recipe):
        yield step, loss, model


def descend(model: OneLayer, pairs: Grams, recipe: Recipe) -> Iterator[tuple[int, float]]:
    """Full-batch gradient descent as in the lecture: after each step, its number and the loss before it.

    The lecture multiplies a one-hot row for each of 228,146 pairs. Equal inputs give equal rows, so the same loss and
    the same gradient come from each symbol once, its pairs weighted by their counts.

    Raises:
        MoreishError: the loss is no longer finite; the weights before that step stand.
    """
    device = model.weight.device
    weights = torch.zeros(model.weight.shape, device=device)
    rows = torch.from_numpy(pairs.rows).long().to(device)
    weights[rows[:, 0], rows[:, 1]] = torch.from_numpy(pairs.counts / pairs.counts.sum()).float().to(device)
    every_symbol = torch.arange(model.config.symbols, device=device)[:, None]
    for step in range(1, recipe.steps + 1):
        with by_hand() if recipe.by_hand else nullcontext():
            nats: Tensor = expected_nats(model.score(every_symbol), weights)
            loss = add(nats, l2_penalty(model.weight, coefficient=2 * recipe.weight_decay / model.weight.numel()))
        (gradient,) = torch.autograd.grad(loss, [model.weight])
        if not math.isfinite(loss.item()) or not bool(gradient.isfinite().all()):
            raise MoreishError(
                f"step {step}: the loss is {loss.item()}, so learning stops; the weights before it stand. "
                f"Use a smaller --lr than {recipe.lr:g}."
            )
        with torch.no_grad():
            model.weight.sub_(recipe.lr * gradient)
        yield step, nats.item()

"""Learning as a stream of events: terminal, log file, notebook and tests are readers of one generator.

`events(corpus, recipe)` yields Step, Watched, Evaluated, Checkpointed and at last Finished; `fit` runs it to the end,
unwatched. Count models take one step. The one-layer network learns as in the lecture, by gradient descent on the whole
list at once, or takes its closed form. Every other network learns from minibatches, and only there is it watched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from moreish.errors import ConfigError
from moreish.learning.evaluate import Evaluation, evaluate
from moreish.learning.plan import EVALUATIONS, plan
from moreish.learning.recipe import Recipe, Trained, learning_keys
from moreish.learning.recipes import ONE_LAYER_LR, ONE_LAYER_STEPS, tuned, watch_every
from moreish.learning.steps import begin, fit_lines, learn
from moreish.learning.training import Progress, Training
from moreish.learning.vitals import Vitals
from moreish.learning.watching import is_read, watched
from moreish.models.catalog import find_model
from moreish.models.initialization import check_suits
from moreish.models.model import LanguageModel
from moreish.models.one_layer import OneLayer
from moreish.text.corpus import Corpus

TELL_EVERY = 100
OF_DESCENT = {"steps", "lr", "weight_decay", "by_hand", "initialization"}
"""What the one-layer network may be told while it descends on the whole list; told more, it takes minibatches."""


@dataclass(frozen=True)
class Step:
    """A step of `steps` was taken; `loss` is the training loss before it, nats per symbol."""

    step: int
    loss: float
    steps: int = 0


@dataclass(frozen=True)
class Watched:
    """The network's vitals at a step that was taken: the first, every `watch_every` steps and the last."""

    step: int
    vitals: Vitals


@dataclass(frozen=True)
class Evaluated:
    """The model was measured on a part of the list: lightly while it learns, in full at the end."""

    step: int
    evaluation: Evaluation


@dataclass(frozen=True)
class Checkpointed:
    """A training that could go on from here, were it saved now."""

    step: int
    training: Training
    trained: Trained


@dataclass(frozen=True)
class Finished:
    """Learning is over. `training` is that of a network, as it was left."""

    step: int
    trained: Trained
    training: Training | None = None


Event = Step | Watched | Evaluated | Checkpointed | Finished


def make_recipe(
    corpus: Corpus,
    model: str = "ngram",
    *,
    seed: int = 0,
    closed_form: bool = False,
    time: float | None = None,
    why: str = "",
    device: str = "cpu",
    evaluated: bool = True,
    **asked: Any,
) -> Recipe:
    """A complete recipe from what was asked; what was not is tuned to the model and the list's size.

    Args:
        time: seconds that learning may take on this machine, evaluation included; plans the steps.
        evaluated: whether there will be evaluations while it learns and at the end.
        asked: the model's settings (`hidden=200`) and those of learning (`lr=0.1`; `learning_keys` lists them).

    Raises:
        ConfigError: an unknown model or setting, a value it refuses, or a learning rate for a model that counts.
    """
    entry = find_model(model)
    if "symbols" in asked:
        raise ConfigError(f"{model}: symbols is the size of the list's alphabet and no choice. Leave it out.")
    asked = {name: value for name, value in asked.items() if value is not None}
    learning = {name: asked.pop(name) for name in learning_keys() if name in asked}
    given = [name.replace("_", "-") for name in learning] + ["time"] * (time is not None)
    config = entry.configure(symbols=len(corpus.alphabet), **asked)
    if entry.learns_by_gradient and "initialization" in learning:
        with torch.device("meta"):
            check_suits(learning["initialization"], entry.build(config), model)
    common: dict[str, Any] = {
        "model": model, "seed": seed, "split": corpus.split, "split_seed": corpus.split_seed,
        "symbols": corpus.alphabet.kind, "why": why,
    }  # fmt: skip
    if not entry.learns_by_gradient:
        if given or closed_form:
            name = given[0] if given else "closed-form"
            raise ConfigError(
                f"{model} is fitted by counting, so --{name} has no meaning. Leave it out, or use one-layer."
            )
        return Recipe(**common, settings=asked, method="counting", steps=1)
    if closed_form:
        if entry.model is not OneLayer:
            raise ConfigError(f"{model} has no closed form. Leave out --closed-form, or use one-layer.")
        if given:
            raise ConfigError(f"the closed form takes no steps, so --{given[0]} has no meaning. Leave one of them out.")
        return Recipe(**common, settings=asked, method="closed-form", steps=1)
    if entry.model is OneLayer and time is None and learning.keys() <= OF_DESCENT:
        learning = {"steps": ONE_LAYER_STEPS, "lr": ONE_LAYER_LR, **learning}
        return Recipe(**common, settings=asked, method="gradient", **learning)
    if time is not None and "steps" in learning:
        raise ConfigError("--steps and --time both say when to stop. Give one of them.")
    settings, tuned_learning = tuned(model, corpus, asked, learning)
    recipe = Recipe(**common, settings=settings, method="minibatches", **tuned_learning)
    if recipe.patience and (corpus.kfold or corpus.split == "none"):
        raise ConfigError(
            f"--patience needs a dev part, and {corpus.name} has none. Leave it out, or use --split unique."
        )
    if time is None:
        return recipe
    recipe = plan(corpus, recipe, time, device, evaluated=evaluated)
    return recipe if "watch_every" in learning else replace(recipe, watch_every=watch_every(recipe.steps))


def events(
    corpus: Corpus, recipe: Recipe, device: str = "cpu", resumed: tuple[Progress, dict[str, Tensor]] | None = None
) -> Iterator[Event]:
    """Learn, telling what happens: Steps, Watched, an Evaluated where anything is held out, Checkpointed, at last
    Finished.

    Args:
        resumed: how far a training by minibatches had come, and its tensors.
    """
    if recipe.method == "minibatches":
        yield from _minibatches(corpus, recipe, device, resumed)
        return
    model: LanguageModel[Any] | None = None
    step = 0
    for step, loss, model in learn(recipe, corpus.train, corpus.alphabet, device):  # noqa: B007
        if loss is not None and (step % TELL_EVERY == 0 or step == recipe.steps):
            yield Step(step, loss, recipe.steps)
    assert model is not None
    trained = Trained(model, corpus.alphabet, corpus, recipe)
    if not corpus.kfold or len(corpus.train) > 1:
        yield Evaluated(step, evaluate(trained))
    yield Finished(step, trained)


def _minibatches(
    corpus: Corpus, recipe: Recipe, device: str, resumed: tuple[Progress, dict[str, Tensor]] | None
) -> Iterator[Event]:
    training = begin(recipe, corpus.train, corpus.alphabet, device)
    if resumed is not None:
        training.load(*resumed)
    has_dev = not corpus.kfold and corpus.split != "none"
    evaluate_every = recipe.evaluate_every or max(1, math.ceil(recipe.steps / EVALUATIONS))
    checkpoint_every = recipe.checkpoint_every or evaluate_every
    stop = 0 < recipe.patience <= training.progress.without_better
    while training.step < recipe.steps and not stop:
        step = training.step + 1
        loss, vitals = watched(training) if is_read(recipe, step) else (training.advance(), None)
        if step == 1 or step % TELL_EVERY == 0 or step == recipe.steps:
            yield Step(step, loss, recipe.steps)
        if vitals is not None:
            yield Watched(step, vitals)
        if has_dev and (step % evaluate_every == 0 or step == recipe.steps):
            found = evaluate(_trained(training, corpus, recipe, "current"), lightly=True)
            stop = training.consider(found.nats_per_symbol)
            yield Evaluated(step, found)
        if step < recipe.steps and step % checkpoint_every == 0:
            yield Checkpointed(step, training, _trained(training, corpus, recipe))
    trained = _trained(training, corpus, recipe)
    if not corpus.kfold or len(corpus.train) > 1:
        yield Evaluated(training.step, evaluate(trained))
    yield Finished(training.step, trained, training)


def _trained(training: Training, corpus: Corpus, recipe: Recipe, use: str | None = None) -> Trained:
    return Trained(training.result(use), corpus.alphabet, corpus, recipe)


def fit(corpus: Corpus, model: str = "ngram", *, device: str = "cpu", **asked: Any) -> Trained:
    """Learn from a corpus, to the end.

    Args:
        corpus: from `Corpus.read`.
        model: an id of `MODELS`.
        asked: the model's settings (`order=4`, `smoothing="add-1"`, `hidden=200`), `seed`, and for networks those of
            learning (`steps`, `lr`, `optimizer` and so on), `time` in seconds, or for one-layer `closed_form=True`.

    Raises:
        ConfigError: an unknown model or setting, or a value it refuses.
    """
    # Evaluations take time, and here nobody sees them: they are made where they decide something.
    decides = bool(asked.get("patience")) or asked.get("use") == "best"
    recipe = make_recipe(corpus, model, device=device, evaluated=decides, **asked)
    recipe = replace(recipe, watch_every=0)
    if decides:
        for event in events(corpus, recipe, device):
            if isinstance(event, Finished):
                return event.trained
    return Trained(fit_lines(recipe, corpus.train, corpus.alphabet, device), corpus.alphabet, corpus, recipe)

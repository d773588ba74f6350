"""Learning as a stream of events: terminal, log file, notebook and tests are readers of one generator.

`events(corpus, "bigram")` yields Step, Evaluated and at last Finished; `fit` runs it to the end. Count models take one
step. The one-layer network learns as in the lecture, by gradient descent on the whole list at once, or takes its
closed form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moreish.errors import ConfigError
from moreish.learning.evaluate import Evaluation, evaluate
from moreish.learning.recipe import Recipe, Trained
from moreish.learning.steps import fit_lines, learn
from moreish.models.catalog import find_model
from moreish.models.model import LanguageModel
from moreish.models.one_layer import OneLayer
from moreish.text.corpus import Corpus

ONE_LAYER_STEPS = 2000
ONE_LAYER_LR = 50.0
"""The lecture's rate; its 100 to 200 steps stop at 2.47 where counting gives 2.454."""
TELL_EVERY = 100


@dataclass(frozen=True)
class Step:
    """A step was taken; `loss` is the training loss before it, nats per symbol."""

    step: int
    loss: float


@dataclass(frozen=True)
class Evaluated:
    """The model was measured on a part of the list."""

    step: int
    evaluation: Evaluation


@dataclass(frozen=True)
class Finished:
    """Learning is over."""

    step: int
    trained: Trained


Event = Step | Evaluated | Finished


def make_recipe(
    corpus: Corpus,
    model: str = "ngram",
    *,
    seed: int = 0,
    closed_form: bool = False,
    steps: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    why: str = "",
    **settings: Any,
) -> Recipe:
    """A complete recipe from what was asked.

    Raises:
        ConfigError: an unknown model or setting, a value it refuses, or a learning rate for a model that counts.
    """
    entry = find_model(model)
    if "symbols" in settings:
        raise ConfigError(f"{model}: symbols is the size of the list's alphabet and no choice. Leave it out.")
    settings = {name: value for name, value in settings.items() if value is not None}
    entry.configure(symbols=len(corpus.alphabet), **settings)
    learning = {"steps": steps, "lr": lr, "weight_decay": weight_decay}
    given = [name.replace("_", "-") for name, value in learning.items() if value is not None]
    if entry.model is not OneLayer:
        if given or closed_form:
            name = given[0] if given else "closed-form"
            raise ConfigError(
                f"{model} is fitted by counting, so --{name} has no meaning. Leave it out, or use one-layer."
            )
        method, learning = "counting", {"steps": 1, "lr": 0.0, "weight_decay": 0.0}
    elif closed_form:
        if given:
            raise ConfigError(f"the closed form takes no steps, so --{given[0]} has no meaning. Leave one of them out.")
        method, learning = "closed-form", {"steps": 1, "lr": 0.0, "weight_decay": 0.0}
    else:
        method = "gradient"
        learning = {
            "steps": ONE_LAYER_STEPS if steps is None else steps,
            "lr": ONE_LAYER_LR if lr is None else lr,
            "weight_decay": 0.0 if weight_decay is None else weight_decay,
        }
    return Recipe(
        model=model,
        settings=settings,
        method=method,
        seed=seed,
        split=corpus.split,
        split_seed=corpus.split_seed,
        symbols=corpus.alphabet.kind,
        why=why,
        **learning,  # type: ignore[arg-type]
    )


def events(corpus: Corpus, recipe: Recipe, device: str = "cpu") -> Iterator[Event]:
    """Learn, telling what happens: Steps, then an Evaluated where anything is held out, then Finished."""
    model: LanguageModel[Any] | None = None
    step = 0
    for step, loss, model in learn(recipe, corpus.train, corpus.alphabet, device):  # noqa: B007
        if loss is not None and (step % TELL_EVERY == 0 or step == recipe.steps):
            yield Step(step, loss)
    assert model is not None
    trained = Trained(model, corpus.alphabet, corpus, recipe)
    if not corpus.kfold or len(corpus.train) > 1:
        yield Evaluated(step, evaluate(trained))
    yield Finished(step, trained)


def fit(corpus: Corpus, model: str = "ngram", *, device: str = "cpu", **asked: Any) -> Trained:
    """Learn from a corpus, to the end.

    Args:
        corpus: from `Corpus.read`.
        model: an id of `MODELS`.
        asked: the model's settings (`order=4`, `smoothing="add-1"`), `seed`, and for one-layer `steps`, `lr`,
            `weight_decay` or `closed_form=True`.

    Raises:
        ConfigError: an unknown model or setting, or a value it refuses.
    """
    recipe = make_recipe(corpus, model, **asked)
    return Trained(fit_lines(recipe, corpus.train, corpus.alphabet, device), corpus.alphabet, corpus, recipe)

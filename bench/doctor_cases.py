"""What the doctor is measured on: healthy trainings over models and lists, faults planted in three models each."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from moreish import Corpus
from moreish.learning.doctor.faults import FAULTS, Fault, deep, networks
from moreish.learning.doctor.setup import Setup
from moreish.learning.fit import make_recipe
from moreish.text.lists import bundled

LINES, DEV_LINES = 3_000, 1_000
STEPS = 300
FIRST_SEED = 200
"""The rules were made by looking at other seeds."""
SEEDS = 20
HEALTHY = 200
SHORT_STEPS = 100
"""Of healthy trainings by the tuned recipes, whose batches are four times as large."""
SGD: dict[str, Any] = {"optimizer": "sgd", "lr": 0.3, "batch": 32, "steps": STEPS}
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"context": 3, "embedding": 10, "hidden": 64},
    "mlp-bn": {"embedding": 10, "hidden": 64},
    "tree": {"embedding": 10, "hidden": 48},
    "bow": {"embedding": 32, "hidden": 32},
    "rnn": {"embedding": 10, "hidden": 48, "dropout": 0.0},
    "gru": {"embedding": 10, "hidden": 48, "dropout": 0.0},
    "lstm": {"embedding": 10, "hidden": 48, "dropout": 0.0},
    "wavenet": {"width": 24, "skip": 32, "layers": 3},
    "transformer": {"width": 32, "layers": 2},
    "mixture": {},
}
"""A second or so of one core each."""
PREFERRED = ("mlp", "mlp-bn", "gru", "rnn", "tree", "lstm", "wavenet")


@dataclass(frozen=True)
class Case:
    """A planted fault, in a model, by a seed."""

    fault: Fault
    model: str
    seed: int

    @property
    def key(self) -> str:
        return f"{self.fault.name}/{self.model}/{self.seed}"


@cache
def corpus_of(name: str) -> Corpus:
    """A bundled list, split by unique line."""
    return Corpus.read(name)


def setup_of(model: str, seed: int, name: str = "names", **learning: Any) -> Setup:
    """A healthy training of a small model on 3,000 lines."""
    corpus = corpus_of(name)
    recipe = make_recipe(corpus, model, seed=seed, **SMALL[model], **learning)
    return Setup(recipe, corpus.train[:LINES], corpus.dev[:DEV_LINES], corpus.alphabet)


def base_of(case: Case) -> Setup:
    """The healthy training that a planted one is held against."""
    setup = setup_of(case.model, case.seed, **SGD)
    return deep(setup) if is_deep(case.fault) else setup


def is_deep(fault: Fault) -> bool:
    """Whether a fault is planted in a deeper model."""
    return fault.name in ("vanishing-gradients", "exploding-gradients")


def models_of(fault: Fault) -> list[str]:
    """Three of the models that a fault can be planted in; fewer where there are not so many."""
    return [model for model in PREFERRED if model in fault.models][:3]


def cases(seeds: int = SEEDS) -> Iterator[Case]:
    """All of them, seed by seed."""
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        for fault in FAULTS.values():
            for model in models_of(fault):
                yield Case(fault, model, seed)


def healthy(count: int = HEALTHY) -> Iterator[tuple[str, Setup]]:
    """Healthy trainings, each model on each list, by SGD and by its own recipe in turn."""
    lists, models = list(bundled()), networks()
    for i in range(count):
        model, name = models[i % len(models)], lists[i // len(models) % len(lists)]
        seed = FIRST_SEED + i
        plain = i // (len(models) * len(lists)) % 2 == 1 and model != "mixture"
        if plain:
            setup = setup_of(model, seed, name, **SGD)
        else:
            setup = setup_of(model, seed, name)
            most = SHORT_STEPS if model != "mixture" else SHORT_STEPS // 5
            setup = replace(setup, recipe=replace(setup.recipe, steps=min(setup.recipe.steps, most)))
        yield f"healthy/{model}/{name}/{'sgd' if plain else 'tuned'}/{seed}", setup


def at_random(case: Case) -> Fault:
    """A fix from the same menu, drawn whatever the doctor says."""
    menu = [fault for fault in FAULTS.values() if fault.plant is not None]
    return random.Random(f"fix/{case.key}").choice(menu)

"""The learning-rate finder: a short training whose rate grows from step to step, and what its losses say.

Source: Karpathy, makemore part 2 (`lre = torch.linspace(-3, 0, 1000); lrs = 10**lre`); Smith 2017, section 3.3. Where
we differ: several seeds, each on a copy; whatever is given, model, optimiser and random numbers, stays as it was.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from moreish.errors import ConfigError, MoreishError, counted
from moreish.learning.batches import Batches
from moreish.learning.curve import LEAST_POINTS, read_curve
from moreish.learning.fit import make_recipe
from moreish.learning.recipe import Recipe, Trained, learning_keys
from moreish.learning.steps import begin
from moreish.learning.training import Training
from moreish.models.catalog import find_model
from moreish.models.model import check_choice, check_whole, device_of
from moreish.randomness import stream_seed
from moreish.text.corpus import Corpus

SCALES = ("log", "linear")
RANGES = {"sgd": (1e-4, 10.0), "adamw": (1e-5, 1.0), "muon": (1e-5, 1.0)}
"""Where each optimiser's rates are looked for, unless told: five powers of ten."""
WHOLE_LIST_RANGE = (0.1, 1e4)
"""The same for one layer that learns from the whole list at once: its gradients are small, and its steps large."""
HIGHEST = 1e6
MOST_POINTS = 2000
WHOLE_LIST = 8_000
"""Lines that stand for the whole list, where a step learns from all of it."""
SYMBOLS_A_POINT, MOST_STEPS_A_POINT = 512, 4
"""Small batches are noisy, so each rate is kept for a few steps until a point has seen so many symbols."""
LEAST_LINES = 32
FALLING = ("cosine", "linear")
"""Schedules that soon leave their highest rate and end at 0."""


@dataclass(frozen=True)
class Point:
    """A rate that was tried, the mean loss there (None: not finite), and the smoothed loss."""

    lr: float
    loss: float | None
    smoothed: float | None


@dataclass(frozen=True)
class Tried:
    """One seed's training took its steps at one rate; `done` of `total` such are behind it."""

    done: int
    total: int
    lr: float
    loss: float


@dataclass(frozen=True)
class FoundRate:
    """What a search for a learning rate found: `reason` explains the suggestion, or why there is none.

    Rates from `low`, where the loss falls fastest, to `high` are worth trying; from `diverges_at` on it explodes.
    """

    model: str
    optimizer: str
    schedule: str
    scale: str
    seeds: int
    steps_per_point: int
    suggestion: float | None
    low: float | None
    high: float | None
    diverges_at: float | None
    reason: str
    points: list[Point]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def find_lr(start: Corpus | Trained | Training, model: str | None = None, **asked: Any) -> FoundRate:
    """Try learning rates, each for a step or a few, on copies; suggest one.

    Args:
        start: a list, whose fresh model is tried; or a model that goes on learning from where it stands, which is left
            bit for bit as it was.
        model: an id of `MODELS`, for a list; mlp if none is named.
        asked: `low` and `high`, the lowest and the highest rate; `points` between them (100), `scale` ("log": evenly
            spaced exponents, "linear": evenly spaced rates), `seeds` (3), `steps_per_point`, `seed`, `device`; for a
            list also the settings of the model and of learning, as `fit` takes them.

    Raises:
        ConfigError: a model that counts, a list too short, too few points, rates that are none, or another value that
            is refused.
    """
    for event in tries(start, model, **asked):
        if isinstance(event, FoundRate):
            return event
    raise AssertionError("the last event is what was found")


def tries(
    start: Corpus | Trained | Training,
    model: str | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
    points: int = 100,
    scale: str = "log",
    seeds: int = 3,
    steps_per_point: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    **asked: Any,
) -> Iterator[Tried | FoundRate]:
    """The same as a stream of events: Tried for each seed and rate, at last FoundRate.

    Whatever can be refused is refused at once, before the first event is asked for.
    """
    check_whole("find-lr", "points", points, LEAST_POINTS, MOST_POINTS, "Use 100: few make no curve.")
    check_whole("find-lr", "seeds", seeds, 1, 1000, "Use 3, say.")
    stream_seed(seed, "first")  # refuses what is no seed
    stream_seed(seed + seeds - 1, "last")
    check_choice("find-lr", "scale", scale, SCALES)
    if steps_per_point is not None:
        check_whole("find-lr", "steps_per_point", steps_per_point, 1, 100_000, "Use 1, or a few for small batches.")
    for name in ("lr", "time"):
        if asked.get(name) is not None:
            raise ConfigError(f"the learning rate is what is looked for, so --{name} has no meaning. Leave it out.")
    recipe, make = _beginning(start, model, seed, device, asked)
    usual = RANGES[recipe.optimizer] if recipe.method == "minibatches" else WHOLE_LIST_RANGE
    low, high = _range(low, high, usual)
    rates = np.geomspace(low, high, points) if scale == "log" else np.linspace(low, high, points)
    return _events(recipe, make, rates, scale, seeds, steps_per_point)


def _events(
    recipe: Recipe, make: Callable[[int], Training], rates: np.ndarray, scale: str, seeds: int, steps: int | None
) -> Iterator[Tried | FoundRate]:
    losses = np.full((seeds, len(rates)), math.nan)
    for turn in range(seeds):
        training = make(turn)
        if steps is None:
            symbols = max(1, len(training.batch(training.step).targets))
            steps = min(MOST_STEPS_A_POINT, math.ceil(SYMBOLS_A_POINT / symbols))
        for i, loss in enumerate(_losses(training, rates, steps)):
            losses[turn, i] = loss
            yield Tried(turn * len(rates) + i + 1, seeds * len(rates), float(rates[i]), loss)
    mean = losses.mean(0)
    found = read_curve(rates, mean, *_aim(recipe))
    smoothed = [*found.smoothed, *[None] * (len(rates) - len(found.smoothed))]
    yield FoundRate(
        model=recipe.model,
        optimizer=recipe.optimizer if recipe.method == "minibatches" else "sgd",
        schedule=recipe.schedule,
        scale=scale,
        seeds=seeds,
        steps_per_point=steps or 0,
        suggestion=found.suggestion,
        low=found.low,
        high=found.high,
        diverges_at=found.diverges_at,
        reason=found.reason,
        points=[Point(float(lr), float(y) if math.isfinite(y) else None, s) for lr, y, s in zip(rates, mean, smoothed)],
    )


def _losses(training: Training, rates: np.ndarray, steps: int) -> Iterator[float]:
    """The mean loss at each rate, until it is not finite: what is broken stays so."""
    device = device_of(training.model)
    forked = [device] if device.type == "cuda" else []
    step = training.step
    for lr in rates:
        total = 0.0
        for _ in range(steps):
            try:
                # The catalog's models draw from generators of their own; a stranger's dropout may draw from torch's.
                with torch.random.fork_rng(forked):
                    total += training.gradient(training.batch(step), step)
            except MoreishError:  # the loss or its gradient
                return
            training.optimizer.step(float(lr))
            step += 1
        yield total / steps


def _aim(recipe: Recipe) -> tuple[float, float, str]:
    """Which share of the interval to suggest, or of the boundary, and why.

    Found by trainings of 300 steps at many rates (`docs/log.md`): a rate that falls takes its noise out again, and so
    may begin high; SGD's steps shrink with the gradient, and so it may stay higher than others.
    """
    sgd = recipe.method != "minibatches" or recipe.optimizer == "sgd"
    if recipe.method == "minibatches" and recipe.schedule in FALLING:
        if sgd:
            why = f"SGD with the {recipe.schedule} schedule does best near the largest rate that learns"
            return 1.0, 0.8 if recipe.clip else 0.5, why
        return 1.0, 0.0, f"the {recipe.schedule} schedule soon leaves its highest rate, so it may begin there"
    where = "three quarters of the way" if sgd else "halfway"
    return 0.75 if sgd else 0.5, 0.0, f"staying there would be noisy, so {where} between them, in powers of ten"


def _beginning(
    start: Corpus | Trained | Training, model: str | None, seed: int, device: str, asked: dict[str, Any]
) -> tuple[Recipe, Callable[[int], Training]]:
    """The recipe whose rate is looked for, and what begins a training by it for each turn."""
    if isinstance(start, Corpus):
        model = model or "mlp"
        _check_learns(model)
        _check_lines(len(start.train))
        recipe = make_recipe(start, model, seed=seed, device=device, **asked)
        tried = _tried(recipe, len(start.train), len(start.alphabet))
        return recipe, lambda turn: begin(replace(tried, seed=seed + turn), start.train, start.alphabet, device)
    if model is not None:
        raise ConfigError(f"{model} is named, but a model is there already. Give a list with it, or leave it out.")
    if isinstance(start, Training):
        if asked:
            raise ConfigError(f"{next(iter(asked))} was decided when this training began. Leave it out.")
        _check_lines(start.batches.lines)
        return start.recipe, lambda turn: _copied(start, seed + turn)
    _check_learns(start.recipe.model)
    for name in asked:
        if name not in learning_keys():
            raise ConfigError(f"{name} was decided when this model was made. Leave it out.")
    if not start.corpus.train and start.hashes is not None:
        raise ConfigError(f"{start.run or 'this run'} kept no list, so no rate can be tried. Use a run that did.")
    _check_lines(len(start.corpus.train))
    recipe = replace(start.recipe, **asked)
    tried = _tried(recipe, len(start.corpus.train), len(start.alphabet))

    def make(turn: int) -> Training:
        batches = Batches(start.corpus.train, start.alphabet, tried.batch, seed + turn, str(device_of(start.model)))
        return Training(tried, copy.deepcopy(start.model), batches)

    return recipe, make


def _copied(training: Training, seed: int) -> Training:
    """A training that goes on as another would, with its own weights, memory and order of the lines."""
    batches = copy.copy(training.batches)
    batches.seed, batches._epoch = seed, -1
    other = Training(replace(training.recipe, compile=False), copy.deepcopy(training.model), batches)
    other.load(training.progress, training.tensors())
    return other


def _tried(recipe: Recipe, lines: int, symbols: int) -> Recipe:
    """The recipe as it is tried: by minibatches, with nothing kept that only a whole training uses."""
    tried = replace(recipe, average=0.0, use="last", compile=False)
    if recipe.method == "minibatches":
        return tried
    # Descent on the whole list at once: its loss counts weight_decay times the mean of the squares.
    return replace(
        tried, method="minibatches", optimizer="sgd", momentum=0.0, lr=1.0, batch=min(lines, WHOLE_LIST),
        weight_decay=2 * recipe.weight_decay / symbols**2,
    )  # fmt: skip


def _check_learns(model: str) -> None:
    if not find_model(model).learns_by_gradient:
        raise ConfigError(f"{model} is fitted by counting, so it has no learning rate. Use a network, such as mlp.")


def _check_lines(lines: int) -> None:
    if lines < LEAST_LINES:
        raise ConfigError(
            f"a list with {counted(lines, 'line')} to learn from is too short to find a rate by; it takes "
            f"{LEAST_LINES}. Use a longer one, or the recipe's own rate."
        )


def _range(low: float | None, high: float | None, usual: tuple[float, float]) -> tuple[float, float]:
    """The lowest and the highest rate, far enough apart for a curve."""
    given = (low, high)
    for name, value in zip(("low", "high"), given):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value <= HIGHEST):
            raise ConfigError(
                f"{name}={value!r} is no rate: not a number above 0, at most {HIGHEST:,.0f}. Use 0.01, say."
            )
    lowest, highest = (float(mine if mine is not None else theirs) for mine, theirs in zip(given, usual))
    if not lowest <= highest / 2:
        untold = "" if None not in given else " (what is not given is the optimiser's usual)"
        raise ConfigError(
            f"low={lowest:g} is not below half of high={highest:g}{untold}, so they make no curve. Give --low 0.0001 "
            f"--high 1, say."
        )
    return lowest, highest

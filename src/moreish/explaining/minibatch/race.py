"""Full batch against small ones: by symbols seen, which is the same each time, and by seconds, which are a machine's.

The full batch is given every advantage that costs the small one nothing: the best of several learning rates, chosen on
the part where both are measured, and its windows drawn up once, before the clock starts. The small one takes the
lecture's rate.
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from moreish.errors import MoreishError
from moreish.explaining.minibatch.population import Population
from moreish.learning.batches import Windows
from moreish.learning.training import Training
from moreish.models.mlp import MLP

FULL_STEPS = 40
FULL_RATES = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
RACE_SECONDS, TURNS, HALVINGS = 4.0, 16, 10
"""Seconds of learning each; the turns they come in, beside shorter ones at the beginning, each half an octave."""
COST_SECONDS, LEAST_TIMED, MOST_TIMED = 0.1, 3, 100
"""What the cost of a step is measured by: as many steps as fit, within limits."""


@dataclass(frozen=True)
class Point:
    """The loss after `step` steps, which saw `symbols` symbols; a symbol seen twice counts twice."""

    step: int
    symbols: int
    nats: float


@dataclass(frozen=True)
class Curve:
    """A training's loss on the held-out part as it learns; `full` where each step takes the whole list."""

    batch: int
    full: bool
    lr: float
    points: list[Point]


@dataclass(frozen=True)
class Rate:
    """A learning rate that the full batch was tried at, and its loss at the end; None where it was no number."""

    lr: float
    nats: float | None


@dataclass(frozen=True)
class Timed:
    """The loss on the held-out part, and on all learnt from, after so many seconds; scoring is off the clock."""

    seconds: float
    step: int
    nats: float
    learnt: float


@dataclass(frozen=True)
class Contender:
    """One side of the race at equal time."""

    batch: int
    full: bool
    lr: float
    steps: int
    points: list[Timed]


@dataclass(frozen=True)
class Cost:
    """The median time of a step, drawing its batch included, and how many symbols that learns from in a second."""

    batch: int
    full: bool
    seconds: float
    symbols_per_second: float


@dataclass(frozen=True)
class Seconds:
    """All that a clock measured: another machine, or another hour, gives other figures."""

    costs: list[Cost]
    each: float
    race: list[Contender]


def full_curve(training: Training, population: Population, scored: Population, lr: float) -> Curve:
    """Full-batch descent from where a training stands, each distinct window worked out once; empty if it explodes."""
    model = copy.deepcopy(training.model)
    assert isinstance(model, MLP)
    points = [Point(0, 0, scored.loss(model))]
    for step in range(1, FULL_STEPS + 1):
        gradients = population.gradient(model)
        with torch.no_grad():
            for p, gradient in zip(model.parameters(), gradients):
                p.sub_(gradient, alpha=lr)
        points.append(Point(step, step * len(population), scored.loss(model)))
        if not math.isfinite(points[-1].nats):
            return Curve(len(population), True, lr, [])
    return Curve(len(population), True, lr, points)


def costs(training: Training, population: Population, sizes: list[int]) -> Iterator[Cost]:
    """The time of a step of each size, the full batch last: gradient and update, on a copy."""
    training = copy.deepcopy(training)
    for n in [*sizes, len(population)]:
        full = n == len(population)
        training.batches.size = n
        fixed = population.every if full else None
        _step(training, fixed)  # the first meets fresh pages of memory
        took: list[float] = []
        while len(took) < LEAST_TIMED or (sum(took) < COST_SECONDS and len(took) < MOST_TIMED):
            took.append(_step(training, fixed))
        seconds = statistics.median(took)
        yield Cost(n, full, seconds, n / seconds)


def race(
    small: Training, full: Training, population: Population, scored: Population, seconds: float
) -> Iterator[list[Contender]]:
    """Both learn for so many seconds, taking turns, so that what else the machine does slows both.

    Yields what there is after each turn. A step that has begun is finished, so the full batch gets a little more.
    """
    sides = [(small, None), (full, population.every)]
    for training, fixed in sides:
        _step(copy.deepcopy(training), fixed)  # fresh pages of memory are met off the clock
    clocks, steps = [0.0, 0.0], [0, 0]
    points: list[list[Timed]] = [[_timed(0.0, 0, training, population, scored)] for training, _ in sides]
    even = {seconds * turn / TURNS for turn in range(1, TURNS + 1)}
    early = {seconds / TURNS * 2 ** (-half / 2) for half in range(1, HALVINGS + 1)}
    for turn, until in enumerate(sorted(even | early)):
        for i in (0, 1) if turn % 2 else (1, 0):
            training, fixed = sides[i]
            before = steps[i]
            while clocks[i] < until:
                clocks[i] += _step(training, fixed)
                steps[i] += 1
            if steps[i] > before:
                points[i].append(_timed(clocks[i], steps[i], training, population, scored))
        yield [
            Contender(
                len(population) if fixed else training.recipe.batch, fixed is not None, training.recipe.lr, taken, found
            )
            for (training, fixed), taken, found in zip(sides, steps, points)
        ]


def _step(training: Training, fixed: Windows | None) -> float:
    """Seconds of one step: drawing, unless its batch is given, gradient, update."""
    began = time.perf_counter()
    if fixed is None:
        training.advance()
    else:
        training.gradient(fixed, training.step)
        training.optimizer.step(training.recipe.lr)
    return time.perf_counter() - began


def _timed(seconds: float, step: int, training: Training, population: Population, scored: Population) -> Timed:
    assert isinstance(training.model, MLP)
    nats, learnt = scored.loss(training.model), population.loss(training.model)
    if not math.isfinite(nats + learnt):
        raise MoreishError(
            f"after {step} steps at a learning rate of {training.recipe.lr:g} the loss is no number. Give another list."
        )
    return Timed(seconds, step, nats, learnt)

"""Bessel's correction in BatchNorm, measured: what dividing by n - 1 and not by n changes, and where.

Three places divide, or take what was divided: the batch while learning, the variance that is stored, the evaluation.
At several batch sizes: how far both estimates are from the true variance of a network's own pre-activations, what the
divisor does to activations and gradients, and what each pair of divisors costs at evaluation, in a network that learns
briefly. The sentences are in words.py.

Source: Ioffe and Szegedy 2015, algorithms 1 and 2; Karpathy, makemore part 4, exercise 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from moreish.errors import ListError
from moreish.explaining.bessel.divisors import LESS, Convention, N, conventions
from moreish.explaining.bessel.measures import DIVISORS, HIDDEN, Network, bias_of, evaluated, flow_of
from moreish.explaining.telling import Told, last
from moreish.learning.batches import Batches, Windows
from moreish.models.mlp import MLPBatchNormConfig
from moreish.randomness import stream
from moreish.text.corpus import Corpus

SIZES = (2, 8, 32, 256)
STEPS, SEEDS = 300, 3
POPULATION = 1 << 16
"""Positions that the true variance is taken over, at most; fewer where the list has fewer."""
MOST_ALIKE = 0.5
"""How probable it may be that two windows of a list are the same."""
EVALUATED = 5_000
"""Held-out lines that are scored, at most."""


@dataclass(frozen=True)
class Pair:
    """What it costs to divide by `batch` while learning and to evaluate by a stored variance divided by `stored`.

    `nats` is the loss in evaluation, the mean over seeds; `activation` how large normalised activations are then, on
    what was learnt from, against what they are in batches of it.
    """

    batch: str
    stored: str
    nats: float
    activation: float


@dataclass(frozen=True)
class Gain:
    """What dividing by n - 1 and not by n gains, in nats at evaluation: the mean over `of` comparisons.

    `times` is in how many of them it gains anything: where that is neither none nor all, chance decides.
    """

    nats: float
    times: int
    of: int


@dataclass(frozen=True)
class BatchSize:
    """What the divisor changes at one batch size.

    `ratio` is n / (n - 1). The biases are shares of the true variance: of the mean of variances divided by n and by
    n - 1, and of the squared mean of deviations by n - 1; `bias_error` is the standard error of `bias_n_minus_1`.
    `activation` and `gradient` are what dividing by n - 1 and not by n makes of the size of normalised activations and
    of the gradient that passes to what is below (median over batches); `gradient_through` is how much of the gradient
    passes at all, against statistics that are given. `stored_gain` compares the two stored variances of each training,
    `batch_gain` trainings by either divisor from the same seed, both evaluated by n - 1.
    """

    batch: int
    ratio: float
    bias_n: float
    bias_n_minus_1: float
    bias_deviation: float
    bias_error: float
    activation: float
    gradient: float
    gradient_through: float
    loss: list[Pair]
    stored_gain: Gain
    batch_gain: Gain


@dataclass(frozen=True)
class Bessel:
    """All that was measured on a list. `part` is where the losses are: `dev`, or `train` where the list has no dev."""

    list: str
    part: str
    seed: int
    seeds: int
    steps: int
    hidden: int
    conventions: list[Convention]
    batches: list[BatchSize]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found = asdict(self)
        for each in found["conventions"]:
            each["divisors"] = [None if math.isnan(d) else d for d in each["divisors"]]
        return found


def bessel(corpus: Corpus, seed: int = 0) -> Bessel:
    """Measure what Bessel's correction changes on a list.

    Raises:
        ListError: the list is too short for a batch of the largest size, or says hardly anything but one thing.
    """
    return last(measured(corpus, seed), Bessel)


def measured(corpus: Corpus, seed: int = 0) -> Iterator[Told | Bessel]:
    """The same as a stream: after each training how far it is, at last what was measured.

    Raises:
        ListError: the list is too short for a batch of the largest size, or says hardly anything but one thing.
    """
    part = "train" if corpus.kfold or corpus.split == "none" else "dev"
    held_out = Batches((corpus.dev if part == "dev" else corpus.train)[:EVALUATED], corpus.alphabet, 1, seed)
    learnt = Batches(corpus.train, corpus.alphabet, 1, seed)
    symbols = learnt.symbols
    if symbols < max(SIZES):
        raise ListError(
            f"{corpus.name} has {symbols} symbols to learn from, fewer than the largest batch, {max(SIZES)}. "
            f"Give a longer list, such as names."
        )
    context = MLPBatchNormConfig(symbols=2).context
    scored = held_out.windows_of(np.arange(held_out.symbols), context)
    draw = stream(seed, "bessel/population")
    every = np.arange(symbols)
    if symbols > POPULATION:
        every = torch.randint(symbols, (POPULATION,), generator=draw).numpy()
    population = learnt.windows_of(every, context)
    alike = _alike(population)
    if alike > MOST_ALIKE:
        raise ListError(
            f"{corpus.name} is too uniform: two windows of {context} symbols in it are the same in {100 * alike:.0f} % "
            f"of cases, and a batch of such has no variance. Give a more varied list, such as names."
        )
    found = []
    for i, n in enumerate(SIZES):
        bias = bias_of(population, len(corpus.alphabet), n, seed)
        flow = flow_of(population, len(corpus.alphabet), n, seed)
        trained: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for j in range(SEEDS):
            lessons = _lessons(learnt, context, n, seed + j)
            for name, correction in DIVISORS.items():
                yield Told((i * SEEDS + j) * 2 + correction, len(SIZES) * SEEDS * 2)
                network = Network(len(corpus.alphabet), correction, seed + j)
                network.learn(lessons)
                for stored, result in evaluated(network, population, scored, n, seed).items():
                    trained.setdefault((name, stored), []).append(result)
        found.append(_gathered(n, bias, flow, trained))
    yield Bessel(corpus.name, part, seed, SEEDS, STEPS, HIDDEN, conventions(), found)


def _alike(population: Windows) -> float:
    """The probability that two windows are the same."""
    _, counts = torch.unique(population.windows, dim=0, return_counts=True)
    return float((counts / counts.sum()).square().sum())


def _lessons(learnt: Batches, context: int, n: int, seed: int) -> list[Windows]:
    """The batches of a training: positions drawn with replacement, as the lectures draw them."""
    drawn = torch.randint(learnt.symbols, (STEPS * n,), generator=stream(seed, f"bessel/lessons/{n}"))
    every = learnt.windows_of(drawn.numpy(), context)
    return [Windows(w, t) for w, t in zip(every.windows.split(n), every.targets.split(n))]


def _gathered(
    n: int,
    bias: tuple[float, float, float, float],
    flow: tuple[float, float, float],
    trained: dict[tuple[str, str], list[tuple[float, float]]],
) -> BatchSize:
    pairs = [
        Pair(batch, stored, float(np.mean([r[0] for r in results])), float(np.mean([r[1] for r in results])))
        for (batch, stored), results in trained.items()
    ]
    stored = [a - b for name in DIVISORS for (a, _), (b, _) in zip(trained[name, N], trained[name, LESS])]
    in_batch = [a - b for (a, _), (b, _) in zip(trained[N, LESS], trained[LESS, LESS])]
    return BatchSize(n, n / (n - 1), *bias, *flow, pairs, _gain(stored), _gain(in_batch))


def _gain(gains: list[float]) -> Gain:
    return Gain(float(np.mean(gains)), sum(gain > 0 for gain in gains), len(gains))

"""Minibatches, measured: what their gradients are worth against the full one, and why they win all the same.

A small MLP as in the lectures learns from windows in batches of 32. At its start and later on, the gradients of
minibatches of many sizes are held against the full one: angle, spread, noise scale. Then a full batch and 32 learn from
the same start, compared at equal symbols and at equal seconds. The sentences are in words.py.

Source: Karpathy, makemore part 2 (MLP, batches of 32 windows, rate 0.1); Bottou and Bousquet, The Tradeoffs of Large
Scale Learning (2007), on why approximate gradients win; McCandlish et al. 2018, on noise.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from moreish.explaining.minibatch.noise import SIZES, Noise, noise_of
from moreish.explaining.minibatch.population import Population
from moreish.explaining.minibatch.race import (
    FULL_RATES,
    RACE_SECONDS,
    Contender,
    Cost,
    Curve,
    Point,
    Rate,
    Seconds,
    costs,
    full_curve,
    race,
)
from moreish.explaining.telling import Told, last
from moreish.learning.batches import Batches
from moreish.learning.recipe import Recipe
from moreish.learning.steps import begin
from moreish.learning.training import Training
from moreish.models.mlp import MLP
from moreish.randomness import stream
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines

CONTEXT, EMBEDDING, HIDDEN = 3, 10, 64
BATCH, LR = 32, 0.1
"""The lecture's."""
MOMENTS = (0, 500, 5000)
"""Steps of 32 after which gradients are looked at."""
POSITIONS, CELLS = 1 << 18, 1 << 26
"""Positions that stand for the list, at most, and their logits."""
EVALUATED = 5_000
"""Lines that are scored, at most."""
TOO_SHORT = 4
"""A list with fewer times as many symbols as the batch is no more than a few batches long."""


@dataclass(frozen=True)
class Moment:
    """What gradients are like after `step` steps of 32, `symbols` symbols; `nats` is the loss on all learnt from."""

    step: int
    symbols: int
    nats: float
    noise: Noise


@dataclass(frozen=True)
class Minibatch:
    """All that was measured on a list.

    `part` is where the losses of the curves are: `dev`, or `train` where the list has no dev. `symbols` is how many
    positions a full step learns from, `distinct` how many different windows with targets they are; `whole` whether they
    are all of the list's. `curves` compares by symbols: 32, and the full batch at the best of `rates`. `seconds` alone
    depends on the machine. `curves` is empty and `seconds` None where `reasons` says why.
    """

    list: str
    part: str
    seed: int
    batch: int
    lr: float
    context: int
    embedding: int
    hidden: int
    weights: int
    symbols: int
    distinct: int
    whole: bool
    moments: list[Moment]
    rates: list[Rate]
    curves: list[Curve]
    seconds: Seconds | None
    reasons: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def explain_minibatch(corpus: Corpus, seed: int = 0) -> Minibatch:
    """Measure what minibatch gradients are worth on a list, and let a full batch and 32 learn side by side.

    Everything but `seconds` is the same for the same list and seed.

    Args:
        corpus: a list, read and split.
        seed: of the weights, and of every minibatch that is drawn.
    """
    return last(measured(corpus, seed), Minibatch)


def measured(corpus: Corpus, seed: int = 0) -> Generator[Told | Minibatch, None, None]:
    """The same as a stream: how far it is, at last what was measured."""
    part = "train" if corpus.kfold or corpus.split == "none" else "dev"
    symbols = len(corpus.alphabet)
    lines, whole = _shortened(corpus, seed)
    batches = Batches(lines, corpus.alphabet, BATCH, seed)
    population = Population.of(batches, CONTEXT, symbols)
    held_out = corpus.dev[:EVALUATED] if part == "dev" else lines[:EVALUATED]
    scored = Population.of(Batches(held_out, corpus.alphabet, 1, seed), CONTEXT, symbols)

    def fresh(lr: float) -> Training:
        return _training(lines, corpus, seed, lr)

    sizes = [n for n in SIZES if n < len(population)]
    moments, small = yield from _moments(fresh(LR), population, scored, sizes, seed)
    rates: list[Rate] = []
    curves: list[Curve] = []
    seconds = None
    reasons: dict[str, str] = {}
    if len(population) < TOO_SHORT * BATCH:
        why = f"the list has {len(population)} symbols to learn from, hardly more than a batch of {BATCH}"
        reasons = {"rates": why, "curves": why, "seconds": why}
    else:
        rates, full = yield from _full_batch(fresh, population, scored)
        curves = [small, full]
        seconds = yield from _against_the_clock(fresh, full.lr, population, scored, sizes)
    yield Minibatch(
        corpus.name, part, seed, BATCH, LR, CONTEXT, EMBEDDING, HIDDEN,
        sum(p.numel() for p in fresh(LR).model.parameters()), len(population), len(population.pairs.targets), whole,
        moments, rates, curves, seconds, reasons,
    )  # fmt: skip


PARTS = (4.0 * len(MOMENTS) + 8, 4.0, 4 + 2 * RACE_SECONDS)
"""Roughly how long the gradients, the full batch's rates and what needs a clock take, in seconds."""


def _moments(
    training: Training, population: Population, scored: Population, sizes: list[int], seed: int
) -> Generator[Told, None, tuple[list[Moment], Curve]]:
    """Learns in small batches; looks at gradients on the way."""
    found: list[Moment] = []
    points = [Point(0, 0, _loss(training, scored))]
    for i, step in enumerate(MOMENTS):
        for taken in _learnt(training, scored, step, points):
            yield Told(4 * i + 8 * taken / MOMENTS[-1], sum(PARTS))
        noise = noise_of(training, population, sizes, stream(seed, f"minibatch/draws/{step}"))
        found.append(Moment(step, step * BATCH, _loss(training, population), noise))
        yield Told(4 * (i + 1) + 8 * step / MOMENTS[-1], sum(PARTS))
    return found, Curve(BATCH, False, LR, points)


def _full_batch(
    fresh: Callable[[float], Training], population: Population, scored: Population
) -> Generator[Told, None, tuple[list[Rate], Curve]]:
    """Tries the full batch at every rate; the last loss on the held-out part decides."""
    tried = []
    for i, lr in enumerate(FULL_RATES):
        tried.append(full_curve(fresh(lr), population, scored, lr))
        yield Told(PARTS[0] + PARTS[1] * (i + 1) / len(FULL_RATES), sum(PARTS))
    learnt = [curve for curve in tried if curve.points]
    rates = [Rate(curve.lr, curve.points[-1].nats if curve.points else None) for curve in tried]
    return rates, min(learnt, key=lambda curve: curve.points[-1].nats)


def _against_the_clock(
    fresh: Callable[[float], Training], lr: float, population: Population, scored: Population, sizes: list[int]
) -> Generator[Told, None, Seconds]:
    """The time of steps, and the race."""
    begun = sum(PARTS[:2])
    timed: list[Cost] = []
    for cost in costs(fresh(LR), population, sizes):
        timed.append(cost)
        yield Told(begun + 4 * len(timed) / (len(sizes) + 1), sum(PARTS))
    found: list[Contender] = []
    for found in race(fresh(LR), fresh(lr), population, scored, RACE_SECONDS):
        yield Told(begun + 4 + 2 * found[0].points[-1].seconds, sum(PARTS))
    return Seconds(timed, RACE_SECONDS, found)


def _training(lines: Lines, corpus: Corpus, seed: int, lr: float) -> Training:
    recipe = Recipe(
        "mlp", {"context": CONTEXT, "embedding": EMBEDDING, "hidden": HIDDEN}, method="minibatches",
        steps=MOMENTS[-1], lr=lr, seed=seed, optimizer="sgd", batch=BATCH, batch_of="windows",
    )  # fmt: skip
    return begin(recipe, lines, corpus.alphabet)


def _learnt(training: Training, scored: Population, until: int, points: list[Point]) -> Iterator[int]:
    """Learn up to a step, scoring at every half octave; yields the steps taken then."""
    marks = sorted({min(until, round(2 ** (half / 2))) for half in range(60)} | {until})
    for mark in marks:
        if mark <= training.step:
            continue
        while training.step < mark:
            training.advance()
        points.append(Point(mark, mark * BATCH, _loss(training, scored)))
        yield mark


def _loss(training: Training, scored: Population) -> float:
    assert isinstance(training.model, MLP)
    return scored.loss(training.model)


def _shortened(corpus: Corpus, seed: int) -> tuple[Lines, bool]:
    """The training lines, or as many of them, drawn at random, as a full batch has room for; and whether all are."""
    most = max(BATCH, min(POSITIONS, CELLS // len(corpus.alphabet)))
    lengths = corpus.train.lengths() + 1
    if int(lengths.sum()) <= most:
        return corpus.train, True
    order = torch.randperm(len(lengths), generator=stream(seed, "minibatch/lines")).numpy()
    kept = order[lengths[order].cumsum() <= most]
    return corpus.train.take(kept if len(kept) else order[:1]), False

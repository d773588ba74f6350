"""Two faults with BatchNorm, planted and paid for: statistics over padding, and the lecture's axes.

Each is a pair of trainings from equal weights on equal batches, over several seeds. Evaluation goes by statistics that
are measured anew over many batches of what was learnt (Ioffe and Szegedy 2015, algorithm 2), with the padding and
without: so what was learnt wrongly and what is evaluated wrongly are told apart.

Source: Karpathy, makemore part 5, where mending the axes takes the loss from 2.029 to 2.022.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from moreish.explaining.batchnorm.layers import FirstAxis
from moreish.explaining.batchnorm.lessons import BATCH, CONTEXT, RATE, Parts, learn, loss_of
from moreish.explaining.seeds import OverSeeds, over_seeds
from moreish.layers import BatchNorm
from moreish.learning.batches import Batch, Batches
from moreish.models.mlp import MLPBatchNorm, MLPBatchNormConfig
from moreish.models.model import windows_of
from moreish.models.tree import Tree, TreeConfig
from moreish.ops.loss import cross_entropy
from moreish.shapes import BOUNDARY

SEEDS = 5
PADDING_STEPS, PADDING_HIDDEN, PADDING_RATE = 300, 64, 0.5
AXES_STEPS, AXES_HIDDEN = 400, 64
LECTURE = (2.029, 2.022)
"""The lecture's losses in dev before and after its axes are mended: 22,000 parameters, 200,000 steps of 32 windows."""
CALIBRATION, BEYOND = 40, 1_000_000
"""Batches that statistics are measured over, and the step from which they are taken: no training comes so far."""


@dataclass(frozen=True)
class Pair:
    """`nats` in evaluation of what was learnt with padding or without, by statistics with padding or without.

    `cost` is how much more that is than without padding in both, paired by seed; None for that pair itself.
    """

    learnt_padded: bool
    evaluated_padded: bool
    nats: OverSeeds
    cost: OverSeeds | None


@dataclass(frozen=True)
class Padding:
    """What padded positions do to BatchNorm's statistics, and what it costs.

    `share` of the positions is padding. `mean_moved` is how far the mean of a channel is moved by it, in deviations of
    that channel: the root mean square over channels, `mean_moved_most` the largest; `variances` are the least and
    largest ratio of a channel's variance with padding to that without. All of networks that learnt without.
    """

    steps: int
    rate: float
    batch: int
    hidden: int
    context: int
    share: float
    mean_moved: float
    mean_moved_most: float
    variances: tuple[float, float]
    pairs: list[Pair]


@dataclass(frozen=True)
class LectureAxes:
    """The tree in evaluation, by statistics over all axes but the last, `mended`, and over the first alone, `first`.

    `cost` is how much more the second is, paired by seed; `lecture` the lecture's losses before and after it mended
    this. `rows_mended` and `rows_first` are the numbers that go into a mean at each level.
    """

    steps: int
    rate: float
    batch: int
    hidden: int
    context: int
    rows_mended: list[int]
    rows_first: list[int]
    mended: OverSeeds
    first: OverSeeds
    cost: OverSeeds
    lecture: tuple[float, float]


def padding(parts: Parts, seed: int) -> Iterator[tuple[MLPBatchNorm, Padding] | None]:
    """None after each training; at last a network that learnt without padding, and what was found."""
    scored = parts.held_out(CONTEXT)
    nats: dict[tuple[bool, bool], list[float]] = {(a, b): [] for a in (False, True) for b in (False, True)}
    moved = []
    sound = None
    for s in range(seed, seed + SEEDS):
        batches = parts.learnt(BATCH, s)
        for learnt_padded in (False, True):
            model = _mlp(parts.symbols, s)
            for _ in learn(model, PADDING_STEPS, partial(_padded_loss, model, batches, learnt_padded), PADDING_RATE):
                pass
            found = _statistics(model, batches)
            for evaluated_padded, (mean, variance) in zip((True, False), found):
                _set(model, mean, variance)
                nats[learnt_padded, evaluated_padded].append(loss_of(model, scored))
            if not learnt_padded:
                moved.append(found)
                sound = sound or model
            yield None
    assert sound is not None
    yield sound, _padding(parts.learnt(BATCH, seed), nats, moved)


def lecture_axes(parts: Parts, seed: int) -> Iterator[LectureAxes | None]:
    """None after each training, at last what was found."""
    scored = parts.held_out(CONTEXT)
    found: dict[bool, list[float]] = {False: [], True: []}
    levels = 0
    for s in range(seed, seed + SEEDS):
        batches = parts.learnt(BATCH, s)
        for faulty in (False, True):
            model = _tree(parts.symbols, s, faulty)
            for _ in learn(model, AXES_STEPS, partial(_windows_loss, model, batches)):
                pass
            found[faulty].append(loss_of(model, scored))
            levels = len(model.norms)
            yield None
    yield LectureAxes(
        steps=AXES_STEPS,
        rate=RATE,
        batch=BATCH,
        hidden=AXES_HIDDEN,
        context=CONTEXT,
        rows_mended=[BATCH * CONTEXT >> level for level in range(1, levels + 1)],
        rows_first=[BATCH] * levels,
        mended=over_seeds(found[False]),
        first=over_seeds(found[True]),
        cost=over_seeds([a - b for a, b in zip(found[True], found[False])]),
        lecture=LECTURE,
    )


def padded_windows(batch: Batch, context: int) -> tuple[Int[Tensor, "M C"], Bool[Tensor, " M"]]:
    """The windows of lines that are all padded by boundaries to the longest, and which of them are no padding."""
    rows, long = len(batch.lengths), int(batch.lengths.max())
    inside = torch.arange(long) < batch.lengths[:, None]
    tokens = torch.full((rows, long), BOUNDARY, dtype=torch.long)
    tokens[inside] = batch.tokens
    return windows_of(tokens.reshape(-1), torch.full((rows,), long), context), inside.reshape(-1)


def _padded_loss(model: MLPBatchNorm, batches: Batches, padded: bool, step: int) -> Tensor:
    """Of the lines' own positions; what is padded goes at most into the statistics."""
    batch = batches.at(step)
    windows, inside = padded_windows(batch, CONTEXT)
    logits = model.score(windows)[inside] if padded else model.score(windows[inside])
    return cross_entropy(logits, batch.targets)


def _windows_loss(model: Tree, batches: Batches, step: int) -> Tensor:
    batch = batches.windows_at(step, CONTEXT)
    return cross_entropy(model.score(batch.windows), batch.targets)


def _mlp(symbols: int, seed: int) -> MLPBatchNorm:
    return MLPBatchNorm(MLPBatchNormConfig(symbols=symbols, context=CONTEXT, hidden=PADDING_HIDDEN), seed=seed)


def _tree(symbols: int, seed: int, faulty: bool) -> Tree:
    model = Tree(TreeConfig(symbols=symbols, context=CONTEXT, embedding=10, hidden=AXES_HIDDEN), seed=seed)
    if faulty:
        for level in range(len(model.norms)):
            model.norms[level] = FirstAxis(AXES_HIDDEN)
    return model


Statistics = tuple[Float[Tensor, " H"], Float[Tensor, " H"]]


@torch.no_grad()
def _statistics(model: MLPBatchNorm, batches: Batches) -> tuple[Statistics, Statistics]:
    """Mean and variance before the normalisation: over all positions, padding with them, and over the lines' own."""
    before, own = [], []
    for i in range(CALIBRATION):
        windows, inside = padded_windows(batches.at(BEYOND + i), CONTEXT)
        before.append(model.hidden[0](model.embedding(windows).flatten(1)))
        own.append(before[-1][inside])
    padded, plain = (torch.var_mean(torch.cat(each), 0) for each in (before, own))
    return (padded[1], padded[0]), (plain[1], plain[0])


def _set(model: MLPBatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert model.norms is not None
    norm = model.norms[0]
    assert isinstance(norm, BatchNorm)
    norm.running_mean.copy_(mean)
    norm.running_variance.copy_(variance)


def _padding(
    batches: Batches, nats: dict[tuple[bool, bool], list[float]], moved: list[tuple[Statistics, Statistics]]
) -> Padding:
    inside = torch.cat([padded_windows(batches.at(BEYOND + i), CONTEXT)[1] for i in range(CALIBRATION)])
    means = torch.cat([(padded[0] - plain[0]) / plain[1].sqrt() for padded, plain in moved])
    ratios = torch.cat([padded[1] / plain[1] for padded, plain in moved])
    right = nats[False, False]
    pairs = [
        Pair(a, b, over_seeds(found), over_seeds([x - y for x, y in zip(found, right)]) if a or b else None)
        for (a, b), found in nats.items()
    ]
    return Padding(
        steps=PADDING_STEPS,
        rate=PADDING_RATE,
        batch=BATCH,
        hidden=PADDING_HIDDEN,
        context=CONTEXT,
        share=1 - float(inside.float().mean()),
        mean_moved=float(means.square().mean().sqrt()),
        mean_moved_most=float(means.abs().max()),
        variances=(float(ratios.min()), float(ratios.max())),
        pairs=pairs,
    )

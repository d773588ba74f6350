"""Train against dev with and without BatchNorm: whether it regularises, and whether it does so by its noise.

Two MLPs of equal size begin from equal weights and learn the same few lines, so few that they can be learnt by heart.
A third has BatchNorm too, but its statistics are those of four times as many rows, of which one in four counts in the
loss: a row is moved half as far by its batch-mates. If it is their noise that regularises, this one overfits sooner.

Source: Ioffe and Szegedy 2015, section 3.4, where the noise is the reason given; Luo et al. 2019, Towards
Understanding Regularization in Batch Normalization.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from moreish.explaining.batchnorm.lessons import BATCH, RATE, Parts, every_window, learn, loss_of
from moreish.explaining.seeds import OverSeeds, over_seeds
from moreish.models.mlp import MLP, MLPBatchNorm, MLPConfig
from moreish.ops.loss import cross_entropy

SEEDS, STEPS, LOOKS = 5, 600, 5
LINES, CONTEXT, HIDDEN = 300, 3, 100
CALM = 4
"""Times the rows whose statistics the calmer BatchNorm takes."""
WITHOUT, WITH, CALMER = "without", "with", "calmer"
MODELS = (WITHOUT, WITH, CALMER)


@dataclass(frozen=True)
class Curve:
    """Nats per symbol of what was learnt and of what was held out, after each number of steps: means over seeds."""

    model: str
    steps: list[int]
    train: list[float]
    dev: list[float]


@dataclass(frozen=True)
class Regularized:
    """Whether BatchNorm regularises on a list.

    Gaps are dev less train after the last step; `narrower` is how much BatchNorm takes from it, `dev_gain` what it
    gains in dev there. `equal_train_gain` is what it gains in dev where both have come to the same train loss; None
    where no such loss was met by both, with `reason`. `noise` is how much wider the gap is when batch-mates move a row
    half as far: more than nothing where their noise regularises.
    """

    lines: int
    steps: int
    rate: float
    batch: int
    hidden: int
    context: int
    curves: list[Curve]
    gap_without: OverSeeds
    gap_with: OverSeeds
    narrower: OverSeeds
    dev_gain: OverSeeds
    equal_train_gain: OverSeeds | None
    noise: OverSeeds
    reason: str


def regularized(parts: Parts, seed: int) -> Iterator[Regularized | None]:
    """None after each training, at last what was found."""
    train = every_window(parts.learnt(1, seed, LINES), CONTEXT)
    dev = parts.held_out(CONTEXT)
    looks = [round(STEPS * (i + 1) / LOOKS) for i in range(LOOKS)]
    met: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in MODELS}
    for s in range(seed, seed + SEEDS):
        for name in MODELS:
            model = _model(name, parts.symbols, s)
            found = []
            for done in learn(model, STEPS, _loss(model, name, parts, s)):
                if done in looks:
                    found.append((loss_of(model, train), loss_of(model, dev)))
            met[name].append(found)
            yield None
    yield gathered(met, looks, min(LINES, len(parts.corpus.train)))


def gathered(met: dict[str, list[list[tuple[float, float]]]], looks: list[int], lines: int) -> Regularized:
    """The figures, from (train, dev) of each model, seed and look."""
    at = {name: np.array(found) for name, found in met.items()}  # [seeds, looks, 2]
    gap = {name: found[:, -1, 1] - found[:, -1, 0] for name, found in at.items()}
    curves = [
        Curve(name, looks, found[..., 0].mean(0).tolist(), found[..., 1].mean(0).tolist()) for name, found in at.items()
    ]
    equal = [_at_equal_train(without, with_) for without, with_ in zip(at[WITHOUT], at[WITH])]
    both = [each for each in equal if each is not None]
    reason = "" if len(both) == len(equal) else "Not in every seed did both come to one train loss at the looks taken."
    return Regularized(
        lines=lines,
        steps=looks[-1],
        rate=RATE,
        batch=BATCH,
        hidden=HIDDEN,
        context=CONTEXT,
        curves=curves,
        gap_without=over_seeds(gap[WITHOUT].tolist()),
        gap_with=over_seeds(gap[WITH].tolist()),
        narrower=over_seeds((gap[WITHOUT] - gap[WITH]).tolist()),
        dev_gain=over_seeds((at[WITHOUT][:, -1, 1] - at[WITH][:, -1, 1]).tolist()),
        equal_train_gain=None if reason else over_seeds(both),
        noise=over_seeds((gap[CALMER] - gap[WITH]).tolist()),
        reason=reason,
    )


def _at_equal_train(without: np.ndarray, with_: np.ndarray) -> float | None:
    """Dev without less dev with, at the least train loss that both came to; between two looks, along a line."""
    aim = max(without[:, 0].min(), with_[:, 0].min())
    devs = []
    for curve in (without, with_):
        if not curve[:, 0].min() <= aim <= curve[:, 0].max():
            return None
        order = np.argsort(curve[:, 0], kind="stable")
        devs.append(float(np.interp(aim, curve[order, 0], curve[order, 1])))
    return devs[0] - devs[1]


def _model(name: str, symbols: int, seed: int) -> MLP:
    kind = MLP if name == WITHOUT else MLPBatchNorm
    return kind(MLPConfig(symbols=symbols, context=CONTEXT, embedding=10, hidden=HIDDEN), seed=seed)


def _loss(model: MLP, name: str, parts: Parts, seed: int):
    """Of the windows of a step, which are the same for every model; a calmer BatchNorm is shown others beside them."""
    batches = parts.learnt(BATCH, seed, LINES)
    beside = parts.learnt((CALM - 1) * BATCH, seed + 1, LINES)

    def at(step: int) -> Tensor:
        batch = batches.windows_at(step, CONTEXT)
        windows = batch.windows
        if name == CALMER:
            windows = torch.cat([windows, beside.windows_at(step, CONTEXT).windows])
        return cross_entropy(model.score(windows)[: len(batch.targets)], batch.targets)

    return at

"""What a line's batch-mates do to it, and what is left of a bias before BatchNorm.

Sources: Ioffe and Szegedy 2015, sections 3.1 (in learning an example's output depends on its minibatch, in evaluation
on the input only) and 3.2 (a bias before the normalisation is cancelled by the mean that is taken out).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from moreish.explaining.batchnorm.lessons import BATCH, CONTEXT, Parts
from moreish.explaining.batchnorm.truth import EVALUATION, LEARNING
from moreish.layers import GAINS, Linear
from moreish.learning.batches import Batches
from moreish.models.mlp import MLP, MLPBatchNorm, MLPConfig
from moreish.models.model import windows_of
from moreish.ops.loss import cross_entropy
from moreish.randomness import stream

SIZES = (2, 8, 32, 128)
"""Lines of a batch, the one that is looked at included."""
LINES, DRAWS = 8, 16
"""Lines that are looked at, and how often each is given other batch-mates."""
HIDDEN = 64
WITHOUT = "without"


@dataclass(frozen=True)
class Moved:
    """How far a line's logits and its loss are moved by other lines, in batches of so many.

    `logits` is their deviation over draws of batch-mates: the root mean square over lines, positions and symbols.
    `nats` is the deviation of the line's loss per symbol, `nats_most` the widest range of it that a line was met with.
    `evaluation` is the largest difference of any logit in evaluation mode, on the same batches, in float64.
    """

    batch: int
    logits: float
    nats: float
    nats_most: float
    evaluation: float


@dataclass(frozen=True)
class Bias:
    """The largest gradient of a bias before the normalisation, against the largest of the weights beside it.

    `where` is `learning`, `evaluation` (by running statistics) or `without` (no BatchNorm follows).
    """

    precision: str
    where: str
    bias: float
    weights: float
    ratio: float


def moved(model: MLPBatchNorm, parts: Parts, seed: int) -> list[Moved]:
    """Lines among others, in both modes, at each batch size that the list has lines for. The model is not changed."""
    model = deepcopy(model).double()  # a copy, for in learning mode it stores what it is shown
    batches = parts.learnt(1, seed)
    draw = stream(seed, "batchnorm/mates")
    order = torch.randperm(batches.lines, generator=draw).numpy()
    looked_at, others = order[:LINES], order[LINES:]
    found = []
    for size in SIZES:
        if size - 1 > len(others):
            break
        rows = [
            among(model, batches, int(line), [_drawn(others, size - 1, draw) for _ in range(DRAWS)])
            for line in looked_at
        ]
        logits, nats, evaluation = zip(*rows)
        found.append(
            Moved(
                batch=size,
                logits=float(torch.cat([each.flatten() for each in logits]).mean().sqrt()),
                nats=float(torch.stack(nats).var(1).mean().sqrt()),
                nats_most=float(max(each.max() - each.min() for each in nats)),
                evaluation=max(evaluation),
            )
        )
    return found


@torch.no_grad()
def among(
    model: MLPBatchNorm, batches: Batches, line: int, mates: list[np.ndarray]
) -> tuple[Float[Tensor, "T V"], Float[Tensor, " draws"], float]:
    """A line beside each lot of other lines: the variance of its logits and its losses while learning, and the largest
    difference of a logit in evaluation.
    """
    own = batches.of(np.array([line]))
    windows = windows_of(own.tokens, own.lengths, CONTEXT)
    lots = [batches.of(lot) for lot in mates]
    every = [torch.cat([windows, windows_of(lot.tokens, lot.lengths, CONTEXT)]) for lot in lots]
    model.eval()  # at first: learning mode stores what it meets
    evaluation = [model.score(each)[: len(windows)] for each in every]
    model.train()
    learning = [model.score(each)[: len(windows)] for each in every]
    nats = torch.stack([cross_entropy(logits, own.targets) for logits in learning])
    apart = max(float((logits - evaluation[0]).abs().max()) for logits in evaluation)
    return torch.stack(learning).var(0), nats, apart


def biases(parts: Parts, seed: int) -> list[Bias]:
    """The gradients of a fresh MLP whose linear layer has a bias, on one batch, in both precisions."""
    batch = parts.learnt(BATCH, seed).at(0)
    windows = windows_of(batch.tokens, batch.lengths, CONTEXT)
    found = []
    for precision, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        for where in (LEARNING, EVALUATION, WITHOUT):
            model = biased(parts.symbols, seed, where != WITHOUT).to(dtype).train(where != EVALUATION)
            first = model.hidden[0]
            assert isinstance(first, Linear) and first.bias is not None
            loss = cross_entropy(model.score(windows), batch.targets)
            bias, weights = torch.autograd.grad(loss, (first.bias, first.weight))
            largest = float(bias.abs().max()), float(weights.abs().max())
            found.append(Bias(precision, where, *largest, largest[0] / largest[1]))
    return found


def biased(symbols: int, seed: int, normalized: bool) -> MLP:
    """An MLP with a bias in its linear layer, whether BatchNorm follows or not. Models leave it out where it does."""
    config = MLPConfig(symbols=symbols, context=CONTEXT, embedding=10, hidden=HIDDEN)
    model = (MLPBatchNorm if normalized else MLP)(config, seed=seed)
    inputs = config.context * config.embedding
    model.hidden[0] = Linear(inputs, HIDDEN, generator=stream(seed, "batchnorm/biased"), gain=GAINS["tanh"])
    return model


def _drawn(others: np.ndarray, count: int, draw: torch.Generator) -> np.ndarray:
    return others[torch.randperm(len(others), generator=draw)[:count].numpy()]

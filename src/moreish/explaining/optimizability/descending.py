"""What it costs: the same steps of plain descent at several learning rates, and a first symbol to be remembered.

Source of the task: Bengio, Simard and Frasconi 1994, section 2: what is read first must be told after so many steps
more. Here it is the list's own text: a line's first symbol, asked for after its others and, where those do not
suffice, after the lines that come next. Clipping by the norm of the whole gradient is Pascanu et al. 2013, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from moreish.explaining.optimizability.networks import Network
from moreish.learning.batches import Batch, Batches
from moreish.models.model import LanguageModel
from moreish.ops.loss import cross_entropy
from moreish.randomness import stream

RATES = (0.1, 0.3, 1.0, 3.0, 10.0)
STEPS, LINES = 100, 32
WITHIN = 0.1
"""Nats of a network's best loss within which a learning rate is good."""
CLIP = 1.0
DISTANCES = (2, 4, 8, 16)
RECALL_STEPS, RECALL_RATE = 150, 0.01
ASKED = 512
"""Texts on which it is asked, at last, what was remembered."""


@dataclass(frozen=True)
class Sweep:
    """Losses after the same steps of plain descent at each rate, None where they are not finite.

    `good` are the rates within some nats of the best, `span` the largest of them over the least. `clipped` are the
    losses where gradients longer than 1 are cut to that.
    """

    network: str
    rates: list[float]
    nats: list[float | None]
    clipped: list[float | None]
    best: float | None
    best_rate: float | None
    good: list[float]
    span: float | None


@dataclass(frozen=True)
class Recall:
    """How much of the first symbol is known after so many more: 1 is all of it, 0 what its frequencies tell."""

    network: str
    distances: list[int]
    known: list[float]


def sweep(network: Network, learnt: Batches, scored: Batch, symbols: int, seed: int) -> Iterator[Sweep | LanguageModel]:
    """The best network, where any learnt, and then the losses."""
    losses: list[float | None] = []
    clipped: list[float | None] = []
    best: tuple[float, LanguageModel] | None = None
    for rate in RATES:
        model = network.make(symbols, seed)
        nats, longest = _descended(model, learnt, scored, rate, math.inf)
        losses.append(nats)
        if nats is not None and (best is None or nats < best[0]):
            best = nats, model
        if longest > CLIP:  # else there is nothing to cut, and it would be the same training
            nats, _ = _descended(network.make(symbols, seed), learnt, scored, rate, CLIP)
        clipped.append(nats)
    if best is not None:
        yield best[1]
    yield swept(network.name, losses, clipped)


def swept(name: str, nats: list[float | None], clipped: list[float | None]) -> Sweep:
    """What the losses at each rate tell."""
    met = [(loss, rate) for loss, rate in zip(nats, RATES) if loss is not None]
    best, best_rate = min(met) if met else (None, None)
    good = [rate for loss, rate in met if best is not None and loss <= best + WITHIN]
    span = round(max(good) / min(good), 6) if good else None
    return Sweep(name, list(RATES), nats, clipped, best, best_rate, good, span)


def _descended(
    model: LanguageModel, learnt: Batches, scored: Batch, rate: float, clip: float
) -> tuple[float | None, float]:
    """The loss after learning, None where it is not finite; and how long the longest gradient was."""
    parameters = list(model.parameters())
    longest = 0.0
    for step in range(STEPS):
        batch = learnt.at(step)
        gradients = torch.autograd.grad(cross_entropy(batch.logits(model), batch.targets), parameters)
        norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
        if not math.isfinite(norm):
            return None, math.inf
        longest = max(longest, norm)
        scale = min(1.0, clip / norm) if norm > 0 else 1.0
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients):
                parameter.sub_(gradient, alpha=rate * scale)
    with torch.no_grad():
        nats = float(cross_entropy(scored.logits(model), scored.targets))
    return (nats if math.isfinite(nats) else None), longest


def recall(network: Network, learnt: Batches, symbols: int, seed: int) -> Recall:
    """Learn, by Adam with clipped gradients, to tell a text's first symbol after it was read."""
    starts, first = _texts(learnt)
    shares = np.bincount(first) / len(first)
    unknown = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
    known = []
    for distance in DISTANCES:
        model = network.make(symbols, seed)
        optimizer = torch.optim.Adam(model.parameters(), RECALL_RATE)
        draw = stream(seed, f"optimizability/recall/{distance}")
        for _ in range(RECALL_STEPS):
            optimizer.zero_grad()
            _recall_loss(model, learnt, starts, distance, LINES, draw).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
        with torch.no_grad():
            nats = float(_recall_loss(model, learnt, starts, distance, ASKED, draw))
        known.append(1 - nats / unknown)
    return Recall(network.name, list(DISTANCES), known)


def _texts(learnt: Batches) -> tuple[Int[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """Where the texts begin, each with its boundary, and their first symbols; so that the farthest fits."""
    starts = learnt.starts[learnt.starts + max(DISTANCES) + 2 <= len(learnt.ids)]
    return starts, learnt.ids[starts + 1].astype(np.int64)


def _recall_loss(
    model: LanguageModel, learnt: Batches, starts: np.ndarray, distance: int, count: int, draw: torch.Generator
) -> Tensor:
    """Of texts drawn with replacement: `0 e m m a`, and after `distance` symbols from it on, which was the first."""
    at = starts[torch.randint(len(starts), (count,), generator=draw).numpy()]
    texts = torch.from_numpy(learnt.ids[at[:, None] + np.arange(distance + 1)].astype(np.int64))
    logits, _ = model(texts, model.begin(count))
    return cross_entropy(logits[:, -1], texts[:, 1])

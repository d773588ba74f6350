"""How noisy a minibatch's gradient is: exactly, from every example's own gradient, and by drawing minibatches.

With G the full gradient, g that of n examples drawn with replacement and S the covariance of one example's gradient,
E[g] = G and E|g - G|^2 = tr(S) / n. So the relative spread is sqrt(noise / n) with the simple noise scale
noise = tr(S) / |G|^2, and since |g|^2 is about |G|^2 + tr(S) / n, the cosine is about 1 / sqrt(1 + noise / n).

Source: McCandlish, Kaplan, Amodei et al., An Empirical Model of Large-Batch Training (2018), section 2.2,
and appendix A.1, which estimates both parts from two batch sizes where the full gradient is too dear. Where we differ:
here the list is short enough for every example's gradient, so that tr(S) is no estimate; theirs stands beside it.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.explaining.minibatch.population import Population
from moreish.layers import Linear
from moreish.learning.training import Training
from moreish.models.mlp import MLP

SIZES = (1, 4, 16, 32, 64, 256, 1024, 4096, 16384)
MOST_DRAWS, LEAST_DRAWS, EXAMPLES_DRAWN = 150, 20, 1 << 17
"""Minibatches of each size: as many as take so many examples together, within limits."""
MIDDLE = (2.5, 97.5)
"""Percentiles between which 19 of 20 minibatches lie."""
AT_ONCE = 1 << 14
FROM, TO = 32, 1024
"""The two batch sizes of the estimate of appendix A.1."""


@dataclass(frozen=True)
class Drawn:
    """A figure over minibatches, and the two values between which 19 of 20 of them lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class BatchSize:
    """The gradients of `draws` minibatches of `batch` examples, against the full one.

    `cosine` and `degrees` are means; `spread` is the root mean square of |g - G| / |G|; `along` the mean of
    g . G / |G|^2, which is 1 where a minibatch is right on average; `loss_deviation` the standard deviation of the
    minibatch's own loss, nats. What is `expected` follows from the noise scale alone, and no minibatch.
    """

    batch: int
    draws: int
    cosine: Drawn
    expected_cosine: float
    degrees: Drawn
    expected_degrees: float
    spread: Drawn
    expected_spread: float
    along: float
    loss_deviation: float


@dataclass(frozen=True)
class Noise:
    """Of one set of weights: |G|, tr(S) and the simple noise scale tr(S) / |G|^2, in examples.

    `noise_scale_estimated` is appendix A.1's, from minibatches of two sizes alone; `slope` that of a straight line
    through log(spread) over log(batch), expected at -1/2. Both are None where the list allows no two sizes; the noise
    scale is None where the full gradient is 0.
    """

    gradient_norm: float
    trace: float
    noise_scale: float | None
    noise_scale_estimated: float | None
    slope: float | None
    batches: list[BatchSize]


def flat(gradients: list[Tensor]) -> Float[Tensor, " W"]:
    """Every weight's gradient in one row, float64."""
    return torch.cat([gradient.detach().flatten().double() for gradient in gradients])


@torch.no_grad()
def example_squares(model: MLP, windows: Int[Tensor, "M C"], targets: Int[Tensor, " M"]) -> Float[Tensor, " M"]:
    """The squared norm of each example's own gradient, without working any of them out: one hidden layer.

    A linear layer's gradient for one example is delta x^T, whose squared norm is |delta|^2 |x|^2 (Goodfellow 2015,
    Efficient Per-Example Gradient Computations); its bias adds |delta|^2. An embedding's row takes the sum of what all
    its places in the window send it, so places that hold the same symbol meet in products.
    """
    first, output = model.hidden[0], model.output
    assert isinstance(first, Linear) and first.bias is not None and output.bias is not None
    x = model.embedding.weight[windows]
    inputs = x.flatten(1)
    h = torch.tanh(inputs @ first.weight.T + first.bias)
    d_logits = torch.softmax(h @ output.weight.T + output.bias, 1)
    d_logits[torch.arange(len(targets)), targets] -= 1
    d_before = (d_logits @ output.weight) * (1 - h.square())
    d_x = (d_before @ first.weight).view_as(x)
    same = windows[:, :, None] == windows[:, None, :]
    return (
        d_logits.square().sum(1) * (1 + h.square().sum(1))
        + d_before.square().sum(1) * (1 + inputs.square().sum(1))
        + (d_x @ d_x.mT * same).sum((1, 2))
    )


def exact(model: MLP, population: Population) -> tuple[Float[Tensor, " W"], float]:
    """The full gradient and tr(S), in float64: the mean of |g_i|^2 less |G|^2."""
    model = copy.deepcopy(model).double()
    gradient = flat(population.gradient(model))
    mean_square = 0.0
    pairs = population.pairs
    for first in range(0, len(pairs.targets), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        squares = example_squares(model, pairs.windows[part], pairs.targets[part])
        mean_square += float(squares @ population.of_pairs[part])
    return gradient, max(0.0, mean_square - float(gradient @ gradient))


def noise_of(training: Training, population: Population, sizes: list[int], draw: torch.Generator) -> Noise:
    """The noise of the weights that a training stands at; it is left as it was.

    Args:
        sizes: batch sizes to draw minibatches of, with replacement.
        draw: decides which positions they are.
    """
    model = training.model
    assert isinstance(model, MLP)
    gradient, trace = exact(model, population)
    norm = float(gradient.norm())
    scale = trace / norm**2 if norm else None
    found, means = [], {}
    for n in sizes if scale is not None else []:
        drawn, losses = _gradients(training, population, n, draw)
        means[n] = float(drawn.square().sum(1).mean())
        found.append(_size(n, drawn, losses, gradient, trace))
    slope = None
    if len(found) > 1 and all(size.spread.value for size in found):
        over = np.log([size.batch for size in found])
        slope = float(np.polyfit(over, np.log([size.spread.value for size in found]), 1)[0])
    return Noise(norm, trace, scale, _estimated(means), slope, found)


def _gradients(
    training: Training, population: Population, n: int, draw: torch.Generator
) -> tuple[Float[Tensor, "D W"], list[float]]:
    """The gradients and the losses of some minibatches, by what a step of training calls."""
    draws = min(MOST_DRAWS, max(LEAST_DRAWS, EXAMPLES_DRAWN // n))
    every, rows, losses = population.every, [], []
    for _ in range(draws):
        at = torch.randint(len(population), (n,), generator=draw)
        batch = type(every)(every.windows[at], every.targets[at])
        losses.append(training.gradient(batch, training.step))
        rows.append(flat([p.grad for p in training.model.parameters() if p.grad is not None]))
    return torch.stack(rows), losses


def _size(n: int, drawn: Tensor, losses: list[float], gradient: Tensor, trace: float) -> BatchSize:
    norm = float(gradient.norm())
    along = drawn @ gradient / norm**2
    cosines = (along * norm / drawn.norm(dim=1).clamp_min(1e-300)).clamp(-1, 1)
    spreads = (drawn - gradient).norm(dim=1) / norm
    degrees = torch.rad2deg(torch.arccos(cosines))
    noise = trace / norm**2
    expected = 1 / math.sqrt(1 + noise / n)
    return BatchSize(
        batch=n,
        draws=len(drawn),
        cosine=_drawn(cosines, float(cosines.mean())),
        expected_cosine=expected,
        degrees=_drawn(degrees, float(degrees.mean())),
        expected_degrees=math.degrees(math.acos(expected)),
        spread=_drawn(spreads, float(spreads.square().mean().sqrt())),
        expected_spread=math.sqrt(noise / n),
        along=float(along.mean()),
        loss_deviation=float(np.std(losses, ddof=1)),
    )


def _drawn(values: Tensor, value: float) -> Drawn:
    low, high = np.percentile(values.numpy(), MIDDLE)
    return Drawn(value, float(low), float(high))


def _estimated(means: dict[int, float]) -> float | None:
    """tr(S) / |G|^2 from the mean of |g|^2 at two batch sizes: McCandlish et al. 2018, appendix A.1."""
    few, many = FROM, max((n for n in means if n <= TO), default=0)
    if few not in means or many <= few:
        return None
    squared = (many * means[many] - few * means[few]) / (many - few)
    trace = (means[few] - means[many]) / (1 / few - 1 / many)
    return trace / squared if squared > 0 and trace > 0 else None

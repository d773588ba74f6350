"""What Bessel's correction is measured by: a small MLP whose BatchNorm divides by what is asked of it."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from moreish.explaining.bessel.divisors import LESS, N
from moreish.layers import BatchNorm
from moreish.learning.batches import Windows
from moreish.models.mlp import MLPBatchNorm, MLPBatchNormConfig
from moreish.ops.loss import cross_entropy
from moreish.ops.normalize import batch_norm
from moreish.randomness import stream

HIDDEN, RATE = 64, 0.1
UNITS, DRAWN = 16, 1 << 20
"""Hidden units, and rows drawn for each batch size, by which the bias of the estimates is measured."""
AT_ONCE = 1 << 16
CALIBRATION = 1 << 14
"""Rows whose batches give the stored variance."""
GRADIENT_BATCHES = 64
DIVISORS = {N: 0, LESS: 1}
"""What each takes from n."""


class Divided(BatchNorm):
    """BatchNorm that divides by n - correction in the batch; what it evaluates by is set from outside."""

    def __init__(self, width: int, correction: int):
        super().__init__(width)
        self.correction = correction

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        if not self.training:
            return super().forward(x)
        return batch_norm(x, self.gain, self.bias, epsilon=self.epsilon, correction=self.correction)


class Network:
    """The MLP with BatchNorm, by a divisor of our choice, and what stands before and after its normalisation."""

    def __init__(self, symbols: int, correction: int, seed: int):
        self.model = MLPBatchNorm(MLPBatchNormConfig(symbols=symbols, hidden=HIDDEN), seed=seed)
        self.norm = Divided(HIDDEN, correction)
        assert self.model.norms is not None
        self.model.norms[0] = self.norm

    @torch.no_grad()
    def before(self, batch: Windows) -> Float[Tensor, "M H"]:
        """Pre-activations: what is normalised."""
        return self.model.hidden[0](self.model.embedding(batch.windows).flatten(1))

    def after(self, y: Float[Tensor, "M H"]) -> Float[Tensor, "M V"]:
        """Logits from what was normalised."""
        return self.model.output(torch.tanh(y))

    def loss(self, batch: Windows) -> Tensor:
        """By the batch's statistics, or in evaluation by those that are set."""
        return cross_entropy(self.model.score(batch.windows), batch.targets)

    def learn(self, batches: list[Windows]) -> None:
        """A step of plain descent for each batch, as in the lecture."""
        parameters = list(self.model.parameters())
        self.model.train()
        for batch in batches:
            gradients = torch.autograd.grad(self.loss(batch), parameters)
            with torch.no_grad():
                for p, gradient in zip(parameters, gradients):
                    p.sub_(gradient, alpha=RATE)


@torch.no_grad()
def bias_of(population: Windows, symbols: int, n: int, seed: int) -> tuple[float, float, float, float]:
    """Of the mean estimate against the true variance, less 1: by n, by n - 1, of deviations; and its standard error."""
    x = Network(symbols, 0, seed).before(population)[:, :UNITS].double()
    x -= x.mean(0)
    true = x.square().mean(0)
    x = x[:, true > 0] / true[true > 0].sqrt()  # the true variance is 1 from here on
    draw = stream(seed, f"bessel/bias/{n}")
    by_n, deviations = [], []
    for _ in range(DRAWN // AT_ONCE):
        rows = torch.randint(len(x), (AT_ONCE,), generator=draw)
        batches = x[rows].view(AT_ONCE // n, n, -1)
        # E[x²] - E[x]² loses no digits where the mean is near 0, and takes a tenth of the time of a variance.
        variance = (batches.square().mean(1) - batches.mean(1).square()).clamp_min_(0)
        by_n.append(variance.mean(1))
        deviations.append((variance * (n / (n - 1))).sqrt().mean(0))
    estimates = torch.cat(by_n)
    mean, ratio = float(estimates.mean()), n / (n - 1)
    error = float(estimates.std()) * ratio / math.sqrt(len(estimates))
    deviation = float(torch.stack(deviations).mean(0).square().mean())
    return mean - 1, mean * ratio - 1, deviation - 1, error


def flow_of(population: Windows, symbols: int, n: int, seed: int) -> tuple[float, float, float]:
    """Of a fresh network: activations and gradients by n - 1 against by n, and how much of a gradient passes."""
    network = Network(symbols, 0, seed)
    network.model.double()
    draw = stream(seed, f"bessel/flow/{n}")
    sizes, ratios, through = [], [], []
    for _ in range(GRADIENT_BATCHES):
        rows = torch.randint(len(population.targets), (n,), generator=draw)
        by_n, by_less = (
            _passed(network, Windows(population.windows[rows], population.targets[rows]), k) for k in (0, 1)
        )
        if by_n[0] and by_n[1]:  # not of rows that are all alike, which have no size and pass on nothing
            sizes.append(by_less[0] / by_n[0])
            ratios.append(by_less[1] / by_n[1])
            through.append(by_n[1] / by_n[2])
    return float(np.median(sizes)), float(np.median(ratios)), float(np.median(through))


def _passed(network: Network, batch: Windows, correction: int) -> tuple[float, float, float]:
    """Size of the normalised activations, of the gradient before them, and of it had the statistics been given."""
    norm = network.norm
    x = network.before(batch).requires_grad_()
    y = batch_norm(x, norm.gain, norm.bias, correction=correction)
    dx, dy = torch.autograd.grad(cross_entropy(network.after(y), batch.targets), (x, y))
    with torch.no_grad():
        given = dy * norm.gain * torch.rsqrt(x.var(0, correction=correction) + norm.epsilon)
    return float(y.detach().square().mean().sqrt()), float(dx.norm()), float(given.norm())


@torch.no_grad()
def evaluated(
    network: Network, population: Windows, scored: Windows, n: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Loss and size of the normalised activations by each stored variance: the mean over many batches (algorithm 2)."""
    draw = stream(seed, f"bessel/stored/{n}")
    rows = torch.randint(len(population.targets), (CALIBRATION,), generator=draw)
    x = network.before(Windows(population.windows[rows], population.targets[rows]))
    batches = x.view(CALIBRATION // n, n, -1)
    norm, epsilon = network.norm, network.norm.epsilon
    centred = batches - batches.mean(1, keepdim=True)
    squares = centred.square().sum(1)
    in_batch = (centred.square() / (squares / (n - norm.correction) + epsilon)[:, None]).mean().sqrt()
    norm.running_mean.copy_(x.mean(0))
    network.model.eval()
    found = {}
    for name, correction in DIVISORS.items():
        norm.running_variance.copy_(squares.mean(0) / (n - correction))
        size = ((x - norm.running_mean).square() / (norm.running_variance + epsilon)).mean().sqrt()
        found[name] = float(network.loss(scored)), float(size / in_batch)
    return found

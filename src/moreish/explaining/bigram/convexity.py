"""That the one-layer network's loss is convex, and that of a network with a hidden layer, on the same pairs, is not.

The loss of a row of logits is log Z - sum of q z: log Z is convex, the rest linear, and the sum of convex functions is
convex. Its Hessian in row i is n_i / N (diag p - p p^T), which has no negative eigenvalue, and one of 0 a row: adding
a constant to a row's logits changes nothing. Of a network with hidden units any order of them is as good, so between
two such minima, which are equally deep, a convex loss would nowhere be higher.

Source: Boyd and Vandenberghe 2004, section 3.1.5 (log-sum-exp); for the line between two minima, Goodfellow, Vinyals
and Saxe 2015, Qualitatively Characterizing Neural Network Optimization Problems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from moreish.explaining.bigram.network import eigenvalues_of, probabilities_of, shares_of
from moreish.explaining.bigram.smoothing import decayed
from moreish.explaining.bigram.table import Table
from moreish.models.mlp import MLP, MLPConfig
from moreish.ops.loss import expected_nats
from moreish.randomness import stream

STARTS = 5
DEVIATION = 1.0
"""Of the weights that descent starts from: the lecture's."""
LECTURE_DECAY = 0.01
"""The lecture's `0.01 * (W**2).mean()`: with it, the minimum is one point, and Newton's method arrives there."""
BETWEEN = 41
"""Points of a line, its ends counted."""
HIDDEN, EMBEDDING = 32, 8
MLP_STEPS, MLP_RATE = 600, 0.05
ROUNDING = 1e-12
"""A share of the largest eigenvalue below which one is 0."""


@dataclass(frozen=True)
class Start:
    """From where it began (nats), and where it came by descent, and with weight decay by Newton's method."""

    seed: int
    begins: float
    descent: float
    newton: float


@dataclass(frozen=True)
class Line:
    """The loss along a straight line between two settings of the weights, t from 0 to 1.

    `barrier` is how far it rises above the straight line between its ends, at most, in nats: of a convex loss never
    above 0. It is at `t`.
    """

    between: str
    nats: list[float]
    barrier: float
    t: float


@dataclass(frozen=True)
class Convex:
    """The one-layer network from several starts.

    `difference` is the largest between two ends of descent in a probability, `loss_difference` in the loss;
    `newton_difference` and `newton_loss_difference` the same where weight decay makes the minimum one point. `chord`
    is how far, at least, the loss is below the straight line between two starts, over all pairs and inner points.
    `least_eigenvalue` and `largest_eigenvalue` are those of the Hessian, over all starts and the end, and `flat` how
    many are 0, of `weights`, at the end: one for each row, and the whole row for one that was never counted.
    """

    steps: int
    rate: float
    decay: float
    starts: list[Start]
    difference: float
    loss_difference: float
    newton_difference: float
    newton_loss_difference: float
    chord: float
    least_eigenvalue: float
    largest_eigenvalue: float
    flat: int
    weights: int
    line: Line


@dataclass(frozen=True)
class Minimum:
    """Where a training of the network with hidden units came: its loss and the size of the gradient there."""

    seed: int
    nats: float
    gradient: float


@dataclass(frozen=True)
class Bent:
    """The network with hidden units on the same pairs: two minima, and the loss along lines from the first.

    `seeds` goes to the second minimum; `reordered` to the first with its hidden units in another order, which is the
    same function: `same` is the largest difference of its logits.
    """

    hidden: int
    embedding: int
    parameters: int
    steps: int
    minima: list[Minimum]
    seeds: Line
    reordered: Line
    same: float


def convex_of(table: Table, seed: int, steps: int, rate: float) -> Convex:
    """Descend from several starts at once, in float64; then the same with weight decay, to the minimum itself."""
    shares = shares_of(table)
    drawn = [torch.randn(shares.shape, generator=stream(seed + i, "bigram/start")) for i in range(STARTS)]
    begun = DEVIATION * torch.stack(drawn).double()
    ended = begun.clone()
    for _ in range(steps):
        ended -= rate * (torch.softmax(ended, -1) * shares.sum(1, keepdim=True) - shares)
    kappa = 2 * LECTURE_DECAY * table.positions / table.symbols**2
    arrived = torch.from_numpy(np.stack([decayed(table.counts, kappa, w.numpy()) for w in begun]))
    losses = [_losses(w, shares).tolist() for w in (begun, ended, arrived)]
    decays = LECTURE_DECAY * arrived.square().mean((1, 2))
    newton = [nats + float(decay) for nats, decay in zip(losses[2], decays)]
    eigenvalues = [eigenvalues_of(torch.softmax(w, -1), shares) for w in (*begun, ended[0])]
    largest = max(float(each.max()) for each in eigenvalues)
    return Convex(
        steps=steps,
        rate=rate,
        decay=LECTURE_DECAY,
        starts=[Start(seed + i, losses[0][i], losses[1][i], newton[i]) for i in range(STARTS)],
        difference=_furthest(table, ended),
        loss_difference=max(losses[1]) - min(losses[1]),
        newton_difference=_furthest(table, arrived),
        newton_loss_difference=max(newton) - min(newton),
        chord=min(
            _chord(begun[i], begun[j], shares) for i in range(STARTS) for j in range(i)
        ),
        least_eigenvalue=min(float(each.min()) for each in eigenvalues),
        largest_eigenvalue=largest,
        flat=int((eigenvalues[-1].abs() < ROUNDING * largest).sum()),
        weights=shares.numel(),
        line=_line("two starts", _losses(_along(begun[0], begun[1]), shares).tolist()),
    )  # fmt: skip


def bent_of(table: Table, seed: int) -> Bent:
    """Train the network with hidden units from two seeds, and walk between what they found."""
    shares = shares_of(table)
    found = [_trained(table, shares, seed + i) for i in range(2)]
    models = [model for model, _ in found]
    states = [{k: v.detach() for k, v in model.named_parameters()} for model in models]
    order = torch.randperm(HIDDEN, generator=stream(seed, "bigram/order"))
    turned = _reordered(states[0], order)
    every = torch.arange(table.symbols)[:, None]
    with torch.no_grad():
        same = (models[0].score(every) - functional_call(models[0], turned, _read(every))[0][:, 0]).abs().max()
    return Bent(
        hidden=HIDDEN,
        embedding=EMBEDDING,
        parameters=sum(p.numel() for p in models[0].parameters()),
        steps=MLP_STEPS,
        minima=[minimum for _, minimum in found],
        seeds=_walk("two seeds", models[0], states[0], states[1], shares),
        reordered=_walk("units reordered", models[0], states[0], turned, shares),
        same=float(same),
    )


def _losses(weights: Float[Tensor, "S V V"], shares: Float[Tensor, "V V"]) -> Float[Tensor, " S"]:
    return -(torch.log_softmax(weights, -1) * shares).sum((1, 2))


def _along(a: Float[Tensor, "V V"], b: Float[Tensor, "V V"]) -> Float[Tensor, "S V V"]:
    t = torch.linspace(0, 1, BETWEEN, dtype=a.dtype)[:, None, None]
    return (1 - t) * a + t * b


def _chord(a: Float[Tensor, "V V"], b: Float[Tensor, "V V"], shares: Float[Tensor, "V V"]) -> float:
    """How far the loss is below the straight line between its ends, at least."""
    return float(-_above(_losses(_along(a, b), shares).numpy())[1:-1].max())


def _above(nats: np.ndarray) -> np.ndarray:
    """The loss less the straight line between its ends."""
    return nats - np.linspace(nats[0], nats[-1], len(nats))


def _line(between: str, nats: list[float]) -> Line:
    above = _above(np.array(nats))
    at = int(above.argmax())
    return Line(between, nats, float(above[at]), at / (len(nats) - 1))


def _furthest(table: Table, ends: Float[Tensor, "S V V"]) -> float:
    """The largest difference between two ends in a probability of a row that was counted."""
    p = np.stack([probabilities_of(w) for w in ends])[:, table.rows > 0]
    return float((p.max(0) - p.min(0)).max())


def _trained(table: Table, shares: Float[Tensor, "V V"], seed: int) -> tuple[MLP, Minimum]:
    """The network with hidden units, from the whole list at each step by Adam at a rate that falls to 0."""
    config = MLPConfig(symbols=table.symbols, context=1, embedding=EMBEDDING, hidden=HIDDEN)
    model = MLP(config, seed=seed).double()
    every = torch.arange(table.symbols)[:, None]
    optimizer = torch.optim.Adam(model.parameters(), lr=MLP_RATE)
    for step in range(MLP_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = MLP_RATE * (1 - step / MLP_STEPS)
        optimizer.zero_grad()
        expected_nats(model.score(every), shares).backward()
        optimizer.step()
    loss = expected_nats(model.score(every), shares)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return model, Minimum(seed, loss.item(), float(torch.cat([g.flatten() for g in gradients]).norm()))


def _reordered(state: dict[str, Tensor], order: Tensor) -> dict[str, Tensor]:
    """The same network with its hidden units in another order."""
    by_row = {"hidden.0.weight", "hidden.0.bias"}
    return {
        name: p[order] if name in by_row else p[:, order] if name == "output.weight" else p
        for name, p in state.items()
    }  # fmt: skip


def _read(every: Tensor) -> tuple[Tensor, Tensor]:
    """Each symbol as a line of its own: the tokens, and the state of a context of one, which is empty."""
    return every, every[:, :0]


@torch.no_grad()
def _walk(between: str, model: MLP, a: dict[str, Tensor], b: dict[str, Tensor], shares: Float[Tensor, "V V"]) -> Line:
    every = torch.arange(len(shares))[:, None]
    nats = []
    for t in torch.linspace(0, 1, BETWEEN).double():
        state = {name: (1 - t) * a[name] + t * b[name] for name in a}
        logits, _ = functional_call(model, state, _read(every))
        nats.append(float(expected_nats(logits[:, 0], shares)))
    return _line(between, nats)

"""From the table to a network: one-hot @ W chooses a row, exp(logits) are counts, and descent reaches the counted loss.

Source: Karpathy, makemore part 1, second half: one-hot, logits as log-counts, softmax, gradient descent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from moreish.explaining.bigram.table import Table
from moreish.learning.recipe import Recipe
from moreish.learning.steps import descend
from moreish.models.counts import Grams
from moreish.models.one_layer import OneLayer, OneLayerConfig
from moreish.ops.affine import embed, linear
from moreish.ops.loss import expected_nats
from moreish.ops.op import by_hand

STEPS, RATE = 2000, 50.0
"""The rate is the lecture's, whose steps are 100 to 200."""
MOST_RATE = 1e6
CURVE = 60
"""Steps whose loss is kept, about; they stand by powers of ten."""
MARKS = (0, 1, 10, 100, 1000)
"""Steps that are kept whatever the curve."""
SHOWN = 6


@dataclass(frozen=True)
class Choice:
    """One-hot @ W against choosing the row of W, for the symbol `symbol`: its first numbers, both ways.

    `difference` and `gradient_difference` are the largest over all symbols and entries, of the result and of W's
    gradient. `multiplications` are what one symbol costs by the product, and choosing none. `other_rows_broken` counts
    the rows that the product spoils where one entry of another row is minus infinity, for 0 x infinity is no number.
    """

    symbol: str
    index: int
    by_product: list[float]
    by_choice: list[float]
    difference: float
    gradient_difference: float
    multiplications: int
    other_rows_broken: int


@dataclass(frozen=True)
class Reached:
    """The loss after so many steps, in nats per symbol; `above` is how far it is from the counted loss."""

    step: int
    nats: float
    above: float


@dataclass(frozen=True)
class Descent:
    """The one-layer network, learning from the whole list at each step.

    `stable` is the rate below which descent comes to rest at the table: 2 over the Hessian's largest eigenvalue there.
    `rate` is the lecture's where that is below it, else half of `stable`.
    """

    steps: int
    rate: float
    stable: float
    parameters: int
    nats: float
    curve: list[Reached]


@dataclass(frozen=True)
class Follower:
    """What came `count` times after a symbol, and how often by the network: exp(logit), scaled to the row's sum."""

    symbol: str
    count: int
    logit: float
    exponential: float


@dataclass(frozen=True)
class Exponentials:
    """exp(logits), row by row divided by their sum, against the counted probabilities.

    `difference` is the largest, at the pair `before`, `after`, whose row was counted `row_count` times; `mean` is the
    mean over the list's symbols of half the sum of a row's differences. `closed_form` is the largest difference where
    the logits are log(counts) themselves. `followers` are the commonest after `symbol`.
    """

    difference: float
    before: str
    after: str
    row_count: int
    mean: float
    closed_form: float
    symbol: str
    followers: list[Follower]


def choice_of(table: Table, weight: Float[Tensor, "V V"]) -> Choice:
    """Both ways of looking a symbol up, and both gradients, of the hand-written ops."""
    every = torch.arange(table.symbols)
    one_hot = torch.eye(table.symbols, dtype=weight.dtype)
    index = int(table.rows[1:].argmax()) + 1 if table.symbols > 1 else 0
    received = weight.cos()  # any gradient will do
    gradients, rows = [], []
    for way in (lambda w: linear(one_hot, w.t()), lambda w: embed(every, w)):
        w = weight.detach().clone().requires_grad_()
        with by_hand():
            rows.append(way(w))
        gradients.append(torch.autograd.grad(rows[-1], w, received)[0])
    product, chosen = (found.detach() for found in rows)
    broken = weight.detach().clone()
    broken[index, 0] = -torch.inf
    spoilt = linear(one_hot, broken.t()).isnan().any(1)
    spoilt[index] = False
    return Choice(
        symbol=table.labels[index],
        index=index,
        by_product=product[index, :SHOWN].tolist(),
        by_choice=chosen[index, :SHOWN].tolist(),
        difference=float((product - chosen).abs().max()),
        gradient_difference=float((gradients[0] - gradients[1]).abs().max()),
        multiplications=table.symbols**2,
        other_rows_broken=int(spoilt.sum()),
    )


def descent_of(table: Table, model: OneLayer, steps: int) -> Descent:
    """Let a model descend; it is changed."""
    steepest = eigenvalues_of(torch.from_numpy(table.probabilities), shares_of(table)).max()
    stable = 2 / max(float(steepest), 2 / MOST_RATE)
    rate = RATE if stable > RATE else stable / 2
    recipe = Recipe(model="one-layer", method="gradient", steps=steps, lr=rate)
    counted = table.nats(table.probabilities)
    nats = [loss for _, loss in descend(model, grams_of(table), recipe)]
    nats.append(nats_of(table, model.weight.detach()))  # descend tells the loss before each step
    marks = [step for step in MARKS if step <= steps]
    kept = np.unique([*marks, *np.geomspace(1, steps, CURVE).round().astype(int)])
    curve = [Reached(int(step), nats[step], nats[step] - counted) for step in kept]
    return Descent(steps, rate, stable, model.weight.numel(), nats[-1], curve)


def exponentials_of(table: Table, weight: Float[Tensor, "V V"]) -> Exponentials:
    """exp(logits) beside the counts."""
    learnt, counted, rows = probabilities_of(weight), table.probabilities, table.rows
    apart = np.abs(learnt - counted) * (rows > 0)[:, None]  # a row that was never counted says nothing
    i, j = np.unravel_index(int(apart.argmax()), apart.shape)
    closed = OneLayer(OneLayerConfig(table.symbols))
    closed.set_closed_form(grams_of(table))
    of_closed = np.abs(probabilities_of(closed.weight.detach()) - counted)
    order = np.argsort(-table.counts[0], kind="stable")[:SHOWN]
    followers = [
        Follower(table.labels[k], int(table.counts[0, k]), float(weight[0, k]), float(learnt[0, k] * rows[0]))
        for k in order
    ]
    return Exponentials(
        difference=float(apart[i, j]),
        before=table.labels[i],
        after=table.labels[j],
        row_count=int(rows[i]),
        mean=float((apart.sum(1) / 2 * rows).sum() / rows.sum()),
        closed_form=float(of_closed.max()),
        symbol=table.labels[0],
        followers=followers,
    )


def start(table: Table, seed: int) -> OneLayer:
    """A fresh one-layer network of the list's symbols."""
    return OneLayer(OneLayerConfig(table.symbols), seed=seed)


def probabilities_of(weight: Float[Tensor, "V V"]) -> np.ndarray:
    """The softmax of each row, in float64 [V V]."""
    return torch.softmax(weight.detach().double(), -1).numpy()


def nats_of(table: Table, weight: Float[Tensor, "V V"]) -> float:
    """The loss of some weights on the list, in float64."""
    return float(expected_nats(weight.double(), shares_of(table)))


def shares_of(table: Table) -> Float[Tensor, "V V"]:
    """Each pair's share of the list, float64."""
    return torch.from_numpy(table.counts / table.positions)


def grams_of(table: Table) -> Grams:
    """The table as the pairs that were seen."""
    rows = np.argwhere(table.counts > 0).astype(np.int32)
    return Grams(table.symbols, rows, table.counts[rows[:, 0], rows[:, 1]])


def eigenvalues_of(p: Float[Tensor, "V V"], shares: Float[Tensor, "V V"]) -> Float[Tensor, "V V"]:
    """Of the loss's Hessian at some probabilities, which is a block for each row: n_i / N (diag p - p p^T)."""
    blocks = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    return torch.linalg.eigvalsh(blocks * shares.sum(1)[:, None, None])

"""The receptive field: which symbols an output of a tree can see, found by gradient and by changing symbols."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from moreish.explaining.convolution.sliding import Slid, before_lines
from moreish.models.tree import Tree
from moreish.shapes import BOUNDARY, BOUNDARY_SIGN
from moreish.text.alphabet import Alphabet

MORE = 4
"""Places drawn beside those that the last output sees."""

ROUNDING = 1e-11
"""A share of the largest logit, in float64, below which a difference is none."""


@dataclass(frozen=True)
class Level:
    """One level: how far apart it joins two rows, and at which places stand the rows that the last output rests on."""

    dilation: int
    reads: list[int]


@dataclass(frozen=True)
class Reach:
    """What the output at the last of `places` places sees.

    `symbols` stand at the places, boundaries before the line; `levels` go from the output down. `expected` are the
    places at and before it, `by_gradient` those whose embedding the output's gradient reaches, and `by_change` those
    at which another symbol changes the logits. `later` says how many outputs before the last a change of the last
    symbol moves: none, where the convolution is causal.
    """

    places: int
    symbols: list[str]
    levels: list[Level]
    expected: list[int]
    by_gradient: list[int]
    by_change: list[int]
    later: int


def reach_of(tree: Tree, line: Int[Tensor, " T"], alphabet: Alphabet) -> Reach:
    """Look at the last output of a line, in float64."""
    context = tree.context
    places = context + MORE
    read = before_lines(line[None], max(0, places - len(line)))[:, -places:]
    reads = {places - 1}
    levels = []
    for level in reversed(range(tree.config.levels)):
        levels.append(Level(2**level, sorted(reads)))
        reads |= {at - 2**level for at in reads}
    exact = _exact(tree)
    return Reach(
        places=places,
        symbols=[BOUNDARY_SIGN if i == BOUNDARY else alphabet.symbols[i - 1] for i in read[0].tolist()],
        levels=levels,
        expected=sorted(reads),
        by_gradient=_by_gradient(exact, read),
        by_change=_by_change(exact, read),
        later=_later(exact, read),
    )


def _exact(tree: Tree) -> Tree:
    exact = Tree(tree.config).double().eval()
    exact.load_state_dict(tree.state_dict())
    return exact


def _by_gradient(tree: Tree, read: Int[Tensor, "B T"]) -> list[int]:
    """Places to which any entry of the last logits has a gradient that is not 0."""
    padded = before_lines(read, tree.context - 1)
    x = tree.embedding(padded).detach().requires_grad_()
    last = Slid(tree).above(x)[0, -1]
    seen = torch.zeros(padded.shape[1], dtype=torch.bool)
    for logit in last:
        (gradient,) = torch.autograd.grad(logit, x, retain_graph=True)
        seen |= (gradient[0] != 0).any(-1)
    return [at - (tree.context - 1) for at in seen.nonzero()[:, 0].tolist()]


@torch.no_grad()
def _by_change(tree: Tree, read: Int[Tensor, "B T"]) -> list[int]:
    """Places at which some other symbol of the alphabet changes the last logits."""
    slid = Slid(tree)
    before = slid(read)[0, -1]
    changed = []
    for at in range(read.shape[1]):
        others = torch.arange(tree.config.symbols)
        tried = read.repeat(len(others), 1)
        tried[:, at] = others
        if _moved(slid(tried)[:, -1], before).any():
            changed.append(at)
    return changed


@torch.no_grad()
def _later(tree: Tree, read: Int[Tensor, "B T"]) -> int:
    """How many outputs before the last change with the last symbol."""
    slid, other = Slid(tree), read.clone()
    other[0, -1] = (other[0, -1] + 1) % tree.config.symbols
    return int(_moved(slid(other)[0], slid(read)[0]).any(-1)[:-1].sum())


def _moved(logits: Tensor, before: Tensor) -> Tensor:
    """Where logits are others: products of another size round their sums in another order."""
    return (logits - before).abs() > ROUNDING * before.abs().max()

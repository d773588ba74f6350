"""Exact sampling under conditions: never rejects, no bias, and the condition's own probability.

Each symbol is drawn in proportion to its probability times that of all good ends after it: ancestral sampling from the
model given the condition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.generating.draws import Draw
from moreish.generating.paths import Paths

UNDER_ONE = 1 - 2**-52


@dataclass(frozen=True, slots=True)
class Standing:
    """Where lines stand: each in a pair, all with `left` symbols left at most."""

    pair: Int[Tensor, " B"]
    left: int


class ExactDraw(Draw):
    """Draws whole lines that meet conditions; `draw_lines` is to be given the conditions' own most symbols."""

    device = torch.device("cpu")

    def __init__(self, paths: Paths):
        self.paths, self.ahead = paths, paths.sums
        self.probs = paths.chain.log_probs.exp()

    def begin(self, read: Int[Tensor, "1 T"]) -> Standing:
        assert read.shape[1] == 1, "a prefix is one of the conditions"
        return Standing(torch.zeros(1, dtype=torch.long), self.paths.high)

    def step(
        self, position: Standing, generator: torch.Generator
    ) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"], Standing]:
        share, after = self.ahead.share(position.pair, position.left)
        context = self.paths.context.index_select(0, position.pair)
        bounds = share.mul_(self.probs.index_select(0, context)).cumsum_(1)
        number = torch.rand(len(bounds), 1, generator=generator, dtype=torch.float64).mul_(UNDER_ONE)
        # A symbol of no probability adds nothing to the sums, so it is never the first to pass a number.
        symbols = torch.searchsorted(bounds, number.mul_(bounds[:, -1:]), right=True)
        nats = self.paths.chain.nats.view(-1).index_select(0, context * bounds.shape[1] + symbols[:, 0])
        pair = after.gather(1, symbols)[:, 0].long()
        return symbols[:, 0], nats, Standing(pair, max(position.left - 1, 0))

    def keep(self, position: Any, rows: Int[Tensor, " K"]) -> Standing:
        return Standing(position.pair.index_select(0, rows), position.left)

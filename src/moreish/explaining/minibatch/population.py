"""All windows of some lines, as they stand and grouped: equal windows give equal logits, so each is worked out once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.learning.batches import Batches, Windows
from moreish.models.counts import sum_by, unique_rows
from moreish.models.mlp import MLP
from moreish.ops.loss import expected_nats


@dataclass(frozen=True)
class Population:
    """Every position of some lines.

    `every` has a row for each position; `pairs` each (window, target) once, a share `of_pairs` of all positions;
    `contexts` each window once, and `shares` what share of all positions it is with each target, so they sum to 1.
    """

    every: Windows
    pairs: Windows
    of_pairs: Float[Tensor, " P"]
    contexts: Int[Tensor, "K C"]
    shares: Float[Tensor, "K V"]

    @classmethod
    def of(cls, batches: Batches, context: int, symbols: int) -> Population:
        """All positions of what `batches` draws from, each with its last `context` symbols."""
        every = batches.windows_of(np.arange(batches.symbols), context)
        rows = torch.cat([every.windows, every.targets[:, None]], 1).numpy().astype(np.int32)
        pairs, place = unique_rows(rows, symbols)
        counts = sum_by(place, np.ones(len(place)), len(pairs))
        contexts, owner = unique_rows(pairs[:, :-1], symbols)
        shares = torch.zeros(len(contexts), symbols)
        of_pairs = torch.from_numpy(counts / counts.sum())
        shares[torch.from_numpy(owner), torch.from_numpy(pairs[:, -1]).long()] = of_pairs.float()
        ids = torch.from_numpy(pairs).long()
        return cls(
            every, Windows(ids[:, :-1].contiguous(), ids[:, -1].contiguous()), of_pairs,
            torch.from_numpy(contexts).long(), shares,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.every.targets)

    def nats(self, model: MLP) -> Float[Tensor, ""]:
        """The mean loss over every position, in nats per symbol, from each window once."""
        return expected_nats(model.score(self.contexts), self.shares.to(model.output.weight.dtype))

    @torch.no_grad()
    def loss(self, model: MLP) -> float:
        """The same as a number."""
        return float(self.nats(model))

    def gradient(self, model: MLP) -> list[Tensor]:
        """The full gradient, by parameter: that of the mean loss over every position."""
        return list(torch.autograd.grad(self.nats(model), list(model.parameters())))

"""A model that looks back only so far, written out: each context it can stand in, what follows, where that leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.generating.draws import CELLS_AT_ONCE, PLAIN, How, adjust
from moreish.models.model import LanguageModel, WindowModel, device_of
from moreish.models.ngram import NGram
from moreish.shapes import BOUNDARY

MOST_CELLS = 1 << 23
"""Contexts x symbols up to which a model is written out: 64 MiB of float64, and as much again of where they lead."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Contexts are numbers. `log_probs` are those that lines are drawn by, after temperature and the like; `nats` are
    the model's own. `after` for the boundary, which ends a line, means nothing. It is all on the processor."""

    log_probs: Float[Tensor, "S V"]
    nats: Float[Tensor, "S V"]
    after: Int[Tensor, "S V"]
    start: int

    @property
    def symbols(self) -> int:
        """V, the boundary counted."""
        return self.nats.shape[1]

    def score(self, stream: np.ndarray) -> Float[Tensor, " L"]:
        """The nats of each line of a stream of ids, `0 e m m a 0 a v a 0`, by `log_probs`; the end counted."""
        ids = torch.from_numpy(stream.astype(np.int64))
        ends = (ids == BOUNDARY).nonzero()[:, 0]
        starts, sizes = ends[:-1] + 1, ends.diff()
        out = torch.zeros(len(sizes), dtype=torch.float64)
        at = torch.full((len(sizes),), self.start)
        order = torch.argsort(sizes, descending=True)
        for t in range(int(sizes.max()) if len(sizes) else 0):
            going = order[: int((sizes > t).sum())]
            cell = at[going] * self.symbols + ids[starts[going] + t]
            out[going] -= self.log_probs.view(-1)[cell]
            at[going] = self.after.reshape(-1)[cell]
        return out


def fits(model: LanguageModel[Any]) -> bool:
    """Whether a model has few enough contexts to be written out."""
    symbols = int(model.config.symbols)
    if isinstance(model, NGram):
        return model.is_dense
    return isinstance(model, WindowModel) and symbols ** (model.context + 1) <= MOST_CELLS


@torch.no_grad()
def chain_of(model: LanguageModel[Any], how: How = PLAIN) -> Chain:
    """The chain of a model that `fits`, as it is drawn from under these settings."""
    assert fits(model), "a model with few contexts"
    model.eval()
    if isinstance(model, NGram):
        log_probs, after = (table.cpu() for table in model.tables())
        after = after.long()
        begun = model.look_up(model.begin(1), torch.full((1,), BOUNDARY, device=device_of(model)))[1]
        start = int(begun[0])
    else:
        assert isinstance(model, WindowModel)
        log_probs, after = _windows(model)
        start = 0  # all boundaries
    drawn = log_probs
    if how != PLAIN:
        drawn = adjust(log_probs, *how).log()
    return Chain(drawn, -log_probs, after, start)


def _windows(model: WindowModel) -> tuple[Tensor, Tensor]:
    """Log-probabilities after each window, and the window after each symbol; a window's symbols are its digits."""
    symbols, count = int(model.config.symbols), int(model.config.symbols) ** model.context
    values = symbols ** torch.arange(model.context - 1, -1, -1)
    out = torch.empty(count, symbols, dtype=torch.float64)
    at_once = max(1, CELLS_AT_ONCE // (64 * symbols))
    for first in range(0, count, at_once):
        numbers = torch.arange(first, min(first + at_once, count))
        windows = torch.div(numbers[:, None], values, rounding_mode="floor").remainder_(symbols)
        logits = model.score(windows.to(device_of(model))).double().cpu()
        out[first : first + len(numbers)] = torch.log_softmax(logits, -1)
    after = (torch.arange(count)[:, None] * symbols + torch.arange(symbols)).remainder_(count)
    return out, after

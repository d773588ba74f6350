"""What a model of few windows says after each, read once: soon all are known, and nothing is read any more."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.generating.rows import LayOut, Rows, reading
from moreish.models.model import WindowModel

WINDOW_CELLS = 1 << 20
"""Windows x symbols up to which all windows are kept: three of 27 symbols."""


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Where lines stand: `cell` is the number of the last C symbols * symbols + the symbol drawn after them."""

    cell: Int[Tensor, " B"]

    def keep(self, rows: Int[Tensor, " K"]) -> WindowPlace:
        return WindowPlace(self.cell.index_select(0, rows))

    def drawn(self, cells: Int[Tensor, " B"], nats: Float[Tensor, " B"]) -> WindowPlace:
        return WindowPlace(cells)


class Windows:
    """A model of few windows, each read once: a window's number has its symbols as digits, to the base V."""

    def __init__(self, model: WindowModel, lay_out: LayOut, device: torch.device):
        self.reader, self.lay_out = reading(model), lay_out
        self.symbols = int(model.config.symbols)
        self.count = self.symbols**model.context
        self.rows = Rows(self.count, self.symbols, device)
        self.known = torch.zeros(self.count, dtype=torch.bool, device=device)
        self.values = self.symbols ** torch.arange(model.context - 1, -1, -1, device=device)

    @staticmethod
    def suit(model: WindowModel) -> bool:
        """Whether a model's windows are few enough for all of them to be kept."""
        return int(model.config.symbols) ** (model.context + 1) <= WINDOW_CELLS

    def stand(self, state: Int[Tensor, "B K"], last: Int[Tensor, " B"]) -> WindowPlace:
        """The place of lines that have read `state`, and then `last`."""
        return WindowPlace((state * self.values[:-1]).sum(1) + last)

    def read(self, place: WindowPlace) -> tuple[Int[Tensor, " B"], WindowPlace]:
        """The row that each line draws from, and the place of lines about to draw."""
        windows = place.cell.remainder(self.count)
        known = self.known.index_select(0, windows)
        if not bool(known.all()):
            fresh = windows[~known].unique()
            digits = torch.div(fresh[:, None], self.values, rounding_mode="floor").remainder_(self.symbols)
            logits, _ = self.reader(digits[:, -1:], digits[:, :-1])
            self.rows.make_room(self.count, logits)
            bounds, nats = (torch.empty_like(logits[:, 0], dtype=x.dtype) for x in (self.rows.bounds, self.rows.nats))
            self.lay_out(logits[:, 0], bounds, nats)
            self.rows.bounds.index_copy_(0, fresh, bounds)
            self.rows.nats.index_copy_(0, fresh, nats)
            self.known[fresh] = True
        return windows, place

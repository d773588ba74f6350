"""Distributions side by side, from which many lines draw at once; and how a model is asked for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.models.model import LanguageModel

Reader = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""`LanguageModel.reader`."""
LayOut = Callable[[Tensor, Tensor, Tensor], None]
"""Called with logits [D V], writes what is drawn from them: cumulative probabilities [D V], float64, each row's last 1,
and nats [D V]."""


class Rows:
    """Distributions, numbered: cumulative probabilities to draw from, and the nats of what was drawn."""

    def __init__(self, count: int, symbols: int, device: torch.device):
        self.symbols = symbols
        self.bounds = torch.empty(count, symbols, dtype=torch.float64, device=device)
        self.nats = torch.empty(count, symbols, device=device)

    def make_room(self, count: int, like: Tensor) -> None:
        """Hold `count` rows at least, nats in the precision of a model's logits, or float32 where they have less."""
        if count > self.bounds.shape[0]:
            count = max(count, 2 * self.bounds.shape[0])
            self.bounds, self.nats = longer(self.bounds, count), longer(self.nats, count)
        precision = torch.promote_types(like.dtype, torch.float32)
        if self.nats.dtype != precision:
            self.nats = self.nats.to(precision)

    def pick(self, rows: Int[Tensor, " B"], numbers: Float[Tensor, " B"]) -> tuple[Tensor, Tensor, Tensor]:
        """In each row the symbol at which its cumulative probability passes a number in [0, 1).

        Returns: the symbols, their nats, and their cells, row * symbols + symbol.
        """
        # A search in each of B short rows takes a fifth of B searches in all rows end to end, which miss the
        # processor's cache at every step.
        symbols = torch.searchsorted(self.bounds.index_select(0, rows), numbers[:, None], right=True)[:, 0]
        cells = torch.add(symbols, rows, alpha=self.symbols)
        return symbols, self.nats.view(-1).index_select(0, cells), cells


def reading(model: LanguageModel[Any]) -> Reader:
    """`model.reader()`, to be called in inference mode."""
    reader = model.reader()
    if reader is not model:
        return reader

    def read(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        # Tensors made in inference mode can never be learnt from, and a model may keep some of those it makes.
        with torch.inference_mode(False), torch.no_grad():
            return model(tokens, state)

    return read


def longer(tensor: Tensor, size: int) -> Tensor:
    """The same rows, with room for `size`."""
    out = tensor.new_empty(size, *tensor.shape[1:])
    out[: len(tensor)] = tensor
    return out

"""The multilayer perceptron on a window of context.

Source: Bengio, Ducharme, Vincent and Jauvin, A Neural Probabilistic Language Model (2003), equation 1: embeddings side
by side, tanh, softmax, and optionally direct connections from the embeddings to the logits; Karpathy, makemore parts 2
and 3; makemore.py, class MLP, whose blank is a choice here. Where we differ: any number of hidden layers, BatchNorm and
dropout by choice, characters for words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from moreish.layers import BatchNorm, Dropout, Embedding, Linear, may_fuse
from moreish.models.model import WindowModel, check_flag, check_share, check_size, check_whole, setting
from moreish.ops.arithmetic import add
from moreish.ops.pointwise import tanh
from moreish.ops.windows import WORTH, embed_linear, slot_table, slots_of, sum_slots
from moreish.randomness import stream
from moreish.shapes import BOUNDARY

MOST_CELLS = 1 << 24
"""Of the table that a reader works out once: 64 MiB."""


@dataclass(frozen=True)
class MLPConfig:
    """The MLP's settings."""

    symbols: int
    context: int = setting(9, "symbols that the next one is predicted from")
    embedding: int = setting(24, "numbers that stand for a symbol")
    hidden: int = setting(512, "units of each hidden layer")
    layers: int = setting(1, "hidden layers; two, with dropout 0.1, where neither they nor hidden are given")
    direct: bool = setting(False, "direct connections from the embeddings to the logits")
    dropout: float = setting(0.0, "share of hidden units dropped while learning")
    blank: bool = setting(False, "a symbol of its own stands before a line, as in makemore.py, not the boundary again")

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_whole(name, "symbols", self.symbols, 1, 10**9, "It counts the alphabet and the boundary.")
        check_whole(name, "context", self.context, 1, 1024, "Use 3 as in the lectures, or 8.")
        check_whole(name, "embedding", self.embedding, 1, 10**6, "Use 10, say.")
        check_whole(name, "hidden", self.hidden, 1, 10**7, "Use 200, say.")
        check_whole(name, "layers", self.layers, 1, 1000, "Use 1 or 2.")
        check_flag(name, "direct", self.direct)
        check_share(name, "dropout", self.dropout)
        check_flag(name, "blank", self.blank)
        inputs = self.context * self.embedding
        check_size(
            name,
            (self.symbols + self.blank) * self.embedding
            + (inputs + (self.layers - 1) * self.hidden + self.symbols) * self.hidden
            + (inputs * self.symbols if self.direct else 0),
            f"symbols={self.symbols:,}, context={self.context}, embedding={self.embedding:,}, hidden={self.hidden:,}, "
            f"layers={self.layers}",
        )


@dataclass(frozen=True)
class MLPBatchNormConfig(MLPConfig):
    """The MLP with BatchNorm: the lectures' settings of part 3 unless told otherwise."""

    context: int = setting(3, "symbols that the next one is predicted from")
    embedding: int = setting(10, "numbers that stand for a symbol")
    hidden: int = setting(200, "units of each hidden layer")
    layers: int = setting(1, "hidden layers")


class MLP(WindowModel):
    """logits = output(tanh(hidden(... tanh(hidden([e1 ... eC]))))), plus direct([e1 ... eC]) where asked."""

    normalized = False

    def __init__(self, config: MLPConfig, seed: int = 0):
        super().__init__()
        self.config = config
        self.context = config.context
        generator = stream(seed, "weights")
        inputs = config.context * config.embedding
        self.embedding = Embedding(config.symbols + config.blank, config.embedding, generator=generator)
        sizes = [inputs] + [config.hidden] * config.layers
        self.hidden = nn.ModuleList(
            # BatchNorm takes the mean out, and with it any bias before it.
            Linear(before, after, generator=generator, then="tanh", bias=not self.normalized)
            for before, after in pairwise(sizes)
        )
        self.norms = nn.ModuleList(BatchNorm(config.hidden) for _ in self.hidden) if self.normalized else None
        self.dropout = Dropout(config.dropout)
        self.output = Linear(config.hidden, config.symbols, generator=generator, output=True)
        self.direct = (
            Linear(inputs, config.symbols, generator=generator, bias=False, output=True) if config.direct else None
        )

    def score(self, windows: Int[Tensor, "M C"]) -> Float[Tensor, "M V"]:
        ids = blanked(windows, self.config.symbols) if self.config.blank else windows
        first = self._first()
        worth = len(ids) >= WORTH * len(self.embedding.weight) and self.direct is None
        if worth and may_fuse(self.embedding, first):
            return self._above(embed_linear(ids, self.embedding.weight, first.weight, first.bias))
        embedded = self.embedding(ids).flatten(1)
        logits = self._above(first(embedded))
        return logits if self.direct is None else add(logits, self.direct(embedded))

    def reader(self) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Symbol by symbol, with what each symbol brings to the first layer from each slot worked out once."""
        first = self._first()
        if self.training or self.direct is not None or not may_fuse(self.embedding, first):
            return self
        symbols = len(self.embedding.weight)
        if self.context * symbols * self.config.hidden > MOST_CELLS:
            return self
        with torch.no_grad():
            table = slot_table(self.embedding.weight, first.weight)
            if first.bias is not None:
                table[-symbols:] += first.bias  # each window takes one row of its last slot
            rows = slots_of(torch.zeros(1, self.context, dtype=torch.long), symbols)

        def read(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            if tokens.shape[1] != 1:
                return self(tokens, state)
            windows = torch.cat([state, tokens], 1)
            ids = blanked(windows, self.config.symbols) if self.config.blank else windows
            return self._above(sum_slots(ids + rows, table))[:, None], windows[:, 1:]

        return read

    def _first(self) -> Linear:
        first = self.hidden[0]
        assert isinstance(first, Linear)
        return first

    def _above(self, x: Float[Tensor, "M H"]) -> Float[Tensor, "M V"]:
        """Logits from what the first layer's linear map gives."""
        for i, hidden in enumerate(self.hidden):
            if i:
                x = hidden(x)
            if self.norms is not None:
                x = self.norms[i](x)
            x = self.dropout(tanh(x))
        return self.output(x)


class MLPBatchNorm(MLP):
    """The same with BatchNorm before each tanh: makemore part 3."""

    normalized = True


def blanked(windows: Int[Tensor, "M C"], blank: int) -> Int[Tensor, "M C"]:
    """Windows with `blank` for all that stands before a line: for whatever is older than their last boundary."""
    place = torch.arange(windows.shape[1], dtype=torch.int16, device=windows.device)
    start = (place * (windows == BOUNDARY)).amax(1, keepdim=True)  # 0 too where there is none: nothing is older
    return windows.masked_fill(place < start, blank)

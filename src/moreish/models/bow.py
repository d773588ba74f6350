"""The causal bag of words: a symbol sees the mean of all up to itself, in whatever order they came.

Source: Karpathy, makemore.py, CausalBoW and BoWBlock: x = symbols + positions; x = x + mean of all x so far;
x = x + down(tanh(up(x))); logits = output(x). Where we differ: a line may be longer than the table of positions, whose
last row then stands for all that follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.layers import Dropout, Embedding, Linear
from moreish.models.model import LanguageModel, check_share, check_size, check_whole, device_of, setting
from moreish.ops.arithmetic import add, divide, line_totals, running_total
from moreish.ops.pointwise import tanh
from moreish.randomness import stream


@dataclass(frozen=True)
class BagOfWordsConfig:
    """The bag's settings: makemore's sizes unless told otherwise."""

    symbols: int
    context: int = setting(32, "positions that are learnt; the mean is over all symbols so far")
    embedding: int = setting(64, "numbers that stand for a symbol and its place")
    hidden: int = setting(64, "units of the layer after the mean")
    dropout: float = setting(0.0, "share of hidden units dropped while learning")

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_whole(name, "symbols", self.symbols, 1, 10**9, "It counts the alphabet and the boundary.")
        check_whole(name, "context", self.context, 1, 10**6, "Use 32, or what the longest line has.")
        check_whole(name, "embedding", self.embedding, 1, 10**6, "Use 64, say.")
        check_whole(name, "hidden", self.hidden, 1, 10**7, "Use 64, say.")
        check_share(name, "dropout", self.dropout)
        check_size(
            name,
            (2 * self.symbols + self.context + 2 * self.hidden) * self.embedding,
            f"symbols={self.symbols:,}, context={self.context:,}, embedding={self.embedding:,}, hidden={self.hidden:,}",
        )


@dataclass(frozen=True, slots=True)
class Bag:
    """What was read: how many symbols, and the sum of their embeddings."""

    count: Int[Tensor, " B"]
    total: Float[Tensor, "B D"]


class BagOfWords(LanguageModel[Bag]):
    """One mean, one hidden layer, both added to what was there."""

    def __init__(self, config: BagOfWordsConfig, seed: int = 0):
        super().__init__()
        self.config = config
        generator = stream(seed, "weights")
        # At a line's start x is twice the sum of the two: with this its numbers have a deviation of 1.
        deviation = 8**-0.5
        self.embedding = Embedding(config.symbols, config.embedding, generator=generator, deviation=deviation)
        self.positions = Embedding(config.context, config.embedding, generator=generator, deviation=deviation)
        self.up = Linear(config.embedding, config.hidden, generator=generator, then="tanh")
        self.down = Linear(config.hidden, config.embedding, generator=generator)
        self.dropout = Dropout(config.dropout)
        self.output = Linear(config.embedding, config.symbols, generator=generator, output=True)

    def begin(self, batch: int) -> Bag:
        device, dtype = device_of(self), self.embedding.weight.dtype
        return Bag(
            torch.zeros(batch, dtype=torch.long, device=device),
            torch.zeros(batch, self.config.embedding, dtype=dtype, device=device),
        )

    def forward(self, tokens: Int[Tensor, "B T"], state: Bag) -> tuple[Float[Tensor, "B T V"], Bag]:
        places = state.count[:, None] + torch.arange(tokens.shape[1], device=tokens.device)
        x = self._embed(tokens, places)
        totals = add(state.total[:, None], running_total(x, axis=1))
        logits = self._logits(x, totals, places)
        # A reading of nothing leaves the sum as it was.
        total = totals[:, -1] if tokens.shape[1] else state.total
        return logits, Bag(state.count + tokens.shape[1], total)

    def read_lines(self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "N V"]:
        first = lengths.cumsum(0) - lengths
        places = torch.arange(len(tokens), device=tokens.device) - torch.repeat_interleave(first, lengths)
        x = self._embed(tokens, places)
        inside = torch.arange(int(lengths.max()), device=tokens.device) < lengths[:, None]
        return self._logits(x, line_totals(x, inside), places)

    def _embed(self, tokens: Int[Tensor, "*N"], places: Int[Tensor, "*N"]) -> Float[Tensor, "*N D"]:
        return add(self.embedding(tokens), self.positions(places.clamp(max=self.config.context - 1)))

    def _logits(
        self, x: Float[Tensor, "*N D"], totals: Float[Tensor, "*N D"], places: Int[Tensor, "*N"]
    ) -> Float[Tensor, "*N V"]:
        x = add(x, divide(totals, (places + 1)[..., None]))
        return self.output(add(x, self.down(self.dropout(tanh(self.up(x))))))

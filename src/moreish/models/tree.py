"""The tree: neighbours are fused two by two, level by level, until one is left.

Source: Karpathy, makemore part 5: FlattenConsecutive(2), a linear layer without bias, BatchNorm, tanh, at each level;
after van den Oord et al. 2016, figure 3. BatchNorm takes its statistics over every axis but the last, as the lecture
does once its bug is mended.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from moreish.errors import ConfigError
from moreish.layers import BatchNorm, Dropout, Embedding, Linear
from moreish.models.model import WindowModel, check_share, check_size, check_whole, setting
from moreish.ops.convolve import fuse
from moreish.ops.pointwise import tanh
from moreish.randomness import stream


@dataclass(frozen=True)
class TreeConfig:
    """The tree's settings: the lecture's 76,579 parameters for 27 symbols unless told otherwise."""

    symbols: int
    context: int = setting(8, "symbols that the next one is predicted from: 2, 4, 8, ...")
    embedding: int = setting(24, "numbers that stand for a symbol")
    hidden: int = setting(128, "units of each level")
    dropout: float = setting(0.0, "share of units dropped while learning")

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_whole(name, "symbols", self.symbols, 1, 10**9, "It counts the alphabet and the boundary.")
        check_whole(name, "context", self.context, 2, 1024, "Use 8 as in the lecture.")
        check_whole(name, "embedding", self.embedding, 1, 10**6, "Use 24, say.")
        check_whole(name, "hidden", self.hidden, 1, 10**6, "Use 128, say.")
        check_share(name, "dropout", self.dropout)
        if self.context & (self.context - 1):
            below = 1 << (self.context.bit_length() - 1)
            raise ConfigError(
                f"{name}: context={self.context} is not a power of two, so pairs would not come out even. "
                f"Use {below} or {2 * below}."
            )
        check_size(
            name,
            self.symbols * (self.embedding + self.hidden)
            + 2 * self.hidden * (self.embedding + (self.levels - 1) * self.hidden),
            f"symbols={self.symbols:,}, context={self.context}, embedding={self.embedding:,}, hidden={self.hidden:,}",
        )

    @property
    def levels(self) -> int:
        """Times that neighbours are fused."""
        return self.context.bit_length() - 1


class Tree(WindowModel):
    """logits = output(x), x = tanh(norm(hidden(fuse(x)))) once a level, from the embeddings on."""

    def __init__(self, config: TreeConfig, seed: int = 0):
        super().__init__()
        self.config = config
        self.context = config.context
        generator = stream(seed, "weights")
        self.embedding = Embedding(config.symbols, config.embedding, generator=generator)
        sizes = [config.embedding] + [config.hidden] * (config.levels - 1)
        self.hidden = nn.ModuleList(
            Linear(2 * size, config.hidden, generator=generator, then="tanh", bias=False) for size in sizes
        )
        self.norms = nn.ModuleList(BatchNorm(config.hidden) for _ in self.hidden)
        self.dropout = Dropout(config.dropout)
        self.output = Linear(config.hidden, config.symbols, generator=generator, output=True)

    def score(self, windows: Int[Tensor, "M C"]) -> Float[Tensor, "M V"]:
        x = self.embedding(windows)
        for hidden, norm in zip(self.hidden, self.norms):
            x = self.dropout(tanh(norm(hidden(fuse(x)))))
        return self.output(x[:, 0])

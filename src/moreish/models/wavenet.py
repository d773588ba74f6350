"""WaveNet: causal convolutions, each twice as far apart as the one before.

Source: van den Oord et al. 2016, WaveNet: A Generative Model for Raw Audio, sections 2.1 to 2.4 and figure 4: gated
units, residual and skip connections, blocks of dilations 1, 2, 4, ...; read symbol by symbol with queues as in Paine et
al. 2016, Fast WaveNet. Where we differ: symbols are embedded rather than one-hot; before a line stand boundary symbols,
as many as are looked for, where WaveNet pads with zeros; and the last layer, whose sum nobody reads, adds to none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from moreish.layers import Dropout, Embedding, Linear
from moreish.models.model import LanguageModel, check_share, check_size, check_whole, setting
from moreish.models.packing import pack
from moreish.ops.arithmetic import add, take
from moreish.ops.convolve import convolve_pair, gated
from moreish.ops.pointwise import relu
from moreish.randomness import stream
from moreish.shapes import BOUNDARY


@dataclass(frozen=True)
class WaveNetConfig:
    """WaveNet's settings. It sees `receptive_field` symbols: blocks * (2**layers - 1) + 1."""

    symbols: int
    width: int = setting(96, "numbers at each place, from layer to layer")
    skip: int = setting(192, "numbers that every layer adds to, from which the logits are made")
    layers: int = setting(4, "layers of a block, dilated 1, 2, 4, ...; it sees blocks * (2**layers - 1) + 1 symbols")
    blocks: int = setting(1, "blocks of layers, one upon the other")
    dropout: float = setting(0.1, "share of gated units dropped while learning")

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_whole(name, "symbols", self.symbols, 1, 10**9, "It counts the alphabet and the boundary.")
        check_whole(name, "width", self.width, 1, 10**6, "Use 96, say.")
        check_whole(name, "skip", self.skip, 1, 10**6, "Use as many as width, say.")
        check_whole(name, "layers", self.layers, 1, 20, "Use 4, which sees 16 symbols.")
        check_whole(name, "blocks", self.blocks, 1, 1000, "Use 1 or 2.")
        check_share(name, "dropout", self.dropout)
        count = self.layers * self.blocks
        check_size(
            name,
            self.symbols * (self.width + self.skip)
            + count * (4 * self.width**2 + self.skip * self.width)
            + (count - 1) * self.width**2
            + self.skip**2,
            f"symbols={self.symbols:,}, width={self.width:,}, skip={self.skip:,}, layers={self.layers}, "
            f"blocks={self.blocks}",
        )

    @property
    def dilations(self) -> tuple[int, ...]:
        """How far back each layer looks."""
        return tuple(2**i for i in range(self.layers)) * self.blocks

    @property
    def receptive_field(self) -> int:
        """Symbols that can change a prediction."""
        return sum(self.dilations) + 1


class Pair(Linear):
    """A linear map of what stood before and what stands now, side by side."""

    def forward(self, earlier: Float[Tensor, "*N K"], now: Float[Tensor, "*N K"]) -> Float[Tensor, "*N D"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return convolve_pair(earlier, now, self.weight, self.bias)


class Layer(nn.Module):
    """z = gated(pairs of x): adds W z to x, and another W z to the skip connections."""

    def __init__(self, config: WaveNetConfig, last: bool, generator: torch.Generator):
        super().__init__()
        width = config.width
        self.gated = Pair(2 * width, 2 * width, generator=generator, then=("tanh", "sigmoid"), gain=1.0)
        self.residual = None if last else Linear(width, width, generator=generator)
        self.skip = Linear(width, config.skip, generator=generator)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "*N D"], earlier: Float[Tensor, "*N D"]
    ) -> tuple[Float[Tensor, "*N D"], Float[Tensor, "*N K"]]:
        """The next layer's x, and what goes to the skip connections."""
        z = self.dropout(gated(self.gated(earlier, x)))
        return x if self.residual is None else add(x, self.residual(z)), self.skip(z)


class WaveNet(LanguageModel[tuple[Tensor, ...]]):
    """Its state is, for each layer, a queue of the last `dilation` inputs: float [B dilation D]."""

    def __init__(self, config: WaveNetConfig, seed: int = 0):
        super().__init__()
        self.config = config
        generator = stream(seed, "weights")
        self.embedding = Embedding(config.symbols, config.width, generator=generator)
        count = len(config.dilations)
        self.layers = nn.ModuleList(Layer(config, i == count - 1, generator) for i in range(count))
        self.mix = Linear(config.skip, config.skip, generator=generator, then="relu")
        self.output = Linear(config.skip, config.symbols, generator=generator, output=True)

    def begin(self, batch: int) -> tuple[Tensor, ...]:
        """Queues of what each layer is given where nothing but boundaries was read."""
        x = self.embedding.weight[BOUNDARY]
        queues = []
        for layer, dilation in zip(self.layers, self.config.dilations):
            queues.append(x.expand(batch, dilation, -1))
            x, _ = layer(x, x)
        return tuple(queues)

    def forward(
        self, tokens: Int[Tensor, "B T"], state: tuple[Tensor, ...]
    ) -> tuple[Float[Tensor, "B T V"], tuple[Tensor, ...]]:
        x, length = self.embedding(tokens), tokens.shape[1]
        queues, skips = [], []
        for layer, queue in zip(self.layers, state):
            inputs = torch.cat([queue, x], 1)
            queues.append(inputs[:, length:])
            x, skip = layer(x, inputs[:, :length])
            skips.append(skip)
        return self._logits(skips), tuple(queues)

    def read_lines(self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "N V"]:
        if torch.compiler.is_compiling():
            return super().read_lines(tokens, lengths)
        packed = pack(tokens, lengths, self.config.symbols, room=len(tokens))
        depths = packed.depths.view(-1)[packed.places]
        at = torch.arange(len(tokens), device=tokens.device)
        x = self.embedding(packed.tokens.view(-1))
        skips = []
        for layer, dilation in zip(self.layers, self.config.dilations):
            # A line's first place is a boundary after boundaries, and so is whatever is looked for before it.
            earlier = torch.empty(len(x), dtype=torch.long, device=x.device)
            earlier[packed.places] = packed.places[at - depths.clamp(max=dilation)]
            x, skip = layer(x, take(x, earlier))
            skips.append(skip)
        return take(self._logits(skips), packed.places)

    def _logits(self, skips: list[Float[Tensor, "*N K"]]) -> Float[Tensor, "*N V"]:
        total = skips[0]
        for skip in skips[1:]:
            total = add(total, skip)
        return self.output(relu(self.mix(relu(total))))

"""The bigram as a network: one linear layer on one-hot inputs.

Source: Karpathy, makemore part 1, second half. One-hot @ W chooses a row of W; its exponentials are read as counts,
the row divided by its sum (softmax) as probabilities, so the network can say exactly what the bigram table says.
Where we differ: W starts near zero rather than N(0, 1), so that the first loss is near ln V.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from moreish.errors import ConfigError
from moreish.layers import Map
from moreish.models.counts import Grams
from moreish.models.model import WindowModel, check_whole
from moreish.ops.affine import embed, linear
from moreish.randomness import stream

INITIAL_DEVIATION = 0.01
MOST_SYMBOLS = 20_000
FEW_SYMBOLS = 256
NEVER = -30.0
"""The closed form's logit, below the row's lowest, for a pair never seen: e**-30 is 1e-13."""


@dataclass(frozen=True)
class OneLayerConfig:
    """The one-layer network's settings; it has symbols**2 weights and no bias."""

    symbols: int

    def __post_init__(self) -> None:
        check_whole("OneLayerConfig", "symbols", self.symbols, 1, 10**9, "It counts the alphabet and the boundary.")
        if self.symbols > MOST_SYMBOLS:
            raise ConfigError(
                f"OneLayerConfig: symbols={self.symbols:,} needs {self.symbols**2 * 4 / 2**30:.1f} GiB of weights. "
                f"Use at most {MOST_SYMBOLS:,}, or the model bigram, which keeps only what was seen."
            )


class OneLayer(WindowModel):
    """logits = one_hot(symbol) @ W. W: float32 [V V], row = the symbol before, column = the symbol after."""

    context = 1

    def __init__(self, config: OneLayerConfig, seed: int = 0):
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.symbols, config.symbols))
        if not self.weight.is_meta:  # on the meta device only shapes are asked for
            nn.init.normal_(self.weight, std=INITIAL_DEVIATION, generator=stream(seed, "weights"))

    def maps(self) -> list[Map]:
        """The whole network. Of its inputs one is 1 and the others 0, so they add up as if there were one alone."""
        return [Map((self.weight.detach().t(),), (), "linear", 1, output=True)]

    def score(self, windows: Int[Tensor, "M C"]) -> Float[Tensor, "M V"]:
        symbols = windows[:, -1].long()
        if self.config.symbols > FEW_SYMBOLS:  # the same choice of rows without V multiplications for each number
            return embed(symbols, self.weight)
        return linear(F.one_hot(symbols, self.config.symbols).to(self.weight.dtype), self.weight.t())

    @torch.no_grad()
    def set_closed_form(self, pairs: Grams) -> None:
        """The weights that gradient descent goes towards: the logarithms of the bigram counts.

        A softmax is free to add a constant to its row, so log(counts) and log(probabilities) are the same model. A
        pair never seen would need minus infinity; it gets the row's lowest logit less 30.
        """
        assert pairs.order == 2 and pairs.symbols == self.config.symbols, "counts of another order or alphabet"
        counts = torch.zeros(self.weight.shape, dtype=torch.float64, device=self.weight.device)
        rows = torch.from_numpy(pairs.rows).long()
        counts[rows[:, 0], rows[:, 1]] = torch.from_numpy(pairs.counts).double().to(counts.device)
        total = counts.sum(1, keepdim=True)
        logits = torch.where(counts > 0, (counts / total).log(), torch.inf)
        lowest = logits.amin(1, keepdim=True)
        logits = torch.where(counts > 0, logits, lowest + NEVER)
        self.weight.copy_(torch.where(total > 0, logits, 0.0))

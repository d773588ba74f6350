"""The lecture's deep network, of any depth, with or without BatchNorm: embeddings, hidden layers, logits.

Source: Karpathy, makemore part 3, its six layers: the last symbols' embeddings side by side, linear maps each followed
by tanh, a last one to the logits. Where we differ: any depth and nonlinearity; weights begin by any name there is; in
float64, so that what dies down over fifty layers is measured and not rounded away; no BatchNorm after the last map.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from moreish.layers import BatchNorm, Embedding, Linear
from moreish.learning.batches import Windows
from moreish.learning.lsuv import scale
from moreish.models.initialization import initialize
from moreish.randomness import stream

NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
    "linear": lambda x: x,
}
CONTEXT, EMBEDDING = 3, 10
"""The lecture's."""
RATE = 0.1
"""Of its descent."""


class Deep(nn.Module):
    """`depth` linear maps: all but the last have `width` units and are followed by the nonlinearity."""

    def __init__(self, symbols: int, depth: int, width: int, nonlinearity: str, batchnorm: bool, seed: int):
        super().__init__()
        generator = stream(seed, "weights")
        self.then = NONLINEARITIES[nonlinearity]
        self.embedding = Embedding(symbols, EMBEDDING, generator=generator)
        sizes = [CONTEXT * EMBEDDING] + [width] * (depth - 2)
        self.hidden = nn.ModuleList(
            Linear(size, width, generator=generator, then=nonlinearity, bias=not batchnorm) for size in sizes
        )
        self.norms = nn.ModuleList(BatchNorm(width) for _ in sizes) if batchnorm else None
        self.output = Linear(width, symbols, generator=generator, output=True)
        self.double()

    def activations(self, windows: Int[Tensor, "M C"]) -> list[Float[Tensor, "M _"]]:
        """What each layer gives after its nonlinearity, and the logits at last."""
        x, found = self.embedding(windows).flatten(1), []
        for i, layer in enumerate(self.hidden):
            x = layer(x)
            x = self.then(x if self.norms is None else self.norms[i](x))
            found.append(x)
        return [*found, self.output(x)]

    def forward(self, windows: Int[Tensor, "M C"]) -> Float[Tensor, "M V"]:
        return self.activations(windows)[-1]

    def matrices(self) -> list[nn.Parameter]:
        """The weights of each layer, the last one's too."""
        return [layer.get_parameter("weight") for layer in (*self.hidden, self.output)]

    def begin(self, how: str, seed: int, gain: float | None, batch: Windows) -> None:
        """Draw the weights by a named initialisation; `batch` is what LSUV scales by.

        Raises:
            ConfigError: it means nothing for this network.
        """
        called = "a network without BatchNorm" if self.norms is None else "a network with BatchNorm"
        initialize(self, how, seed, gain=gain, called=called)
        if how == "lsuv":
            scale(self, lambda: self(batch.windows))

    def learn(self, batch: Windows) -> None:
        """Take a step of plain descent, as the lecture does."""
        loss = F.cross_entropy(self(batch.windows), batch.targets)
        named = [p for p in self.parameters() if p.requires_grad]
        with torch.no_grad():
            for p, gradient in zip(named, torch.autograd.grad(loss, named)):
                p.sub_(RATE * gradient)

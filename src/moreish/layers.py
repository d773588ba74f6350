"""Modules that own parameters and call ops; how each is initialised stands in one table.

Every layer takes its randomness as `generator`, so that a seed decides the weights and nothing else does. On the meta
device, where only shapes are asked for, nothing is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from moreish.ops.affine import embed, linear
from moreish.ops.normalize import EPSILON, batch_norm, layer_norm, normalize_by, rms_norm
from moreish.ops.pointwise import dropout

GAINS = {
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "gelu": math.sqrt(2),
    "silu": math.sqrt(2),
    "linear": 1.0,
    "sigmoid": 1.0,
}
"""What a weight's deviation is multiplied by so that what follows it neither dies down nor grows."""
OUTPUT_SCALE = 0.02
"""Of the last layer, so that a fresh model is unsure: its loss is near ln V (the lectures' mended hockey stick)."""

INITIAL = {
    "kaiming": lambda t, fan_in, gain, generator: t.normal_(0.0, gain / math.sqrt(fan_in), generator=generator),
    "uniform": lambda t, fan_in, gain, generator: t.uniform_(
        -gain * math.sqrt(3 / fan_in), gain * math.sqrt(3 / fan_in), generator=generator
    ),
    "normal": lambda t, fan_in, gain, generator: t.normal_(0.0, gain, generator=generator),
    "orthogonal": lambda t, fan_in, gain, generator: nn.init.orthogonal_(t, gain, generator=generator),
}
"""He et al. 2015, equation 10 (deviation gain / sqrt(inputs)); the same variance drawn evenly; a fixed deviation; and
Saxe et al. 2014, for weights that are applied again at every symbol."""


@dataclass(frozen=True, eq=False)
class Map:
    """A linear map that a layer learns, and what follows it: all that a rule for its first weights needs to know.

    `parts` are its weights, beside one another where it reads several things (a symbol and a state). They and `biases`
    share the parameters' memory without autograd, so that writing to them sets the parameters.
    """

    parts: tuple[Float[Tensor, "D _"], ...]
    biases: tuple[Float[Tensor, " D"], ...]
    then: str
    """What the sum goes through: a name of GAINS."""
    fan_in: int
    output: bool = False
    """Whether it gives the logits."""

    @property
    def fan_out(self) -> int:
        return self.parts[0].shape[0]


def fresh(shape: tuple[int, ...], how: str, fan_in: int, gain: float, generator: torch.Generator) -> nn.Parameter:
    """A parameter, initialised as the table says."""
    parameter = nn.Parameter(torch.empty(shape))
    if not parameter.is_meta:
        with torch.no_grad():
            INITIAL[how](parameter, fan_in, gain, generator)
    return parameter


def may_fuse(*parts: nn.Module) -> bool:
    """Whether an op may do at once what these modules do one by one: on a processor, in one precision, unwatched."""
    return (
        not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        # A hook on a part wants to see what that part gives.
        and not any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks for part in parts)
        and all(p.device.type == "cpu" for p in parts[0]._parameters.values() if p is not None)
    )


class Embedding(nn.Module):
    """A row of `width` numbers for each id. `output` marks one whose rows give the logits too."""

    def __init__(
        self, ids: int, width: int, *, generator: torch.Generator, deviation: float = 1.0, output: bool = False
    ):
        super().__init__()
        self.deviation, self.output = deviation, output
        self.weight = fresh((ids, width), "normal", 1, deviation, generator)

    def forward(self, ids: Int[Tensor, "*N"]) -> Float[Tensor, "*N D"]:
        return embed(ids, self.weight)

    def maps(self) -> list[Map]:
        """That to the logits, where the rows give them too."""
        width = self.weight.shape[1]
        return [Map((self.weight.detach(),), (), "linear", width, output=True)] if self.output else []


class Linear(nn.Module):
    """x @ weight.T + bias. `output` marks the layer that gives the logits.

    `then` names what follows, of several things each for an equal share of the outputs; the gain is by that unless
    another is given.
    """

    matrices: ClassVar[tuple[str, ...]] = ("weight",)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        generator: torch.Generator,
        then: str | tuple[str, ...] = "linear",
        gain: float | None = None,
        bias: bool = True,
        output: bool = False,
        how: str = "kaiming",
    ):
        super().__init__()
        self.output = output
        self.then = (then,) if isinstance(then, str) else then
        gain = GAINS[self.then[0]] if gain is None else gain
        self.weight = fresh((outputs, inputs), how, inputs, OUTPUT_SCALE if output else gain, generator)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Float[Tensor, "*N K"]) -> Float[Tensor, "*N D"]:
        return linear(x, self.weight, self.bias)

    def maps(self) -> list[Map]:
        """One for each thing that follows."""
        count, fan_in = len(self.then), self.weight.shape[1]
        biases = self.bias.detach().chunk(count) if self.bias is not None else ()
        return [
            Map((part,), tuple(biases[i : i + 1]), self.then[i], fan_in, self.output)
            for i, part in enumerate(self.weight.detach().chunk(count))
        ]

    def sums(self, inputs: tuple[Any, ...], output: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """What the maps gave when they were called with `inputs`, before whatever follows; side by side."""
        return output


class BatchNorm(nn.Module):
    """Normalised over every axis but the last, with gain and bias and running statistics.

    Learning, the batch's variance is divided by n; what is stored for evaluation is divided by n - 1, as an unbiased
    estimate (Ioffe and Szegedy 2015, algorithms 1 and 2; torch does the same).
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, width: int, *, momentum: float = 0.1, epsilon: float = EPSILON, gain: float = 1.0):
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.gain = nn.Parameter(torch.full((width,), gain))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_variance", torch.ones(width))

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        count = x.numel() // x.shape[-1]
        if not self.training or count < 2:  # one example has no variance: it is normalised by what was seen so far
            return normalize_by(x, self.running_mean, self.running_variance, self.gain, self.bias, epsilon=self.epsilon)
        with torch.no_grad():
            variance, mean = torch.var_mean(x.detach().reshape(-1, x.shape[-1]), 0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_variance.lerp_(variance, self.momentum)
        return batch_norm(x, self.gain, self.bias, epsilon=self.epsilon)


class LayerNorm(nn.Module):
    """Each row by its own mean and variance, with gain and bias."""

    def __init__(self, width: int, *, epsilon: float = EPSILON):
        super().__init__()
        self.epsilon = epsilon
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        return layer_norm(x, self.gain, self.bias, epsilon=self.epsilon)


class RMSNorm(nn.Module):
    """Each row by its root mean square, with a gain."""

    def __init__(self, width: int, *, epsilon: float = EPSILON):
        super().__init__()
        self.epsilon = epsilon
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        return rms_norm(x, self.gain, epsilon=self.epsilon)


class Dropout(nn.Module):
    """Drops units while learning, by a generator that the trainer sets, so that the data's order is none of its."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None

    def forward(self, x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
        if not self.training or self.rate == 0:
            return x
        kept = 1 - self.rate
        return dropout(x, torch.empty_like(x).bernoulli_(kept, generator=self.generator).div_(kept))


def set_dropout(model: nn.Module, generator: torch.Generator | None) -> None:
    """Where a model's dropout draws from; None is torch's own generator."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generator = generator


def hidden_matrices(model: nn.Module) -> Iterator[str]:
    """The names of a model's hidden matrices: neither embeddings nor what gives the logits. Muon is for these."""
    for prefix, module in model.named_modules():
        if not getattr(module, "output", False):
            for name in getattr(module, "matrices", ()):
                yield f"{prefix}.{name}" if prefix else name

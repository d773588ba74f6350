"""How weights begin, by name: the rules of the papers, and the lecture's steps from over-confident to BatchNorm.

Sources: He et al. 2015, Delving Deep into Rectifiers, equation 10, with a gain by what follows as in torch; Glorot and
Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, equation 16; Mishkin and Matas
2016, All you need is a good init, from Saxe et al. 2014 (its second half, on a batch of the list, is
`learning/lsuv.py`); Karpathy, makemore part 3. Where we differ: the papers' rules leave biases, and what stands for the
symbols, as the model has them; and where a symbol and a state are read side by side, fan-in counts both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from moreish.errors import ConfigError, did_you_mean
from moreish.layers import GAINS, INITIAL, BatchNorm, Embedding, Map
from moreish.randomness import stream

INITIALIZATIONS = {
    "default": "as each model has it: Kaiming by what follows; the last layer so small that the loss is near ln V",
    "kaiming": "every matrix N(0, gain² / fan-in), the gain by what follows: tanh 5/3, relu √2, linear 1",
    "xavier": "every matrix uniform, with variance 2 / (fan-in + fan-out)",
    "lsuv": "orthogonal, then layer by layer brought to unit variance on a batch of the list",
    "over-confident": "the lecture's first: every weight and bias N(0, 1)",
    "softmax-mended": "the same, but for the last layer: its weights times 0.01, its bias 0",
    "tanh-mended": "and the hidden layers: weights times 0.2, biases times 0.01",
    "kaiming-lecture": "and hidden weights 5/3 / √fan-in in place of 0.2",
    "batchnorm": "the same under BatchNorm",
}
"""What `--initialization` may be, each with its meaning."""


@dataclass(frozen=True)
class Step:
    """The deviations that the lecture draws with at one of its steps; `by_root`: `hidden` over the root of fan-in."""

    hidden: float = 1.0
    hidden_bias: float = 1.0
    output: float = 1.0
    output_bias: float = 1.0
    by_root: bool = False


KAIMING = Step(hidden=5 / 3, hidden_bias=0.01, output=0.01, output_bias=0.0, by_root=True)
LECTURE = {
    "over-confident": Step(),
    "softmax-mended": Step(output=0.01, output_bias=0.0),
    "tanh-mended": Step(hidden=0.2, hidden_bias=0.01, output=0.01, output_bias=0.0),
    "kaiming-lecture": KAIMING,
    "batchnorm": KAIMING,
}
STREAM = "bench/start"
"""That from which the lecture's steps were drawn before they had names: the stored results are theirs to the bit."""


def check_name(name: str) -> None:
    """Refuse what is no initialisation.

    Raises:
        ConfigError: says which was probably meant.
    """
    if name not in INITIALIZATIONS:
        raise ConfigError(f"no initialization is called {name!r:.60}. {did_you_mean(str(name), INITIALIZATIONS)}")


def check_suits(name: str, model: nn.Module, called: str) -> None:
    """Refuse an initialisation that means nothing for a model; one on the meta device will do.

    Args:
        called: the model's name, for the sentence.

    Raises:
        ConfigError
    """
    check_name(name)
    if name == "default":
        return
    told = f"--initialization {name} is"
    if getattr(model, "fitted_by_counting", False):
        raise ConfigError(f"{told} for weights that are learnt, and {called} is fitted by counting. Leave it out.")
    if name == "batchnorm" and not any(isinstance(module, BatchNorm) for module in model.modules()):
        raise ConfigError(
            f"{told} the lecture's start of a network with BatchNorm, and {called} has none. Use mlp-bn or tree, or "
            f"--initialization kaiming-lecture."
        )
    if name in ("tanh-mended", "kaiming-lecture") and all(each.output for each in maps(model)):
        raise ConfigError(
            f"{told} about hidden layers, and {called} has none. Use --initialization softmax-mended, which is about "
            f"the last."
        )
    if name == "lsuv" and any(isinstance(module, Embedding) and module.output for module in model.modules()):
        raise ConfigError(
            f"{told} for layers that can be scaled one by one, and with tie the embedding is the first and the last "
            f"at once. Use --tie false, or --initialization kaiming."
        )


def maps(model: nn.Module) -> Iterator[Map]:
    """All linear maps of a model but the choice of a row for each symbol, those that give the logits last."""
    layers = [cast("Any", module) for module in model.modules() if hasattr(module, "maps")]
    found = [each for layer in layers for each in layer.maps()]
    yield from sorted(found, key=lambda each: each.output)


@torch.no_grad()
def initialize(
    model: nn.Module, name: str, seed: int, *, gain: float | None = None, called: str = "this model"
) -> None:
    """Draw a model's weights anew, as a named initialisation has it; `default` leaves them as they are.

    Of `lsuv` this is the first half, orthogonal weights; `learning.lsuv.scale` is the second.

    Args:
        seed: decides the weights, and nothing else does.
        gain: of `kaiming`, for all hidden maps in place of that by what follows; of `xavier`, a factor.
        called: the model's name, for errors.

    Raises:
        ConfigError: no such initialisation, or one that means nothing for this model.
    """
    check_suits(name, model, called)
    if name in LECTURE:
        _draw_step(model, LECTURE[name], stream(seed, STREAM))
    elif name != "default":
        generator = stream(seed, f"weights/{name}")
        for each in maps(model):
            _draw(each, name, gain, generator)


def _draw(each: Map, name: str, gain: float | None, generator: torch.Generator) -> None:
    """By one of the papers' rules."""
    if name == "kaiming":
        gain = GAINS[each.then] if gain is None or each.output else gain
        for part in each.parts:
            INITIAL["kaiming"](part, each.fan_in, gain, generator)
    elif name == "xavier":
        # Drawn evenly up to the root of three times the variance: equation 16's ± √6 / √(fan-in + fan-out).
        fans = (each.fan_in + each.fan_out) / 2
        for part in each.parts:
            INITIAL["uniform"](part, fans, 1.0 if gain is None or each.output else gain, generator)
    else:
        whole = torch.empty(each.fan_out, sum(part.shape[1] for part in each.parts))
        INITIAL["orthogonal"](whole, each.fan_in, 1.0, generator)
        for part, drawn in zip(each.parts, whole.split([part.shape[1] for part in each.parts], 1)):
            part.copy_(drawn)


def _draw_step(model: nn.Module, step: Step, generator: torch.Generator) -> None:
    """By one of the lecture's; what stands for the symbols has a deviation of 1 in all of them."""
    for each in maps(model):
        deviation = step.output if each.output else step.hidden / (math.sqrt(each.fan_in) if step.by_root else 1)
        for part in each.parts:
            part.normal_(0, deviation, generator=generator)
        for bias in each.biases:
            bias.normal_(0, step.output_bias if each.output else step.hidden_bias, generator=generator)
    for module in model.modules():
        if isinstance(module, Embedding) and not module.output:
            module.weight.mul_(1 / module.deviation)

"""How activations and gradients go through a deep network as it begins, layer by layer, with and without BatchNorm.

Measured on a list: batches of windows go forward and back through the lecture's network (`network.py`), nothing is
learnt unless asked. The sentences are in words.py. Source: Karpathy, makemore part 3; He et al. 2015, section 2.2;
Glorot and Bengio 2010, sections 4.2 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from moreish.errors import ConfigError, did_you_mean
from moreish.explaining.initialization.histograms import Histogram, histogram
from moreish.explaining.initialization.network import CONTEXT, NONLINEARITIES, Deep
from moreish.explaining.telling import Told, last
from moreish.layers import GAINS
from moreish.learning.batches import Batches
from moreish.learning.vitals import SATURATED, SIGMOID_SATURATED
from moreish.models.initialization import check_name
from moreish.models.model import check_flag, check_whole
from moreish.randomness import stream
from moreish.text.corpus import Corpus

BATCHES = 20
"""Batches that are measured together."""
SCALED_BY = 512
"""Windows that LSUV scales by."""
MOST_CELLS = 20_000_000
"""Activations kept at once."""
FLAT = {
    "tanh": (-SATURATED, SATURATED),
    "sigmoid": (1 - SIGMOID_SATURATED, SIGMOID_SATURATED),
    "relu": (0.0, math.inf),
}
"""Beyond these a unit passes next to no gradient: it is saturated, or of a rectifier off. Sigmoid's are tanh's, for
tanh(x) = 2 sigmoid(2x) - 1."""
BOUNDED = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
GAINED = ("kaiming", "xavier")
MOST_GAIN = 10.0


@dataclass(frozen=True)
class Layer:
    """What goes through one layer. `mean` and `deviation` are of what it gives after the nonlinearity.

    `flat` is the share of values where the nonlinearity passes next to no gradient (|tanh| above 0.97; a rectifier's
    zeros), `dead` the share of units that are so on every example; None where the nonlinearity has no such place.
    `gradient_mean` and `gradient_deviation` are of the loss's gradient there; `ratio` is the deviation of the weights'
    gradient over that of the weights.
    """

    layer: int
    then: str
    mean: float
    deviation: float
    flat: float | None
    dead: float | None
    gradient_mean: float
    gradient_deviation: float
    weight_deviation: float
    weight_gradient_deviation: float
    ratio: float | None
    activations: Histogram
    gradients: Histogram
    weight_gradients: Histogram


@dataclass(frozen=True)
class Flow:
    """All layers of one network. `loss` is its mean loss on the batches, nats per symbol.

    `activation_factor` is what the activations' deviation is multiplied by from one hidden layer to the next, upwards,
    and `gradient_factor` the gradients', downwards: geometric means, None where there is one hidden layer, or one that
    gives nothing.
    """

    batchnorm: bool
    loss: float
    activation_factor: float | None
    gradient_factor: float | None
    layers: list[Layer]

    @property
    def hidden(self) -> list[Layer]:
        """All but the last."""
        return self.layers[:-1]


@dataclass(frozen=True)
class Initialization:
    """What was asked for, and what came of it. `gain` is that given; None where it follows from the nonlinearity."""

    list: str
    symbols: int
    initialization: str
    depth: int
    width: int
    nonlinearity: str
    gain: float | None
    batch: int
    batches: int
    steps: int
    seed: int
    networks: list[Flow]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def initialization(
    source: str | Corpus = "names",
    *,
    init: str = "kaiming",
    depth: int = 6,
    width: int = 100,
    nonlinearity: str = "tanh",
    gain: float | None = None,
    batchnorm: bool | None = None,
    batch: int = 32,
    steps: int = 0,
    seed: int = 0,
) -> Initialization:
    """Activations and gradients of a deep network, layer by layer, as an initialisation lets them begin.

    Args:
        source: a corpus, or what `Corpus.read` takes.
        init: one of `INITIALIZATIONS`.
        depth: linear maps, the last one to the logits included: 2 to 50.
        gain: of kaiming, in place of that by the nonlinearity; of xavier, a factor.
        batchnorm: with it, without it, or both (None).
        steps: of descent at a rate of 0.1 before anything is measured; the lecture shows its network after 1,000.

    Raises:
        ConfigError: a value out of its range, or ones that do not go together.
    """
    corpus = source if isinstance(source, Corpus) else Corpus.read(source)
    return last(
        measured(
            corpus,
            init=init,
            depth=depth,
            width=width,
            nonlinearity=nonlinearity,
            gain=gain,
            batchnorm=batchnorm,
            batch=batch,
            steps=steps,
            seed=seed,
        ),
        Initialization,
    )


def measured(
    corpus: Corpus,
    *,
    init: str,
    depth: int,
    width: int,
    nonlinearity: str,
    gain: float | None,
    batchnorm: bool | None,
    batch: int,
    steps: int,
    seed: int,
) -> Iterator[Told | Initialization]:
    """As `initialization`, telling how far it is.

    Raises:
        ConfigError: see there.
    """
    variants = _check(init, depth, width, nonlinearity, gain, batchnorm, batch, steps)
    batches = Batches(corpus.train, corpus.alphabet, batch, seed)
    count = max(1, min(BATCHES, MOST_CELLS // (batch * width * depth)))
    total, flows = (steps + count) * len(variants), []
    for i, normalized in enumerate(variants):
        net = Deep(len(corpus.alphabet), depth, width, nonlinearity, normalized, seed)
        drawn = torch.randint(batches.symbols, (SCALED_BY,), generator=stream(seed, "init/lsuv"))
        net.begin(init, seed, gain, batches.windows_of(drawn.numpy(), CONTEXT))
        for step in range(steps):
            yield Told(i * (steps + count) + step, total)
            net.learn(batches.windows_at(step, CONTEXT))
        yield Told(i * (steps + count) + steps, total)
        flows.append(_flow(net, batches, count, seed, nonlinearity))
    yield Initialization(
        corpus.name, len(corpus.alphabet), init, depth, width, nonlinearity, gain, batch, count, steps, seed, flows
    )


def _check(
    init: str, depth: int, width: int, nonlinearity: str, gain: float | None, batchnorm: bool | None, batch: int,
    steps: int,
) -> list[bool]:  # fmt: skip
    """Refuse what cannot be; which networks are asked for, by whether they have BatchNorm."""
    check_name(init)
    check_whole("init", "depth", depth, 2, 50, "Use 6 as in the lecture.")
    check_whole("init", "width", width, 1, 512, "Use 100 as in the lecture.")
    check_whole("init", "batch", batch, 2, 4096, "Use 32 as in the lecture.")
    check_whole("init", "steps", steps, 0, 100_000, "Use 0, or 1000 as in the lecture.")
    if nonlinearity not in NONLINEARITIES:
        raise ConfigError(
            f"no nonlinearity is called {nonlinearity!r:.60}. {did_you_mean(str(nonlinearity), NONLINEARITIES)}"
        )
    if gain is not None:
        if init not in GAINED:
            raise ConfigError(f"a gain is of {' and '.join(GAINED)}; {init} has none. Leave it out, or use kaiming.")
        if isinstance(gain, bool) or not isinstance(gain, (int, float)) or not 0 < gain <= MOST_GAIN:
            raise ConfigError(f"gain={gain!r} is not a number above 0 and up to {MOST_GAIN:g}. Use 5/3 for tanh, say.")
    if batch * width * depth > MOST_CELLS:
        raise ConfigError(
            f"batch={batch}, width={width}, depth={depth} make {batch * width * depth:,} activations at once; at most "
            f"{MOST_CELLS:,} are kept. Use a smaller batch."
        )
    if batchnorm is None:
        return [True] if init == "batchnorm" else [False, True]
    check_flag("init", "batchnorm", batchnorm)
    if init == "batchnorm" and not batchnorm:
        raise ConfigError("batchnorm is the lecture's start of a network with BatchNorm. Use kaiming-lecture without.")
    return [batchnorm]


def gain_of(found: Initialization) -> float | None:
    """What hidden weights' deviation is multiplied by, where the initialisation has such a number."""
    if found.gain is not None or found.initialization not in (*GAINED, "default"):
        return found.gain
    return 1.0 if found.initialization == "xavier" else GAINS[found.nonlinearity]


def _flow(net: Deep, batches: Batches, count: int, seed: int, nonlinearity: str) -> Flow:
    """What goes through a network, over `count` batches: BatchNorm has the statistics of each, as in learning."""
    net.train()
    generator = stream(seed, "init/measured")
    weights, seen, losses = net.matrices(), [], []
    for _ in range(count):
        drawn = torch.randint(batches.symbols, (batches.size,), generator=generator)
        batch = batches.windows_of(drawn.numpy(), CONTEXT)
        given = net.activations(batch.windows)
        loss = F.cross_entropy(given[-1], batch.targets)
        gradients = torch.autograd.grad(loss, [*given, *weights])
        losses.append(loss.item())
        seen.append(([each.detach() for each in given], gradients[: len(given)], gradients[len(given) :]))
    layers = []
    for i, weight in enumerate(weights):
        activations, gradients = (torch.cat([one[part][i] for one in seen]) for part in (0, 1))
        then = nonlinearity if i < len(weights) - 1 else "linear"
        layers.append(_layer(i + 1, then, activations, gradients, weight.detach(), [one[2][i] for one in seen]))
    hidden = layers[:-1]
    return Flow(
        net.norms is not None,
        math.fsum(losses) / count,
        _factor([layer.deviation for layer in hidden]),
        _factor([layer.gradient_deviation for layer in reversed(hidden)]),
        layers,
    )


def _layer(
    number: int, then: str, activations: Tensor, gradients: Tensor, weight: Tensor, weight_gradients: list[Tensor]
) -> Layer:
    flat = dead = None
    if then in FLAT:
        low, high = FLAT[then]
        is_flat = (activations <= low) | (activations >= high)
        flat, dead = _share(is_flat), _share(is_flat.all(0))
    pushed = torch.stack(weight_gradients)
    deviation, of_gradient = _deviation(weight), _deviation(pushed)
    return Layer(
        number,
        then,
        float(activations.mean()),
        _deviation(activations),
        flat,
        dead,
        float(gradients.mean()),
        _deviation(gradients),
        deviation,
        of_gradient,
        of_gradient / deviation if deviation else None,
        histogram(activations, BOUNDED.get(then)),
        histogram(gradients, None),
        histogram(pushed, None),
    )


def _deviation(values: Tensor) -> float:
    return float(values.std(correction=0))


def _share(what: Tensor) -> float:
    return float(what.double().mean())


def _factor(deviations: list[float]) -> float | None:
    if len(deviations) < 2 or min(deviations) == 0:
        return None
    return (deviations[-1] / deviations[0]) ** (1 / (len(deviations) - 1))

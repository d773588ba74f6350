"""What the figures on a network's beginning say: a sentence on what is normal, and a verdict on each network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from moreish.explaining.initialization.flow import Flow, Initialization, Layer, gain_of

TIMES = 10.0
"""What a deviation may change by from one end of the network to the other and still be called steady."""
MUCH = 0.1
"""The share of values that may be saturated, or of units dead, in any layer."""
STEADY = "steady"


@dataclass(frozen=True)
class Verdict:
    """What is right or wrong with a network's beginning.

    `activations` is steady, shrinking, growing or silent (a layer gives the same for every example); `gradients` is
    steady, vanishing, exploding or silent; either is None where there is one hidden layer, and nothing to compare.
    `saturated` and `dead` name the layers where too much is.
    """

    batchnorm: bool
    activations: str | None
    gradients: str | None
    saturated: list[int]
    dead: list[int]
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def verdict_on(flow: Flow) -> Verdict:
    """By how much activations and gradients change over all hidden layers, and by what sticks."""
    hidden, layers = flow.hidden, len(flow.hidden)
    activations = _change([layer.deviation for layer in hidden], ("shrinking", "growing"))
    gradients = _change([layer.gradient_deviation for layer in reversed(hidden)], ("vanishing", "exploding"))
    bounded = hidden[0].then in ("tanh", "sigmoid")
    saturated = [layer.layer for layer in hidden if bounded and (layer.flat or 0) > MUCH]
    dead = [layer.layer for layer in hidden if (layer.dead or 0) > MUCH]
    said = [_of_activations(flow, activations), _of_gradients(flow, gradients), _of_stuck(hidden, saturated, dead)]
    if layers < 2:
        said.insert(0, "One hidden layer: there is nothing to compare by depth.")
    return Verdict(flow.batchnorm, activations, gradients, saturated, dead, " ".join(each for each in said if each))


def explained(found: Initialization) -> dict[str, str]:
    """A sentence or two for each figure, by its name: what it is, and what is normal."""
    then = found.nonlinearity
    last = "; the last layer's are the logits"
    deviation = {
        "tanh": "Normal: 0.6 to 0.7 everywhere (0.63 is tanh of what is normalised)",
        "sigmoid": "Normal: the same everywhere, 0.21 where it is normalised",
        "relu": "Normal: the same everywhere, 0.6 to 0.8",
    }.get(then, "Normal: the same everywhere")
    words = {
        "deviation": f"How far a layer's values scatter after {_named(then)}{last}. {deviation}.",
        "gradient": (
            "The deviation of the gradient of a batch's mean loss at those values. Normal: the same everywhere, for a "
            "layer learns by what reaches it."
        ),
        "ratio": (
            "The deviation of the weights' gradient over that of the weights. Times the learning rate it is how much a "
            "step of SGD changes them, about 1e-3 being good. Normal: alike in all layers, but for the last."
        ),
    }
    if then in ("tanh", "sigmoid"):
        beyond = "beyond 0.97 or below -0.97" if then == "tanh" else "above 0.985 or below 0.015"
        words["flat"] = f"The share of values {beyond}, where next to no gradient passes. Normal: up to 5 %."
    elif then == "relu":
        words["flat"] = "The share of zeros, which pass no gradient. Normal: about 50 %."
    return words


def heading(found: Initialization) -> str:
    """What was measured, in a line."""
    gain = gain_of(found)
    told = "" if gain is None else f", gain {gain:.4g}"
    after = f", after {found.steps:,} steps" if found.steps else ""
    hidden = found.depth - 1
    layers = f"{hidden} hidden layer{'s' if hidden > 1 else ''} of {found.width} and a last one"
    return f"{found.initialization}{told}: {layers}, {_named(found.nonlinearity)}{after}"


def measured_on(found: Initialization) -> str:
    """Of how much the figures are."""
    return (
        f"Over {found.batches} batches of {found.batch} windows, for BatchNorm each by itself. Layers are counted from "
        f"the embeddings up."
    )


def network_named(flow: Flow) -> str:
    """The heading of one network."""
    return "With BatchNorm" if flow.batchnorm else "Without BatchNorm"


def _named(then: str) -> str:
    return {"linear": "nothing (linear)", "relu": "ReLU", "gelu": "GELU", "sigmoid": "the sigmoid"}.get(then, then)


def _change(deviations: list[float], names: tuple[str, str]) -> str | None:
    """Given in the order in which they pass."""
    if len(deviations) < 2:
        return None
    if min(deviations) == 0:
        return "silent"
    change = deviations[-1] / deviations[0]
    return names[0] if change < 1 / TIMES else names[1] if change > TIMES else STEADY


def _of_activations(flow: Flow, found: str | None) -> str:
    if found is None:
        return ""
    if found == "silent":
        first = next(layer.layer for layer in flow.hidden if layer.deviation == 0)
        return f"Activations are silent: layer {first} gives the same for every example."
    assert flow.activation_factor is not None
    verb = {"shrinking": "shrink", "growing": "grow", STEADY: "are steady"}[found]
    return f"Activations {verb}: {_told(flow, flow.activation_factor, 'upwards')}."


def _of_gradients(flow: Flow, found: str | None) -> str:
    if found is None:
        return ""
    if found == "silent":
        last = max(layer.layer for layer in flow.hidden if layer.gradient_deviation == 0)
        return f"Gradients are silent: none reaches layer {last}."
    assert flow.gradient_factor is not None
    verb = {"vanishing": "vanish", "exploding": "explode", STEADY: "are steady"}[found]
    return f"Gradients {verb}: {_told(flow, flow.gradient_factor, 'downwards')}."


def _told(flow: Flow, factor: float, way: str) -> str:
    """The factor for a layer, and what comes of it over all."""
    times = len(flow.hidden) - 1
    over = "" if times == 1 else f", × {_times(factor**times)} over {times}"
    return f"× {_times(factor)} a layer {way}{over}"


def _times(factor: float) -> str:
    if factor >= 1e6 or factor < 0.01:
        return f"{factor:.0e}"
    return f"{float(f'{factor:.2g}'):,.0f}" if factor >= 10 else f"{factor:.2f}"


def _of_stuck(hidden: list[Layer], saturated: list[int], dead: list[int]) -> str:
    """Dead units are told of alone: a unit that is dead is saturated, too."""
    if dead:
        return f"Dead units in {_most(dead, [layer.dead or 0.0 for layer in hidden])} of them."
    return f"Saturated: {_most(saturated, [layer.flat or 0.0 for layer in hidden])} of its values." if saturated else ""


def _most(numbers: list[int], shares: list[float]) -> str:
    """The layers, and how bad the worst of them is."""
    worst = "," if len(numbers) == 1 else f", most in layer {1 + shares.index(max(shares))}:"
    return f"{_layers(numbers)}{worst} {100 * max(shares):.0f} %"


def _layers(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"layer {numbers[0]}"
    if len(numbers) == 2:
        return f"layers {numbers[0]} and {numbers[1]}"
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"layers {numbers[0]} to {numbers[-1]}"
    return f"{len(numbers)} layers"

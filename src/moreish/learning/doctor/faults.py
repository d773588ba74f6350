"""The faults that the doctor knows: what each is, what mends it, and how it is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moreish.learning.doctor.setup import Setup
from moreish.learning.finder import LEAST_LINES, find_lr
from moreish.learning.recipes import TUNED
from moreish.models.catalog import MODELS

DEEP = {"mlp": 8, "rnn": 6, "gru": 5}
"""Layers of a model in which gradients are planted to be lost or to grow from layer to layer."""
TOO_HIGH, TOO_LOW = 40.0, 0.002
"""What a planted learning rate is multiplied by."""
NARROW_EMBEDDING, NARROW_HIDDEN = 1, 2
WIDE_EMBEDDING, WIDE_HIDDEN = 10, 64
"""What is suggested in their place: the lectures' embedding, and units enough to do better than counting pairs."""
USUAL_BATCH = 32
BY_HEART: dict[str, Any] = {"optimizer": "adamw", "lr": 2e-2, "weight_decay": 0.0, "batch": 128, "batch_of": "lines"}
LARGE: dict[str, Any] = {"hidden": 512, "context": 8, "dropout": 0.0}
"""How a list is learnt by heart: a large network without anything that holds it back, on 3,000 lines at most."""
POINTS = 60
"""Rates that are tried where another is needed."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault: its name, what it is in a sentence, the smallest fix, and its plant.

    `flag` is the fix as a flag of `moreish train`, "" where none mends it; `code` a line of code that does in a loop of
    one's own. `plant` is None for what is wrong with a list alone. `suits` says of which models it can be; None: of
    every network.
    """

    name: str
    what: str
    flag: str
    code: str
    mend: Callable[[Setup], Setup]
    plant: Callable[[Setup], Setup] | None = None
    suits: Callable[[str], bool] | None = None

    @property
    def models(self) -> list[str]:
        """The networks that it can be planted in."""
        return [name for name in networks() if self.plant is not None and (self.suits is None or self.suits(name))]


def networks() -> list[str]:
    """The models that learn from minibatches."""
    return [name for name, entry in MODELS.items() if entry.learns_by_gradient and name != "one-layer"]


def deep(setup: Setup) -> Setup:
    """The same model with layers enough for gradients to be lost in."""
    return setup.with_settings(layers=DEEP[setup.recipe.model])


def better_rate(setup: Setup) -> float:
    """The learning rate that a search suggests for this training; the model's tuned one where it suggests none."""
    if len(setup.train) >= LEAST_LINES:
        found = find_lr(setup.begin(), points=POINTS, seeds=1, seed=setup.recipe.seed).suggestion
        if found is not None:
            return float(f"{found:.2g}")
    return 0.1 if setup.recipe.optimizer == "sgd" else float(TUNED.get(setup.recipe.model, {}).get("lr", 3e-3))


def _has(field: str) -> Callable[[str], bool]:
    return lambda name: field in {key.name for key in MODELS[name].settings()}


def _among(*names: str) -> Callable[[str], bool]:
    return lambda name: name in names


def _rate(factor: float) -> Callable[[Setup], Setup]:
    return lambda setup: setup.with_learning(lr=setup.recipe.lr * factor)


def _wider(size: str, least: int) -> Callable[[Setup], Setup]:
    return lambda setup: setup.with_settings(**{size: max(least, int(setup.recipe.settings.get(size, 0)))})


def _larger_batch(setup: Setup) -> Setup:
    return setup.with_learning(batch=max(USUAL_BATCH, setup.recipe.batch))


def _by_heart(setup: Setup) -> Setup:
    own = {name: value for name, value in LARGE.items() if _has(name)(setup.recipe.model)}
    return setup.with_settings(**own).with_learning(**BY_HEART).with_defect("few-lines")


def _as_new(name: str) -> Callable[[Setup], Setup]:
    """Weights that begin as they do by default, and not as a defect or a setting has them."""
    return lambda setup: setup.without(name).with_learning(initialization="default")


def _defective(name: str, what: str, flag: str, code: str, suits: Callable[[str], bool] | None = None) -> Fault:
    """A fault that is a defect of the loop or of the weights at the start, and mended by leaving it out."""
    return Fault(
        name, what, flag, code, _as_new(name) if flag == BY_INITIALISATION else lambda setup: setup.without(name),
        lambda setup: setup.with_defect(name), suits,
    )  # fmt: skip


def _by_depth(name: str, what: str, code: str, *models: str) -> Fault:
    return Fault(
        name, what, BY_INITIALISATION, code, _as_new(name),
        lambda setup: deep(setup).with_defect(name), _among(*models),
    )  # fmt: skip


SATURATING = _among("mlp", "mlp-bn", "tree", "rnn", "gru", "bow", "wavenet")
DYING = _among("mlp", "mlp-bn", "tree", "rnn", "wavenet")
NORMALIZED = _among("mlp-bn", "tree")
BY_INITIALISATION = "--initialization default"

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        _defective(
            "overconfident-output",
            "the output layer begins sure of itself and wrong, so the first steps only squash it (the hockey stick)",
            BY_INITIALISATION,
            "output.weight *= 0.01; output.bias *= 0",
        ),
        _defective(
            "saturated",
            "most of a tanh's results are near -1 or 1, where hardly any gradient passes",
            BY_INITIALISATION,
            "weight = torch.randn(fan_in, fan_out) * (5 / 3) / fan_in**0.5",
            SATURATING,
        ),
        _defective(
            "dead-units",
            "units through which no example passes a gradient: a ReLU always off, a tanh always at an end",
            BY_INITIALISATION,
            "bias = torch.zeros(units)",
            DYING,
        ),
        _by_depth(
            "vanishing-gradients",
            "the gradient shrinks from layer to layer on its way back, so the first layers hardly learn",
            "weight = torch.randn(fan_in, fan_out) * gain / fan_in**0.5  # or BatchNorm before the function",
            *DEEP,
        ),
        _by_depth(
            "exploding-gradients",
            "the gradient grows from layer to layer on its way back",
            "weight = torch.randn(fan_in, fan_out) * gain / fan_in**0.5  # or clip_grad_norm_(parameters, 1)",
            "mlp",
            "rnn",
        ),
        Fault(
            "learning-rate-too-high",
            "each step changes the weights by so much that the loss does not settle",
            "--lr {lr}",
            "lr = lr / 10",
            lambda setup: setup.with_learning(lr=better_rate(setup)),
            _rate(TOO_HIGH),
        ),
        Fault(
            "learning-rate-too-low",
            "each step changes the weights by so little that the loss hardly falls",
            "--lr {lr}",
            "lr = lr * 10",
            lambda setup: setup.with_learning(lr=better_rate(setup)),
            _rate(TOO_LOW),
        ),
        Fault(
            "batch-too-small",
            "a batch has so few targets that chance decides where a step goes",
            "--batch {batch}",
            "batch = 32  # or more",
            _larger_batch,
            lambda setup: setup.with_learning(batch=1),
        ),
        Fault(
            "underfit-hidden",
            "even what is learnt from is predicted badly, and the hidden layer is the bottleneck",
            "--hidden {hidden}",
            "hidden = 64  # or more",
            _wider("hidden", WIDE_HIDDEN),
            lambda setup: setup.with_settings(hidden=NARROW_HIDDEN),
            _has("hidden"),
        ),
        Fault(
            "underfit-embedding",
            "even what is learnt from is predicted badly, and the embedding is the bottleneck",
            "--embedding {embedding}",
            "embedding = 10  # or more",
            _wider("embedding", WIDE_EMBEDDING),
            lambda setup: setup.with_settings(embedding=NARROW_EMBEDDING),
            _among("mlp", "mlp-bn", "rnn", "gru"),
        ),
        Fault(
            "overfit",
            "lines learnt from are predicted ever better and lines held out ever worse",
            "--use best",
            "# keep the weights that did best on dev; or dropout, weight decay, fewer steps",
            lambda setup: setup.with_learning(use="best"),
            _by_heart,
            _among("mlp", "mlp-bn", "gru", "lstm"),
        ),
        Fault(
            "leaking-split",
            "lines that dev holds out are learnt from, so dev flatters",
            "--split unique",
            "dev = [line for line in dev if line not in set(train)]",
            lambda setup: setup.without("leaking-split").without_leaks(),
            lambda setup: setup.with_defect("leaking-split"),
        ),
        Fault(
            "duplicates",
            "the list holds lines more than once; a split by line would put copies on both sides",
            "--split unique",
            "lines = list(dict.fromkeys(lines))  # before splitting",
            lambda setup: setup,
        ),
        _defective(
            "dev-prepared-differently",
            "dev's lines are not made as train's are: another order, alphabet, case or boundary",
            "",
            "dev = prepare(dev)  # by the function that prepared train",
        ),
        _defective(
            "batchnorm-mode",
            "BatchNorm learns by its kept statistics, or evaluates by the batch's",
            "",
            "model.train() before learning, model.eval() before evaluating",
            NORMALIZED,
        ),
        _defective(
            "batchnorm-padding",
            "BatchNorm takes its statistics over positions that only fill up rows",
            "--batch-of windows",
            "x = x[targets != ignore]  # before BatchNorm",
            NORMALIZED,
        ),
        Fault(
            "batchnorm-small-batch",
            "BatchNorm takes its statistics over one or two examples, which say nothing",
            "--batch {batch}",
            "batch = 32  # or more",
            _larger_batch,
            lambda setup: setup.with_learning(batch=2, batch_of="windows"),
            NORMALIZED,
        ),
        _defective(
            "gradients-not-zeroed",
            "each step uses the gradients of all steps before it as well",
            "",
            "optimizer.zero_grad()  # before loss.backward()",
        ),
        _defective(
            "no-shuffling",
            "the list is learnt in its own order, so each batch is of one kind",
            "",
            "order = torch.randperm(len(lines))  # anew for every pass",
        ),
        _defective("frozen-parameter", "a parameter is never changed", "", "parameter.requires_grad_(True)"),
        _defective(
            "unconnected-parameter",
            "no gradient reaches a parameter: what comes after it is detached, or does not use it",
            "",
            "x  # instead of x.detach(), x.data or a copy",
        ),
        _defective(
            "loss-reduction",
            "the loss is summed over the batch, not averaged, so the rate depends on the batch",
            "",
            "F.cross_entropy(logits, targets)  # its default is reduction='mean'",
        ),
        _defective(
            "non-finite",
            "a weight, the loss or a gradient is infinite or no number",
            BY_INITIALISATION,
            "weight = torch.randn(fan_in, fan_out) * gain / fan_in**0.5  # in place of torch.empty",
        ),
    )
}
"""Every fault by its name."""

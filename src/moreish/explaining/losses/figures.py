"""What is measured of the losses: how right their gradients are, and what each makes of the same predictions.

Everything is in float64 and small, so that figures cut to four digits are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from moreish.explaining.losses.chapter import LOSSES, PENALTY, Loss
from moreish.ops.op import by_hand
from moreish.randomness import stream
from moreish.shapes import IGNORE

LOGITS, TARGET = (3.0, 1.0, 0.0), 1
"""The worked example: three symbols, and the second of them came."""
WEIGHTS = (0.5, -2.0, 0.0)
SITUATIONS: dict[str, tuple[tuple[float, ...], int]] = {
    "confident and right": ((5.0, 0.0, 0.0), 0),
    "unsure": ((0.0, 0.0, 0.0), 0),
    "confident and wrong": ((5.0, 0.0, 0.0), 1),
    "right, logits + 10": ((15.0, 10.0, 10.0), 0),
}
TRUTH = (0.7, 0.2, 0.1)
GRADIENTS = (0.01, 0.1, 1.0)
"""Sizes of the gradients that decay is measured beside."""
STEP = 1e-5
"""Of a central difference: its own error is about 1e-10 here."""
BOUNDS = (1e-12, 1e-8, 1e-6)
"""What a difference is said to be below; a measured one is far below, so that every machine says the same."""


@dataclass(frozen=True)
class Checks:
    """The largest differences of a hand-written gradient, over all entries of several inputs, in float64.

    `oracle` is of values and gradients both.
    """

    autograd: float
    central: float
    oracle: float


@dataclass(frozen=True)
class Example:
    """A loss at one input: `value`, and the gradient by hand, entry by entry."""

    inputs: tuple[float, ...]
    target: int | None
    value: float
    gradient: tuple[float, ...]


@dataclass(frozen=True)
class Compared:
    """A loss in one situation: its value, its gradient's length, and the slope at the target's own logit.

    A negative slope asks for more of the target, a positive one for less.
    """

    name: str
    situation: str
    value: float
    gradient_norm: float
    slope: float


@dataclass(frozen=True)
class Learnt:
    """Where a loss is least for a model free to say anything, when symbols come with probabilities TRUTH.

    `furthest` is the largest difference from them.
    """

    name: str
    probabilities: tuple[float, ...]
    log_z: float
    furthest: float


@dataclass(frozen=True)
class Decay:
    """How much of a weight of 1 a penalty of the same coefficient took in 100 steps, its gradient's size given."""

    gradient: float
    sgd_l2: float
    adam_l2: float
    adamw: float


@dataclass(frozen=True)
class LossFigures:
    """The chapter's figures."""

    examples: dict[str, Example]
    checks: dict[str, Checks]
    compared: list[Compared]
    learnt: list[Learnt]
    decay: list[Decay]

    def to_dict(self, name: str | None = None) -> dict[str, Any]:
        """Plain values for JSON, with the losses' own words; of one loss where it is named."""
        chosen = [LOSSES[name]] if name else list(LOSSES.values())
        told = ("name", "title", "of", "setting", "formula", "gradient", "why", "when", "when_not", "source", "op")
        losses = [
            {key: getattr(loss, key) for key in told}
            | {"example": asdict(self.examples[loss.name]), "oracle": loss.oracle_name}
            | {"checks": asdict(self.checks[loss.name])}
            for loss in chosen
        ]
        names = {loss.name for loss in chosen}
        return {
            "losses": losses,
            "compared": [asdict(row) for row in self.compared if row.name in names],
            "truth": list(TRUTH),
            "learnt": [asdict(row) for row in self.learnt if row.name in names],
            "decay": [asdict(row) for row in self.decay if "l2" in names],
        }


def measure(names: list[str] | None = None) -> LossFigures:
    """All figures, or those of some losses."""
    chosen = [loss for loss in LOSSES.values() if names is None or loss.name in names]
    of_logits = [loss for loss in chosen if loss.of == "logits"]
    return LossFigures(
        examples={loss.name: example(loss) for loss in chosen},
        checks={loss.name: checks(loss) for loss in chosen},
        compared=[compared(loss, situation) for loss in of_logits for situation in SITUATIONS],
        learnt=[learnt(loss) for loss in of_logits],
        decay=[decay(size) for size in GRADIENTS] if LOSSES["l2"] in chosen else [],
    )


def checks(loss: Loss) -> Checks:
    """Hold a loss's gradient by hand against autograd, against central differences and against its oracle."""
    autograd = central = oracle = 0.0
    for rows, symbols, ignored in ((1, 2, False), (1, 3, False), (4, 5, True), (3, 9, True)):
        draw = stream(rows, f"losses/{loss.name}")
        targets = torch.randint(symbols, (rows,), generator=draw)
        if ignored:
            targets[-1] = IGNORE
        x = _as_input(loss, 2 * torch.randn(rows, symbols, generator=draw, dtype=torch.float64))
        value, gradient = _gradient(loss.call, x, targets, hand=True)
        formula = _gradient(loss.call, x, targets, hand=False)
        wanted, theirs = _gradient(loss.oracle, x, targets, hand=False)
        autograd = max(autograd, _apart(gradient, formula[1]))
        central = max(central, _apart(gradient, _central(loss, x, targets)))
        oracle = max(oracle, abs(value - wanted), _apart(gradient, theirs))
    return Checks(autograd, central, oracle)


def example(loss: Loss) -> Example:
    """A loss at the worked example."""
    of_weights = loss.of == "weights"
    given = torch.tensor([WEIGHTS if of_weights else LOGITS], dtype=torch.float64)
    x = _as_input(loss, given)
    value, gradient = _gradient(loss.call, x, torch.tensor([TARGET]), hand=True)
    return Example(tuple(x[0].tolist()), None if of_weights else TARGET, value, tuple(gradient[0].tolist()))


def compared(loss: Loss, situation: str) -> Compared:
    """A loss of logits in one of the SITUATIONS."""
    logits, target = SITUATIONS[situation]
    x = torch.tensor([logits], dtype=torch.float64)
    value, gradient = _gradient(loss.call, x, torch.tensor([target]), hand=True)
    return Compared(loss.name, situation, value, float(gradient.norm()), float(gradient[0, target]))


def learnt(loss: Loss) -> Learnt:
    """The probabilities at which a loss (a term that is added: with the cross-entropy) is least under TRUTH."""
    targets = torch.arange(3).repeat_interleave(torch.tensor([round(10 * share) for share in TRUTH]))
    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=500, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def total() -> Tensor:
        optimizer.zero_grad()
        rows = logits.expand(len(targets), 3)
        with by_hand():
            nats = loss.call(rows, targets)
            if loss.added:
                nats = nats + LOSSES["cross-entropy"].call(rows, targets)
        nats.backward()
        return nats

    optimizer.step(total)  # type: ignore[arg-type]
    said = torch.softmax(logits.detach(), 0)
    furthest = float((said - torch.tensor(TRUTH, dtype=torch.float64)).abs().max())
    return Learnt(loss.name, tuple(said.tolist()), float(torch.logsumexp(logits.detach(), 0)), furthest)


def focal_weights(steps: int = 1000) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """The focal gradient's length against the cross-entropy's over p_t, as (p_t, their ratio), at steps - 1 places."""
    p = torch.arange(1, steps, dtype=torch.float64) / steps
    logits = torch.stack([torch.log(p), torch.log1p(-p)], 1)
    targets = torch.zeros(len(p), dtype=torch.long)
    focal, plain = (_gradient(LOSSES[name].call, logits, targets, True)[1] for name in ("focal", "cross-entropy"))
    return p, focal[:, 0] / plain[:, 0]


def decay(size: float, steps: int = 100, lr: float = 0.01) -> Decay:
    """A weight of 1 under gradients of this size and of either sign by turns, which leave it where it is."""

    def left(kind: type[torch.optim.Optimizer], coefficient: float) -> float:
        weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
        optimizer = kind([weight], lr=lr, weight_decay=coefficient)  # type: ignore[call-arg]
        for step in range(steps):
            weight.grad = torch.full_like(weight, size if step % 2 else -size)
            optimizer.step()
        return float(weight.detach())

    kinds = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
    # What the gradients alone would have done is taken out.
    taken = [1 - left(kind, PENALTY) - (1 - left(kind, 0.0)) for kind in kinds]
    return Decay(size, *taken)


def bound(difference: float) -> str:
    """`1e-12`, or a wider bound: what a difference is below on every machine."""
    for limit in BOUNDS:
        if 10 * difference < limit:
            return f"{limit:.0e}".replace("e-0", "e-")
    return "too much"


def _as_input(loss: Loss, x: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
    return torch.log_softmax(x, -1) if loss.of == "log-probabilities" else x


def _gradient(call: Callable[[Tensor, Tensor], Tensor], x: Tensor, targets: Tensor, hand: bool) -> tuple[float, Tensor]:
    given = x.clone().requires_grad_()
    if hand:
        with by_hand():
            value = call(given, targets)
    else:
        value = call(given, targets)
    (gradient,) = torch.autograd.grad(value, given)
    return float(value.detach()), gradient


@torch.no_grad()
def _central(loss: Loss, x: Tensor, targets: Tensor) -> Tensor:
    """Every entry's slope, from the loss a little above and a little below."""
    found = torch.zeros_like(x)
    for at in range(x.numel()):
        step = torch.zeros_like(x).view(-1)
        step[at] = STEP
        step = step.view_as(x)
        found.view(-1)[at] = (loss.call(x + step, targets) - loss.call(x - step, targets)) / (2 * STEP)
    return found


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())

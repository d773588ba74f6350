"""Forward, backward and update of the lectures' MLP with BatchNorm as one function, without autograd.

    step = MLPStep(C, W1, b1, W2, b2, bngain, bnbias)
    loss = step.step(windows, targets, lr=0.1)

What does it is chosen by `engine`: a C file built once by the machine's own compiler (`mlp_step.c`), or plain torch
where there is no compiler. Both compute the same, up to rounding, from the same parameters.

Source: Karpathy, Neural Networks: Zero to Hero, makemore part 4, exercise 4. As there, the batch's variance is divided
by n - 1. Where we differ: running statistics are kept as in part 3, and b1, which BatchNorm takes out again, is left as
it is: its gradient is zero.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from moreish.errors import ConfigError, UsageError
from moreish.ops.normalize import EPSILON, normalize_by_forward
from moreish.ops.plain_step import PlainStep

Engine = PlainStep
ENGINES = ("auto", "plain", "compiled")
MOMENTUM = 0.001
"""The lecture's (part 3): how far the running statistics move at each step."""
MODEL_NAMES = {
    "embedding.weight": "C", "hidden.0.weight": "W1", "norms.0.gain": "bngain", "norms.0.bias": "bnbias",
    "output.weight": "W2", "output.bias": "b2",
}  # fmt: skip
"""The weights of the catalog's mlp-bn, and which of the lecture's each is; matrices stand transposed there."""


class MLPStep:
    """The lecture's network and its whole step. Parameters are copied, and renewed in place by each step.

    Args:
        C, W1, b1, W2, b2, bngain, bnbias: the lecture's parameters; float32 or float64, on the processor.
        correction: what is taken from n in the batch's variance: 1 as in the lecture, or 0 as in the paper.
        momentum: of the running statistics; 0: none are kept, see `calibrate`.
        engine: `auto` takes the compiled one where there is one; float64 is always plain.

    Raises:
        ConfigError: shapes that do not fit, another type of number, or an engine that is not there (says why).
    """

    def __init__(
        self,
        C: Float[Tensor, "V D"],
        W1: Float[Tensor, "K H"],
        b1: Float[Tensor, " H"],
        W2: Float[Tensor, "H V"],
        b2: Float[Tensor, " V"],
        bngain: Float[Tensor, "1 H"],
        bnbias: Float[Tensor, "1 H"],
        *,
        correction: int = 1,
        momentum: float = MOMENTUM,
        epsilon: float = EPSILON,
        engine: str = "auto",
    ):
        given = {"C": C, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "bngain": bngain, "bnbias": bnbias}
        self._engine, self.why = PlainStep({n: t.detach() for n, t in given.items()}, correction, epsilon), ""
        self.context = W1.shape[0] // C.shape[1]
        self.correction, self.momentum, self.epsilon = correction, momentum, epsilon
        self.steps = 0

    @property
    def engine(self) -> str:
        """What does the step: `compiled` or `plain`."""
        return self._engine.name

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The lecture's parameters by name: views of what the step renews."""
        return dict(self._engine.p)

    def step(self, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"], lr: float) -> float:
        return self._engine.run(windows, targets, lr, self.momentum)

    def gradients(self, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"]) -> tuple[float, dict[str, Tensor]]:
        got = {}
        loss = self._engine.run(windows, targets, 0.0, 0.0, got)
        return loss, got

"""Forward, backward and update of the lectures' MLP with BatchNorm as one function, without autograd.

    step = MLPStep(C, W1, b1, W2, b2, bngain, bnbias)
    for windows, targets in batches:
        loss = step.step(windows, targets, lr=0.1)
    model.load_state_dict(step.to_mlp_bn())  # the catalog's mlp-bn, to evaluate and to sample from

What does it is chosen by `engine`: a C file built once by the machine's own compiler (`mlp_step.c`), or plain torch
where there is none (`plain_step.py`). Both compute the same, up to rounding.

Source: Karpathy, Neural Networks: Zero to Hero, makemore part 4, exercise 4. As there, the batch's variance is divided
by n - 1. Where we differ: running statistics are kept while learning, as in part 3; and b1 is left as it is, for
BatchNorm takes it out again and its gradient is zero.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.errors import ConfigError, UsageError, did_you_mean
from moreish.ops.compiled_step import CompiledStep, checked_library
from moreish.ops.normalize import EPSILON, normalize_by_forward
from moreish.ops.plain_step import PlainStep

ENGINES = ("auto", "plain", "compiled")
MOMENTUM = 0.001
"""How far the running statistics move at each step: the lecture's, part 3."""
LETTERS = {
    "C": "V D", "W1": "K H", "b1": "H", "W2": "H V", "b2": "V", "bngain": "1 H", "bnbias": "1 H",
}  # fmt: skip
MODEL_NAMES = {
    "embedding.weight": "C", "hidden.0.weight": "W1", "norms.0.gain": "bngain", "norms.0.bias": "bnbias",
    "output.weight": "W2", "output.bias": "b2",
}  # fmt: skip
"""The weights of the catalog's mlp-bn, and which of the lecture's each is; matrices stand transposed there."""
RUNNING = ("norms.0.running_mean", "norms.0.running_variance")


class MLPStep:
    """The lecture's network and its whole step. Parameters are copied, and renewed in place by each step.

    Args:
        C, W1, b1, W2, b2, bngain, bnbias: the lecture's parameters, float32 or float64, on the processor.
        correction: what is taken from n in the batch's variance: 1 as in the lecture, or 0 as in the paper.
        momentum: of the running statistics; with 0 none are kept, and `calibrate` is for finding them afterwards.
        engine: `auto` takes the compiled one where there is one. float64 is always plain.

    Raises:
        ConfigError: shapes that do not fit, other numbers, or no compiled step where one was asked for (says why).
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
        _check_parameters(given)
        if correction not in (0, 1):
            raise ConfigError(f"MLPStep: correction={correction!r} is neither 0 nor 1. Use 1, as in the lecture.")
        if not 0 <= momentum <= 1:
            raise ConfigError(f"MLPStep: momentum={momentum!r} is not from 0 to 1. Use 0.001, as in the lecture.")
        if engine not in ENGINES:
            raise ConfigError(f"no engine is called {engine!r:.60}. {did_you_mean(str(engine), ENGINES)}")
        copied = {name: tensor.detach() for name, tensor in given.items()}
        self._engine, self._why = _engine(engine, copied, correction, epsilon, momentum)
        self.context, self.epsilon = W1.shape[0] // C.shape[1], epsilon

    @property
    def why_plain(self) -> str:
        """One sentence on why the step is plain; "" where it is compiled."""
        return self._why

    @property
    def engine(self) -> str:
        """What does the step: `compiled` or `plain`."""
        return self._engine.name

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The lecture's parameters by name: views of what the step renews."""
        return dict(self._engine.p)

    @property
    def running(self) -> tuple[Float[Tensor, "1 H"], Float[Tensor, "1 H"]]:
        """The running mean and variance of what goes into BatchNorm: views likewise."""
        return self._engine.running_mean, self._engine.running_variance

    def step(self, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"], lr: float) -> float:
        """Forward, backward and update. Returns the loss before it, in nats.

        Args:
            windows: each window's symbols, oldest first; int64, as are the targets. N is 2 or more.

        Raises:
            UsageError: one window, which has no variance; shapes that do not fit; an id that is none of the symbols.
                Nothing has changed then.
        """
        windows, targets = self._checked(windows, targets)
        return self._engine.run(windows, targets, lr)

    def gradients(self, windows: Int[Tensor, "N c"], targets: Int[Tensor, " N"]) -> tuple[float, dict[str, Tensor]]:
        """The loss and the gradient of each parameter, by name. Nothing changes.

        Raises:
            UsageError: as `step`.
        """
        windows, targets = self._checked(windows, targets)
        return self._engine.gradients(windows, targets)

    @torch.no_grad()
    def logits(self, windows: Int[Tensor, "N c"]) -> Float[Tensor, "N V"]:
        """What the network says follows each window, normalised by the running statistics."""
        p, (mean, variance) = self._engine.p, self.running
        hprebn = p["C"][windows].flatten(1) @ p["W1"] + p["b1"]
        gain, bias = p["bngain"][0], p["bnbias"][0]
        hpreact = normalize_by_forward(hprebn, mean[0], variance[0], gain, bias, epsilon=self.epsilon)
        return torch.tanh(hpreact) @ p["W2"] + p["b2"]

    @torch.no_grad()
    def calibrate(self, windows: Int[Tensor, "N c"]) -> None:
        """Put the statistics of all these windows in place of the running ones: part 4's way, after learning."""
        if len(windows) < 2:
            raise UsageError("calibrate: one window has no variance. Give all windows of the list.")
        p, (mean, variance) = self._engine.p, self.running
        found = torch.var_mean(p["C"][windows].flatten(1) @ p["W1"] + p["b1"], 0, keepdim=True)
        variance.copy_(found[0])
        mean.copy_(found[1])

    def to_mlp_bn(self) -> dict[str, Tensor]:
        """The state of the catalog's `mlp-bn`, whose only layer has no bias: b1 goes into the running mean."""
        p, (mean, variance) = self._engine.p, self.running
        state = {}
        for name, ours in MODEL_NAMES.items():
            tensor = p[ours][0] if LETTERS[ours].startswith("1") else p[ours]
            state[name] = (tensor.t() if ours in ("W1", "W2") else tensor).clone(memory_format=torch.contiguous_format)
        return {**state, RUNNING[0]: (mean - p["b1"])[0].clone(), RUNNING[1]: variance[0].clone()}

    @classmethod
    def from_mlp_bn(cls, state: dict[str, Tensor], **options: object) -> MLPStep:
        """A step that goes on from the catalog's `mlp-bn`, given its `state_dict()`; options as for the class.

        Raises:
            ConfigError: another model, or one with other layers than the lecture's.
        """
        if set(state) != {*MODEL_NAMES, *RUNNING}:
            other = sorted(set(state) ^ {*MODEL_NAMES, *RUNNING})
            raise ConfigError(f"these are no weights of mlp-bn with one hidden layer: {other[0]!r}. Use layers=1.")
        given = {}
        for name, ours in MODEL_NAMES.items():
            tensor = state[name][None] if LETTERS[ours].startswith("1") else state[name]
            given[ours] = tensor.t() if ours in ("W1", "W2") else tensor
        step = cls(b1=torch.zeros_like(state["norms.0.gain"]), **given, **options)  # type: ignore[arg-type]
        for mine, name in zip(step.running, RUNNING):
            mine.copy_(state[name])
        return step

    def _checked(self, windows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both as the engine takes them: it is handed addresses, so nothing else may pass."""
        shape = windows.shape
        if len(shape) != 2 or shape[1] != self.context or targets.shape != shape[:1]:
            raise UsageError(
                f"a step takes windows [N {self.context}] and targets [N], not {list(shape)} and {list(targets.shape)}."
            )
        if shape[0] < 2:
            raise UsageError(f"BatchNorm needs two windows at least, not {shape[0]}: one has no variance. Use 32.")
        if not (windows.dtype is targets.dtype is torch.int64 and windows.is_cpu and targets.is_cpu):
            if windows.is_floating_point() or targets.is_floating_point():
                raise UsageError(f"ids are whole numbers, not {windows.dtype} and {targets.dtype}. Use int64.")
            windows, targets = windows.long().cpu(), targets.long().cpu()
        return windows.contiguous(), targets.contiguous()


def _engine(
    asked: str, p: dict[str, Tensor], correction: int, epsilon: float, momentum: float
) -> tuple[PlainStep | CompiledStep, str]:
    """What does the step, and why it is plain if it is.

    Raises:
        ConfigError: no compiled step where one was asked for.
    """
    why = "plain, as asked for."
    if asked != "plain":
        why = "the compiled step is for float32 only."
        found = checked_library() if p["C"].dtype == torch.float32 else why
        if not isinstance(found, str):
            return CompiledStep(found, p, correction, epsilon, momentum), ""
        why = found
        if asked == "compiled":
            raise ConfigError(f"there is no compiled step here: {why} Use engine='auto' or 'plain'.")
    return PlainStep(p, correction, epsilon, momentum), why


def _check_parameters(given: dict[str, Tensor]) -> None:
    """Refuse parameters whose shapes do not fit together, or of other numbers.

    Raises:
        ConfigError
    """
    sizes: dict[str, int] = {"1": 1}
    for name, tensor in given.items():
        axes = LETTERS[name].split()
        if len(axes) != tensor.ndim or any(sizes.setdefault(a, n) != n for a, n in zip(axes, tensor.shape)):
            wanted = " ".join(str(sizes.get(axis, axis)) for axis in axes)
            raise ConfigError(f"MLPStep: {name} is {list(tensor.shape)}, not [{wanted}] ({LETTERS[name]}).")
        if tensor.dtype not in (torch.float32, torch.float64) or tensor.dtype != given["C"].dtype:
            raise ConfigError(f"MLPStep: {name} is {tensor.dtype}. Use float32 for all parameters, or float64.")
        if not tensor.is_cpu:
            raise ConfigError(f"MLPStep: {name} is on {tensor.device}. The step runs on the processor: use .cpu().")
    if not all(sizes.values()) or sizes["K"] % sizes["D"]:
        raise ConfigError(f"MLPStep: W1 takes {sizes['K']} numbers, which are not whole symbols of {sizes['D']}.")

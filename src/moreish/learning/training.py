"""A training under way: a model, its optimiser, its averages, and the step it stands at.

Each step depends on the recipe, the list, the step's number and what `tensors` holds, on nothing else: so a training
that goes on from its tensors is the same to the bit as one that never stopped.
"""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from moreish.errors import ConfigError, MoreishError
from moreish.layers import Dropout, set_dropout
from moreish.learning.batches import Batch, Batches, Windows
from moreish.learning.optimize import Optimizer, expected_tensors
from moreish.learning.recipe import Recipe
from moreish.learning.schedule import rate_at
from moreish.models.model import LanguageModel, WindowModel, device_of
from moreish.ops.loss import cross_entropy
from moreish.ops.op import by_hand, told
from moreish.randomness import stream_seed

Expected = dict[str, tuple[torch.dtype, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come, beside its tensors: what a checkpoint says of it in words."""

    step: int = 0
    best_step: int = -1
    """The step of the best evaluation on dev; -1 before the first."""
    best_nats: float = math.inf
    without_better: int = 0
    """Evaluations since."""


class Training:
    """Takes one step at a time; see the module's words on what that promises."""

    def __init__(self, recipe: Recipe, model: LanguageModel[Any], batches: Batches):
        check_pairing(recipe, model)
        self.recipe, self.model, self.batches = recipe, model, batches
        self.progress = Progress()
        self.device = device_of(model)
        self.optimizer = Optimizer(
            model, recipe.optimizer, weight_decay=recipe.weight_decay, momentum=recipe.momentum, beta2=recipe.beta2
        )
        self.average = _copied(model.state_dict()) if recipe.average else {}
        self.best: dict[str, Tensor] = {}
        self.clipped = 1.0
        """What the last step's gradient was multiplied by, so that its norm is no larger than allowed."""
        self._dropout = None
        if any(isinstance(module, Dropout) and module.rate for module in model.modules()):
            self._dropout = torch.Generator(self.device)
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._averaged: list[tuple[Tensor, Tensor]] = []
        self._tie_average()
        self._logits = torch.compile(_logits) if recipe.compile else _logits

    @property
    def step(self) -> int:
        """Steps taken."""
        return self.progress.step

    def advance(self) -> float:
        """Take one step; returns the training loss before it, in nats per symbol (label smoothing left in).

        Raises:
            MoreishError: the loss or a gradient is not finite: names the step and the first bad tensor. The weights
                are those before the step.
        """
        step, recipe = self.progress.step, self.recipe
        lr = recipe.lr * rate_at(recipe.schedule, step, recipe.steps, recipe.warmup, recipe.decay_at)
        value = self.gradient(self.batch(step), step)
        self.optimizer.step(lr)
        self._renew_average(step)
        self.progress = Progress(step + 1, *_rest(self.progress))
        return value

    def batch(self, step: int) -> Batch | Windows:
        """What the model learns from at a step."""
        if self.recipe.batch_of == "windows":
            assert isinstance(self.model, WindowModel)
            return self.batches.windows_at(step, self.model.context)
        return self.batches.at(step)

    def gradient(self, batch: Batch | Windows, step: int) -> float:
        """Leave the gradient of the loss on a batch at the parameters; returns the loss.

        Raises:
            MoreishError: it is not finite.
        """
        self.clipped = 1.0
        self.clear_gradients()
        loss = self.loss(batch, step)
        value = loss.item()
        if not math.isfinite(value):
            raise self._broken(step, f"the loss is {value}")
        loss.backward()
        self._check_gradients(step)
        return value

    def loss(self, batch: Batch | Windows, step: int, plainly: bool = False) -> Float[Tensor, ""]:
        """The loss that a step learns from, dropout and label smoothing included: the same for the same step.

        Args:
            step: decides dropout.
            plainly: whether the model itself is called where otherwise a compiled one is.
        """
        hand = self._by_hand()
        self.set_mode()
        if self._dropout is not None:
            self._dropout.manual_seed(stream_seed(self.recipe.seed, f"dropout/{step}"))
            set_dropout(self.model, self._dropout)
        called, self._logits = self._logits, _logits if plainly else self._logits
        try:
            with self._precision(), hand:
                return self.loss_of(batch)
        finally:
            self._logits = called
            if self._dropout is not None:
                set_dropout(self.model, None)

    def set_mode(self) -> None:
        """Have the model learn: BatchNorm by its batch, dropout at work."""
        self.model.train()

    def clear_gradients(self) -> None:
        """Forget the last step's gradients."""
        for p in self._parameters:
            p.grad = None

    def loss_of(self, batch: Batch | Windows) -> Tensor:
        """What is learnt by: the mean over the batch's targets, in nats."""
        logits = self.logits_of(batch)
        if logits.dtype != torch.float64:  # the loss of a lower precision is worked out in float32
            logits = logits.float()
        return cross_entropy(logits, batch.targets, smoothing=self.recipe.label_smoothing)

    def logits_of(self, batch: Batch | Windows) -> Tensor:
        """What the model says of a batch."""
        return self._logits(self.model, batch)

    def _by_hand(self) -> AbstractContextManager[None]:
        """Whether this step's gradients come from the hand-written passes.

        Raises:
            ConfigError: they do not go with what else was asked for.
        """
        if told() == "autograd" or not (self.recipe.by_hand or told()):
            return nullcontext()
        if self.recipe.compile:
            raise ConfigError("torch.compile writes gradients of its own. Leave out --compile, or --by-hand.")
        if self.recipe.precision != "float32":
            raise ConfigError(
                f"gradients by hand are worked out in float32, not {self.recipe.precision}. Leave out --precision, or "
                f"--by-hand."
            )
        return by_hand()

    def consider(self, nats: float) -> bool:
        """Take note of the loss on dev; returns whether it is time to stop early."""
        now = self.progress
        if nats < now.best_nats:
            self.progress = Progress(now.step, now.step, nats, 0)
            if self.recipe.use == "best":
                self.best = _copied(self.used("current"))
        else:
            self.progress = Progress(now.step, now.best_step, now.best_nats, now.without_better + 1)
        return 0 < self.recipe.patience <= self.progress.without_better

    def used(self, use: str | None = None) -> dict[str, Tensor]:
        """The weights that the run uses (last, best on dev, average), or `current`, those it would use were this the
        end."""
        use = use or self.recipe.use
        if use == "current":  # the average where one is kept: what would be used if this were the end
            use = "average"
        if use == "best" and self.best:
            return self.best
        if self.average and use in ("average", "best"):
            return self.average
        return self.model.state_dict()

    def result(self, use: str | None = None) -> LanguageModel[Any]:
        """A model of the weights that the run uses; the training may go on."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.used(use))
        model.zero_grad(set_to_none=True)
        return model.eval()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, and what the run will use, by name."""
        parts = {"model": self.model.state_dict(), "average": self.average, "best": self.best,
                 "optimizer": self.optimizer.tensors()}  # fmt: skip
        return {f"{part}.{name}": tensor for part, named in parts.items() for name, tensor in named.items()}

    def load(self, progress: Progress, tensors: dict[str, Tensor]) -> None:
        """Go on from what another training left."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "best": {}, "optimizer": {}}
        for key, tensor in tensors.items():
            part, _, name = key.partition(".")
            parts[part][name] = tensor
        self.model.load_state_dict(parts["model"])
        self.average = {name: t.to(self.device).clone() for name, t in parts["average"].items()}
        self.best = {name: t.to(self.device).clone() for name, t in parts["best"].items()}
        self.optimizer.load(parts["optimizer"], progress.step)
        self.progress = progress
        self._tie_average()

    def _precision(self) -> Any:
        if self.recipe.precision == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _tie_average(self) -> None:
        own = self.model.state_dict(keep_vars=True)
        self._averaged = [(self.average[name], own[name]) for name in self.average if own[name].is_floating_point()]

    @torch.no_grad()
    def _renew_average(self, step: int) -> None:
        if not self._averaged:
            return
        # The first steps count for more, or the average would long remember where it began.
        decay = min(self.recipe.average, (1 + step) / (10 + step))
        ours, theirs = zip(*self._averaged)
        torch._foreach_lerp_(list(ours), [t.detach() for t in theirs], 1 - decay)  # pyright: ignore[reportPrivateImportUsage]

    def _check_gradients(self, step: int) -> None:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if not math.isfinite(norm.item()):
            raise self._broken(step, "a gradient is not finite")
        if self.recipe.clip and norm > self.recipe.clip:
            nn.utils.clip_grads_with_norm_(self._parameters, self.recipe.clip, norm)
            self.clipped = self.recipe.clip / (norm.item() + 1e-6)  # as torch has it

    def _broken(self, step: int, what: str) -> MoreishError:
        """Names the step and the first tensor that is not finite: a weight, else a gradient, else the loss alone."""
        named = list(self.model.named_parameters())
        where = next((f"the weight {name}" for name, p in named if not bool(p.isfinite().all())), "")
        if not where:
            bad = (n for n, p in named if p.grad is not None and not bool(p.grad.isfinite().all()))
            where = next((f"the gradient of {name}" for name in bad), "the loss itself, all weights being finite")
        return MoreishError(
            f"step {step + 1}: {what}; the first bad tensor is {where}. Learning stops; the weights before that step "
            f"stand. Use a smaller --lr than {self.recipe.lr:g}, or --clip 1."
        )


def check_pairing(recipe: Recipe, model: LanguageModel[Any]) -> None:
    """Refuse a batch that a model cannot learn from.

    Raises:
        ConfigError
    """
    if recipe.batch_of == "windows" and not isinstance(model, WindowModel):
        raise ConfigError(f"{recipe.model} reads whole lines, so it cannot learn from windows. Use --batch-of lines.")


def expected_training(
    model: nn.Module, *, optimizer: str, momentum: float, average: bool, best: bool, begun: bool
) -> Expected:
    """The tensors that a training's checkpoint holds beside the model's own, found without making any.

    Args:
        optimizer: its kind, or "" where what it remembered is not kept.
        average, best: whether such weights are there.
        begun: whether a step was taken.
    """
    own = {name: (t.dtype, tuple(t.shape)) for name, t in model.state_dict().items()}
    out: Expected = {}
    for part, there in (("average", average), ("best", best)):
        if there:
            out |= {f"{part}.{name}": likeness for name, likeness in own.items()}
    if optimizer and begun:
        for name, p in expected_tensors(model, optimizer, momentum):
            out[f"optimizer.{name}"] = (p.dtype, tuple(p.shape))
    return out


def _logits(model: LanguageModel[Any], batch: Batch | Windows) -> Tensor:
    return batch.logits(model)


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in state.items()}


def _rest(progress: Progress) -> tuple[int, float, int]:
    return progress.best_step, progress.best_nats, progress.without_better

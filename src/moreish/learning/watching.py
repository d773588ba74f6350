"""A training watched: the vitals at a step, while the training stays the same to the bit.

Parameters, their gradients and their change are those of the real step. What passes through the network is seen in a
pass of its own beside it, over another step's batch: so there are two independent gradients at the same parameters,
whose difference is the gradient's noise. That pass leaves nothing behind: BatchNorm's running statistics are stand-ins,
and dropout draws from no generator but the training's, which every step seeds anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from moreish.learning.batches import Batch, Windows
from moreish.learning.recipe import Recipe
from moreish.learning.training import Training
from moreish.learning.vitals import (
    Noise,
    NormVitals,
    SiteVitals,
    Vitals,
    noise_of,
    norm_vitals,
    parameter_vitals,
    site_vitals,
)
from moreish.learning.watch import Watch, batch_norms
from moreish.ops.op import by_autograd


def watched(training: Training) -> tuple[float, Vitals]:
    """Take a step as `training.advance()` does, to the bit; returns the loss before it and the network's vitals.

    Numbers that are not finite are counted in the vitals, and no error of theirs.

    Raises:
        MoreishError: the step itself broke, as `advance` has it.
    """
    look = Look(training)
    loss = training.advance()
    return loss, look.vitals(loss)


def is_read(recipe: Recipe, step: int) -> bool:
    """Whether the vitals are taken at a step (counted from 1): the first, every k-th and the last."""
    every = recipe.watch_every
    return every > 0 and (step == 1 or step % every == 0 or step == recipe.steps)


class Look:
    """A network before a step; once that is taken, `vitals` has all its numbers.

    A step that breaks leaves its gradients, so `vitals` can be asked then too: with what loss there was.
    """

    def __init__(self, training: Training):
        self.training = training
        self.step = training.step + 1
        self.examples = _examples(training)
        self.before = {name: p.detach().clone() for name, p in training.model.named_parameters()}
        self.sites, self.norms, self.other = _beside(training)

    def vitals(self, loss: float) -> Vitals:
        """The numbers of the step that was taken since; `loss` is its loss."""
        clipped = self.training.clipped
        parameters, pairs = [], []
        for name, p in self.training.model.named_parameters():
            gradient = p.grad
            if gradient is not None and clipped != 1:
                gradient = gradient / clipped
            after = p if self.training.step == self.step else None
            parameters.append(parameter_vitals(name, self.before[name], gradient, after))
            other = self.other[name]
            if gradient is not None and other is not None:
                pairs.append((gradient, other))
        return Vitals(
            self.step, loss, math.log(self.training.model.config.symbols), self.sites, parameters, self.norms,
            self._noise(pairs), clipped,
        )  # fmt: skip

    def _noise(self, pairs: list[tuple[Tensor, Tensor]]) -> Noise | None:
        if not self.examples or not pairs:
            return None
        found = noise_of((one for one, _ in pairs), (other for _, other in pairs), self.examples)
        return found if math.isfinite(found.squared_norm) and math.isfinite(found.variance) else None


def _examples(training: Training) -> int:
    """How many examples, lines or windows, each of two batches has; 0 where the two would not be independent."""
    if training.recipe.batch_of == "lines" and training.batches.passes_are < 2:
        return 0  # every batch is of the same lines, or nearly
    return training.batches.size


def _other_step(training: Training) -> int:
    """The step whose batch is looked at: the next, or the first of this pass over the list where that is another pass,
    which could bring the same lines again."""
    step, passes = training.step, training.batches.passes_are
    if training.recipe.batch_of == "windows" or (step + 1) % passes:
        return step + 1
    return step + 1 - passes


def _beside(training: Training) -> tuple[list[SiteVitals], list[NormVitals], dict[str, Tensor | None]]:
    """What passes through the network over another step's batch, and the gradient there."""
    model, step = training.model, _other_step(training)
    batch: Batch | Windows = training.batch(step)
    with _untouched(training):
        with by_autograd(), Watch(model) as watch:
            loss = training.loss(batch, step, plainly=True)
        loss.backward()
        sites = [site_vitals(reading) for reading in watch.readings()]
        norms = [norm_vitals(norm) for norm in watch.norms]
        return sites, norms, {name: p.grad for name, p in model.named_parameters()}


@contextmanager
def _untouched(training: Training) -> Iterator[None]:
    """Whatever a pass in learning mode changes is put back: gradients, running statistics, the modules' modes."""
    model = training.model
    gradients = [(p, p.grad) for p in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(norm, dict(norm._buffers)) for norm in batch_norms(model)]
    try:
        for p, _ in gradients:
            p.grad = None
        for norm, own in buffers:
            for name, buffer in own.items():
                norm._buffers[name] = None if buffer is None else buffer.clone()
        yield
    finally:
        for p, gradient in gradients:
            p.grad = gradient
        for module, mode in modes:
            module.training = mode
        for norm, own in buffers:
            norm._buffers.update(own)

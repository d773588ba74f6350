"""A training as it was put together, with what is wrong in the putting together: what a plant breaks and a fix mends.

`defects` names what no flag of a recipe can say: a loop that forgets to zero gradients, weights scaled at the start, a
part of the list prepared otherwise. The doctor never reads them; it sees what they do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from moreish.layers import BatchNorm
from moreish.learning.batches import Batch, Batches, Windows
from moreish.learning.recipe import Recipe
from moreish.learning.steps import begin, keep_freed_memory
from moreish.learning.training import Training
from moreish.models.model import LanguageModel, WindowModel
from moreish.ops.loss import cross_entropy
from moreish.randomness import stream
from moreish.shapes import BOUNDARY, IGNORE
from moreish.text.alphabet import Alphabet
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

OVERCONFIDENT, SATURATING, DEAD_BIAS, DEAD_SHARE = 300.0, 10.0, 30.0, 0.5
FEW_LINES = 3_000
VANISHING, EXPLODING = 0.12, 2.5
LEAKED = 0.3
"""The share of dev that is taken from train."""
NOT_FINITE = 3
"""Entries of a weight that are no numbers."""


@dataclass(frozen=True)
class Setup:
    """All that decides a training: the recipe, the lines, and what is wrong beside them."""

    recipe: Recipe
    train: Lines
    dev: Lines
    alphabet: Alphabet
    defects: frozenset[str] = frozenset()
    device: str = "cpu"

    def with_defect(self, name: str) -> Setup:
        """The same with one more thing wrong."""
        return replace(self, defects=self.defects | {name})

    def without(self, name: str) -> Setup:
        """The same with that mended."""
        return replace(self, defects=self.defects - {name})

    def without_leaks(self) -> Setup:
        """The same without the lines of dev that train has too; itself where there are none."""
        if not len(self.dev):
            return self
        new = ~np.isin(line_hashes(self.dev), line_hashes(self.train))
        return self if new.all() else replace(self, dev=Lines.of(self.dev[int(i)] for i in np.flatnonzero(new)))

    def with_settings(self, **settings: Any) -> Setup:
        """The same with other settings of the model."""
        return replace(self, recipe=replace(self.recipe, settings={**self.recipe.settings, **settings}))

    def with_learning(self, **learning: Any) -> Setup:
        """The same, learning otherwise."""
        return replace(self, recipe=replace(self.recipe, **learning))

    def shown_dev(self) -> Lines:
        """Dev as it is measured."""
        dev = self.dev
        if "leaking-split" in self.defects:
            count = int(LEAKED * len(dev))
            dev = Lines.of([*self.train[:count], *dev[count:]])
        if "dev-prepared-differently" in self.defects:
            dev = Lines.of(line[::-1] for line in dev)
        return dev

    def learnt(self) -> Lines:
        """The lines that are learnt from."""
        return self.train[:FEW_LINES] if "few-lines" in self.defects else self.train

    def begin(self) -> Training:
        """The training before its first step."""
        if not self.defects:
            return begin(self.recipe, self.train, self.alphabet, self.device)
        keep_freed_memory()
        lines = self.learnt()
        if "no-shuffling" in self.defects:
            lines = Lines.of(sorted(lines))
        plain = begin(self.recipe, lines, self.alphabet, self.device)
        hooks = _spoil(plain.model, self.defects, self.recipe.seed)
        return Flawed(self.recipe, plain.model, plain.batches, self.defects, hooks)


class Flawed(Training):
    """A training whose loop has defects."""

    def __init__(
        self, recipe: Recipe, model: LanguageModel[Any], batches: Batches, defects: frozenset[str], hooks: list[Any]
    ):
        super().__init__(recipe, model, batches)
        self.defects, self.hooks = defects, hooks

    def set_mode(self) -> None:
        super().set_mode()
        if "batchnorm-mode" in self.defects:
            for norm in self.model.modules():
                if isinstance(norm, BatchNorm):
                    norm.eval()

    def clear_gradients(self) -> None:
        if "gradients-not-zeroed" not in self.defects:
            super().clear_gradients()

    def loss_of(self, batch: Batch | Windows) -> Tensor:
        if "batchnorm-padding" in self.defects and isinstance(batch, Batch):
            logits, targets = self._padded(batch)
            loss = cross_entropy(logits, targets)
        else:
            loss = super().loss_of(batch)
        return loss * len(batch.targets) if "loss-reduction" in self.defects else loss

    def batch(self, step: int) -> Batch | Windows:
        if "no-shuffling" not in self.defects:
            return super().batch(step)
        batches = self.batches
        if self.recipe.batch_of == "windows":
            assert isinstance(self.model, WindowModel)
            at = np.arange(step * batches.size, (step + 1) * batches.size) % batches.symbols
            return batches.windows_of(at, self.model.context)
        turn = step % batches.passes_are
        return batches.of(np.arange(turn * batches.size, min((turn + 1) * batches.size, batches.lines)))

    def _padded(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits and targets of lines side by side, filled up with boundaries that no target counts at."""
        inside = torch.arange(int(batch.lengths.max()), device=self.device) < batch.lengths[:, None]
        tokens = torch.full(inside.shape, BOUNDARY, dtype=batch.tokens.dtype, device=self.device)
        targets = torch.full(inside.shape, IGNORE, dtype=batch.targets.dtype, device=self.device)
        tokens[inside], targets[inside] = batch.tokens, batch.targets
        logits, _ = self.model(tokens, self.model.begin(len(tokens)))
        return logits.flatten(0, 1), targets.flatten()


def hidden_weights(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Matrices between the embedding and the output."""
    for name, p in model.named_parameters():
        if p.ndim > 1 and not re.search(r"embedding|positions|output|direct|place|history", name):
            yield name, p


@torch.no_grad()
def _spoil(model: nn.Module, defects: frozenset[str], seed: int) -> list[Any]:
    """Make a fresh model as a defect would have it; returns the hooks that are part of that."""
    hooks: list[Any] = []
    for name in sorted(defects & SPOILING.keys()):
        hooks += SPOILING[name](model, stream(seed, f"defect/{name}")) or []
    return hooks


def _overconfident(model: Any, draw: torch.Generator) -> None:
    model.output.weight.mul_(OVERCONFIDENT)


def _saturated(model: Any, draw: torch.Generator) -> None:
    norms = [m for m in model.modules() if isinstance(m, BatchNorm)]
    for norm in norms:  # which takes out whatever scale the weights have
        norm.gain.mul_(SATURATING)
    for _, p in () if norms else hidden_weights(model):
        p.mul_(SATURATING)


def _dead(model: Any, draw: torch.Generator) -> None:
    for name, p in model.named_parameters():
        if name.endswith("bias") and not re.search(r"output|residual|skip|direct", name) and p.ndim == 1:
            chosen = torch.rand(p.shape, generator=draw) < DEAD_SHARE
            # A ReLU is dead below, a tanh at either end.
            side = torch.where(torch.rand(p.shape, generator=draw) < 0.5, -DEAD_BIAS, DEAD_BIAS)
            p[chosen] = -DEAD_BIAS if name.startswith("mix") else side[chosen]


def _scaled(factor: float) -> Callable[[Any, torch.Generator], None]:
    def scale(model: Any, draw: torch.Generator) -> None:
        for _, p in hidden_weights(model):
            p.mul_(factor)

    return scale


def _not_finite(model: Any, draw: torch.Generator) -> None:
    for _, p in hidden_weights(model):
        at = torch.randint(p.numel(), (NOT_FINITE,), generator=draw)
        p.view(-1)[at] = torch.nan
        return


def _frozen(model: Any, draw: torch.Generator) -> None:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    matrices[int(torch.randint(len(matrices), (), generator=draw))].requires_grad_(False)


def _unconnected(model: Any, draw: torch.Generator) -> list[Any]:
    """What the last hidden layer gives is cut off from what comes before it."""
    layers = [m for n, m in model.named_modules() if re.fullmatch(r"(hidden|layers|mix|up|norm)(\.\d+)?", n)]
    layers = [m for m in layers if any(True for _ in m.parameters())]
    return [layers[-1].register_forward_hook(lambda module, inputs, output: _detached(output))]


def _detached(output: Any) -> Any:
    return tuple(t.detach() for t in output) if isinstance(output, tuple) else output.detach()


SPOILING: dict[str, Callable[[Any, torch.Generator], list[Any] | None]] = {
    "overconfident-output": _overconfident,
    "saturated": _saturated,
    "dead-units": _dead,
    "vanishing-gradients": _scaled(VANISHING),
    "exploding-gradients": _scaled(EXPLODING),
    "non-finite": _not_finite,
    "frozen-parameter": _frozen,
    "unconnected-parameter": _unconnected,
}

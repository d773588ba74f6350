"""What the trainings on BatchNorm share: a list's two parts, plain descent, and a loss in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from moreish.errors import ListError, counted
from moreish.learning.batches import Batches, Windows
from moreish.models.model import WindowModel
from moreish.ops.loss import cross_entropy
from moreish.text.corpus import Corpus

RATE, LAST, AT_LAST = 0.3, 0.25, 0.1
"""Of plain descent; the last quarter of the steps is taken at a tenth of it, as in the lectures. Theirs is 0.1, for
200,000 steps: after some hundred at 0.1 networks know so little that they differ by how fast they began.
"""
BATCH = 32
"""Lines, or windows, of a step."""
SCORED = 1_500
"""Held-out lines that are scored, at most."""
LEAST_LINES = 64
MOST_ALIKE = 0.5
"""How probable it may be that two windows of a list are the same."""
CONTEXT = 8


@dataclass(frozen=True)
class Parts:
    """A list as the trainings meet it. `part` is where losses are: `dev`, or `train` where the list has no dev part."""

    corpus: Corpus
    part: str

    @property
    def symbols(self) -> int:
        """V, the boundary included."""
        return len(self.corpus.alphabet)

    def learnt(self, size: int, seed: int, lines: int | None = None) -> Batches:
        """Batches of the part that is learnt, or of its first lines."""
        return Batches(self.corpus.train[:lines], self.corpus.alphabet, size, seed)

    def held_out(self, context: int, lines: int = SCORED) -> Windows:
        """All windows of some lines that losses are measured on."""
        chosen = self.corpus.dev if self.part == "dev" else self.corpus.train
        return every_window(Batches(chosen[:lines], self.corpus.alphabet, 1, 0), context)


def parts_of(corpus: Corpus) -> Parts:
    """A list's parts, where there is enough of it.

    Raises:
        ListError: fewer lines than two batches, or lines that say hardly anything but one thing.
    """
    if len(corpus.train) < LEAST_LINES:
        raise ListError(
            f"{corpus.name} has {counted(len(corpus.train), 'line')} to learn from, fewer than {LEAST_LINES}, which is "
            f"two batches. Give a longer list, such as names."
        )
    parts = Parts(corpus, "train" if corpus.kfold or corpus.split == "none" else "dev")
    windows = every_window(parts.learnt(1, 0, SCORED), 3).windows
    _, counts = torch.unique(windows, dim=0, return_counts=True)
    alike = float((counts / counts.sum()).square().sum())
    if alike > MOST_ALIKE:
        raise ListError(
            f"{corpus.name} is too uniform: two windows of 3 symbols in it are the same in {100 * alike:.0f} % of "
            f"cases, and a batch of such has no variance. Give a more varied list, such as names."
        )
    return parts


def every_window(batches: Batches, context: int) -> Windows:
    """The windows of all positions, in order."""
    return batches.windows_of(np.arange(batches.symbols), context)


def learn(model: nn.Module, steps: int, loss_at: Callable[[int], Tensor], rate: float = RATE) -> Iterator[int]:
    """Plain descent on the loss of each step; says after each how many are done, so that one may look in between."""
    parameters = list(model.parameters())
    model.train()
    for step in range(steps):
        gradients = torch.autograd.grad(loss_at(step), parameters)
        now = rate * (AT_LAST if step >= (1 - LAST) * steps else 1)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients):
                parameter.sub_(gradient, alpha=now)
        yield step + 1


@torch.no_grad()
def loss_of(model: WindowModel, scored: Windows) -> float:
    """Nats per symbol in evaluation mode; the model is left in the mode that it was in."""
    learning = model.training
    model.eval()
    found = float(cross_entropy(model.score(scored.windows), scored.targets))
    model.train(learning)
    return found

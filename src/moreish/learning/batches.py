"""Minibatches from a list that was encoded once.

Whole lines lie end to end, without padding: a batch is three tensors, and so BatchNorm never sees a padded position. A
batch of windows, as the lectures draw it, is positions at random, each with its last C symbols.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.models.model import LanguageModel, WindowModel
from moreish.randomness import stream
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import Alphabet
from moreish.text.lines import Lines


@dataclass(frozen=True, slots=True)
class Batch:
    """Some lines end to end: `0 e m m a 0 a v a`, their targets `e m m a 0 a v a 0`, their lengths 5 and 4."""

    tokens: Int[Tensor, " N"]
    targets: Int[Tensor, " N"]
    lengths: Int[Tensor, " B"]

    def logits(self, model: LanguageModel) -> Float[Tensor, "N V"]:
        """What the model learns from."""
        return model.learning_logits(self.tokens, self.targets, self.lengths)


@dataclass(frozen=True, slots=True)
class Windows:
    """Some positions, each with the symbols before it (oldest first) and its target."""

    windows: Int[Tensor, "M C"]
    targets: Int[Tensor, " M"]

    def logits(self, model: LanguageModel) -> Float[Tensor, "M V"]:
        """What the model learns from."""
        assert isinstance(model, WindowModel)
        return model.score(self.windows)


class Batches:
    """All batches of a training: which lines come at which step is decided by the seed and the step alone.

    Nothing is remembered from step to step, so a training that is resumed meets the same batches.
    """

    def __init__(self, lines: Lines, alphabet: Alphabet, size: int, seed: int, device: str = "cpu"):
        ids = torch.from_numpy(alphabet.encode_lines(lines))
        ends = (ids == BOUNDARY).nonzero()[:, 0]  # each line begins where the one before it ended
        self.ids, self.device = ids, device
        self.starts, self.sizes = ends[:-1], ends.diff()
        self.size, self.seed = size, seed
        self._epoch, self._order = -1, ends

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return len(self.starts)

    @property
    def symbols(self) -> int:
        """How many symbols are predicted in one pass, line ends counted."""
        return len(self.ids) - 1

    @property
    def passes_are(self) -> int:
        """Steps in which every line comes once; a last batch that is not full goes into no pass, another each time."""
        return max(1, self.lines // self.size)

    def at(self, step: int) -> Batch:
        """The lines of a step, counted from 0. A list shorter than a batch comes whole."""
        epoch, turn = divmod(step, self.passes_are)
        if epoch != self._epoch:
            generator = stream(self.seed, f"order/{epoch}")
            self._epoch, self._order = epoch, torch.randperm(self.lines, generator=generator)
        return self.of(self._order[turn * self.size : (turn + 1) * self.size])

    def of(self, rows: Int[Tensor, " B"]) -> Batch:
        """Some lines by their numbers, longest first: models that read a symbol of each in turn want that."""
        lengths, order = self.sizes[rows].sort(descending=True, stable=True)
        first = torch.repeat_interleave(self.starts[rows[order]] - (lengths.cumsum(0) - lengths), lengths)
        at = first + torch.arange(len(first))
        tokens, targets = self.ids[at].long(), self.ids[at + 1].long()
        return Batch(tokens.to(self.device), targets.to(self.device), lengths.to(self.device))

    def windows_at(self, step: int, context: int) -> Windows:
        """Positions drawn with replacement, as the lectures draw them."""
        generator = stream(self.seed, f"windows/{step}")
        return self.windows_of(torch.randint(self.symbols, (self.size,), generator=generator), context)

    def windows_of(self, positions: Int[Tensor, " M"], context: int) -> Windows:
        """The windows that end at some positions of the text."""
        at = positions[:, None] + torch.arange(1 - context, 1)
        windows = self.ids[at.clamp_(min=0)].long()
        # What stands before the last boundary belongs to another line.
        later = (windows == BOUNDARY).flip(1).cumsum(1).flip(1)
        windows = torch.where(later > (windows == BOUNDARY).long(), BOUNDARY, windows)
        return Windows(windows.to(self.device), self.ids[positions + 1].long().to(self.device))

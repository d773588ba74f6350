"""Minibatches from a list that was encoded once.

Whole lines lie end to end, without padding: a batch is three tensors, and so BatchNorm never sees a padded position. A
batch of windows, as the lectures draw it, is positions at random, each with its last C symbols.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
        ids = alphabet.encode_lines(lines)
        ends = np.flatnonzero(ids == BOUNDARY)  # each line begins where the one before it ended
        self.ids, self.device = ids, device
        self.starts, self.sizes = ends[:-1], np.diff(ends)
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
            self._epoch, self._order = epoch, torch.randperm(self.lines, generator=generator).numpy()
        return self.of(self._order[turn * self.size : (turn + 1) * self.size])

    def of(self, rows: np.ndarray) -> Batch:
        """Some lines by their numbers, longest first: models that read a symbol of each in turn want that.

        In numpy, which takes half of torch's time for arrays so small.
        """
        lengths = self.sizes[rows]
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
        at = np.repeat(self.starts[rows[order]] - (np.cumsum(lengths) - lengths), lengths)
        at += np.arange(len(at))
        return Batch(self._ids(at), self._ids(at + 1), torch.from_numpy(lengths).to(self.device))

    def _ids(self, at: np.ndarray) -> Tensor:
        return torch.from_numpy(self.ids[at].astype(np.int64)).to(self.device)

    def windows_at(self, step: int, context: int) -> Windows:
        """Positions drawn with replacement, as the lectures draw them."""
        generator = stream(self.seed, f"windows/{step}")
        return self.windows_of(torch.randint(self.symbols, (self.size,), generator=generator).numpy(), context)

    def windows_of(self, positions: np.ndarray, context: int) -> Windows:
        """The windows that end at some positions of the text."""
        at = positions[:, None] + np.arange(1 - context, 1)
        windows = self.ids[np.maximum(at, 0)].astype(np.int64)
        ends = windows == BOUNDARY
        # What stands before the last boundary belongs to another line.
        later = np.cumsum(ends[:, ::-1], 1)[:, ::-1]
        windows[later > ends] = BOUNDARY
        return Windows(torch.from_numpy(windows).to(self.device), self._ids(positions + 1))

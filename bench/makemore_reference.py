"""makemore.py itself as the reference: imported from the checkout that MAKEMORE_DIR names, never copied.

It learns and samples by its own parts. Two things differ from its main program. Its loader runs in this process
(num_workers=0, no pinned memory): with workers of its own it would take more than the one core. And the lines come in
an order drawn beforehand, so that both sides can learn from the same ones.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.utils.data import DataLoader

from timing import Absent

KINDS = {
    "transformer": lambda makemore, config: makemore.Transformer(config),
    "gru": lambda makemore, config: makemore.RNN(config, cell_type="gru"),
    "rnn": lambda makemore, config: makemore.RNN(config, cell_type="rnn"),
    "mlp": lambda makemore, config: makemore.MLP(config),
    "bow": lambda makemore, config: makemore.BoW(config),
    "bigram": lambda makemore, config: makemore.Bigram(config),
}
"""Its models, each as its main program makes it: 4 layers, 4 heads, 64 wide unless told otherwise."""
LR, WEIGHT_DECAY, BETAS = 5e-4, 0.01, (0.9, 0.99)
"""What its main program gives AdamW."""


def load() -> ModuleType:
    """makemore.py as a module.

    Raises:
        Absent: MAKEMORE_DIR names no checkout of it.
    """
    where = os.environ.get("MAKEMORE_DIR", "")
    path = Path(where).expanduser() / "makemore.py"
    if not where or not path.is_file():
        raise Absent("makemore.py is not here: MAKEMORE_DIR=<a checkout of github.com/karpathy/makemore>")
    # It imports a writer for TensorBoard, which its main program alone uses and few have installed.
    writer = ModuleType("torch.utils.tensorboard")
    writer.__dict__["SummaryWriter"] = None
    sys.modules.setdefault(writer.__name__, writer)
    spec = importlib.util.spec_from_file_location("makemore", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules["makemore"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Reference:
    """One of its models over a list, with its own dataset."""

    def __init__(self, kind: str, words: list[str], symbols: Sequence[str], seed: int = 3407):
        self.makemore = load()
        self.dataset = self.makemore.CharDataset(words, list(symbols), max(map(len, words)))
        config = self.makemore.ModelConfig(
            vocab_size=self.dataset.get_vocab_size(), block_size=self.dataset.get_output_length()
        )
        torch.manual_seed(seed)
        self.model = KINDS[kind](self.makemore, config)

    def learning(self, numbers: list[int], batch: int, lr: float = LR) -> Learning:
        """Its training over the lines of these numbers, in that order."""
        return Learning(self, numbers, batch, lr)

    def sample(self, count: int) -> list[str]:
        """As its `print_samples`: all at once, to the longest line's length; then cut where they ended and decoded.

        Without looking each up in the lists of known names, for which it goes through them line by line.
        """
        self.model.eval()
        begun = torch.zeros(count, 1, dtype=torch.long)
        steps = self.dataset.get_output_length() - 1
        drawn = self.makemore.generate(self.model, begun, steps, top_k=None, do_sample=True).to("cpu")
        words = []
        for i in range(drawn.size(0)):
            row = drawn[i, 1:].tolist()
            row = row[: row.index(0) if 0 in row else len(row)]
            words.append(self.dataset.decode(row))
        return words


class Learning:
    """Its training loop, a step at a time; what it logs, evaluates and samples on the way is left out."""

    def __init__(self, reference: Reference, numbers: list[int], batch: int, lr: float):
        self.model: Any = reference.model.train()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=lr, weight_decay=WEIGHT_DECAY, betas=BETAS, eps=1e-8
        )
        self.batches = iter(DataLoader(reference.dataset, sampler=numbers, batch_size=batch, num_workers=0))

    def step(self) -> torch.Tensor:
        """Load a batch, forward, backward, AdamW. Returns the targets, -1 where there is none."""
        inputs, targets = (t.to("cpu") for t in next(self.batches))
        _, loss = self.model(inputs, targets)
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return targets

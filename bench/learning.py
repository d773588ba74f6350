"""Training steps, beside those of makemore.py: the same lines in each update, loading included on both sides."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from makemore_reference import LR, WEIGHT_DECAY, Learning, Reference
from moreish import Corpus, Recipe
from moreish.layers import hidden_matrices
from moreish.learning.batches import Batches
from moreish.learning.steps import begin
from moreish.learning.training import Training
from moreish.models.model import LanguageModel
from moreish.randomness import stream
from moreish.text.lines import Lines
from timing import REPEATS, Measured, clock, in_turn, timed

STEPS = {32: 60, 256: 15}
"""Updates in a repeat, by the lines in an update."""
WARM_UP = 3
MATRIX = 1024
"""Rows and columns of the matrices whose product gives the core's peak, in float32."""

SETTINGS: dict[str, dict[str, Any]] = {
    "transformer": {"context": 16, "width": 64, "heads": 4, "layers": 4, "dropout": 0.0, "norm": "layer",
                    "positions": "learnt", "feedforward": "gelu"},
    "gru": {"embedding": 64, "hidden": 64, "layers": 1, "dropout": 0.0, "learnt_start": True, "reset": "after"},
    "mlp": {"context": 16, "embedding": 64, "hidden": 64, "layers": 1, "dropout": 0.0},
}  # fmt: skip
"""makemore.py's sizes."""
IN_THE_WAY = {
    "transformer": "products, with operands of 64 columns, take a third of a step; softmax, GELU, normalisation, "
    "copies between them and AdamW the rest",
    "gru": "each symbol waits for the one before it, so products are small and take a tenth of a step; gates, states "
    "and calls the rest",
    "mlp": "little, for the products of the first layer, which are counted here, are looked up in tables of what each "
    "symbol brings from each place; adding up the tables' gradients, tanh, AdamW and calls",
}
"""What stands between a model's rate and the core's peak."""


def transformer(lists: dict[str, str]) -> dict[str, Measured]:
    """Real symbols a second, line ends counted and padding not, at 32 and 256 lines an update."""
    return _measured("transformer", lists["names"])


def gru(lists: dict[str, str]) -> dict[str, Measured]:
    """As `transformer`. Ours resets after the product with the state, makemore's before it."""
    return _measured("gru", lists["names"])


def mlp(lists: dict[str, str]) -> dict[str, Measured]:
    """As `transformer`: 16 symbols of 64 numbers, one hidden layer of 64, as makemore's for this list.

    Ours has the boundary where makemore's has a blank symbol of its own.
    """
    return _measured("mlp", lists["names"])


class GivenLines(Batches):
    """Batches of lines whose numbers were drawn beforehand, int [steps lines]."""

    def __init__(self, corpus: Corpus, numbers: Tensor):
        super().__init__(corpus.train, corpus.alphabet, numbers.shape[1], seed=0)
        self.numbers = numbers

    def at(self, step: int) -> Any:
        return self.of(self.numbers[step].numpy())


def ours(kind: str, corpus: Corpus, numbers: Tensor) -> Training:
    """The training of a user with makemore's settings of AdamW, over given lines."""
    recipe = Recipe(
        kind, SETTINGS[kind], method="minibatches", steps=len(numbers), lr=LR, weight_decay=WEIGHT_DECAY,
        batch=numbers.shape[1],
    )  # fmt: skip
    model = begin(recipe, Lines.of(corpus.train[:1]), corpus.alphabet).model
    return Training(recipe, model, GivenLines(corpus, numbers))


def _measured(kind: str, path: str) -> dict[str, Measured]:
    corpus = Corpus.read(path, split="none")
    words = corpus.train.texts()
    peak = matrix_peak()
    return {str(batch): _at(kind, corpus, words, batch, peak) for batch in STEPS}


def _at(kind: str, corpus: Corpus, words: list[str], batch: int, peak: float) -> Measured:
    steps = STEPS[batch]
    numbers = torch.randint(len(words), (WARM_UP + REPEATS * steps, batch), generator=stream(0, "bench/lines"))
    training = ours(kind, corpus, numbers)
    learning = Reference(kind, words, corpus.alphabet.symbols).learning(numbers.flatten().tolist(), batch)
    for step in range(WARM_UP):
        targets = learning.step()
        assert int((targets >= 0).sum()) == len(training.batch(step).targets), "both learn the same lines"
        training.advance()
    mine, theirs = in_turn(partial(_advance, training, steps), partial(_step, learning, steps))
    sizes = torch.tensor([len(word) + 1 for word in words])[numbers[WARM_UP:]]
    symbols = sizes.view(REPEATS, -1).sum(1).tolist()
    rates = [count / t.wall for count, t in zip(symbols, mine)]
    flops = flops_per_symbol(training.model, [len(word) + 1 for word in words])
    used = median(rates) * flops / peak
    note = (
        f"{sum(p.numel() for p in training.model.parameters()):,} parameters; model FLOPs utilisation {used:.0%} of "
        f"this core's matrix peak, {peak / 1e9:.0f} GFLOP/s in float32; in the way: {IN_THE_WAY[kind]}"
    )
    return Measured(rates, [count / t.wall for count, t in zip(symbols, theirs)], note, clock=clock(mine))


def _advance(training: Training, steps: int) -> None:
    for _ in range(steps):
        training.advance()


def _step(learning: Learning, steps: int) -> None:
    for _ in range(steps):
        learning.step()


def flops_per_symbol(model: LanguageModel[Any], sizes: list[int]) -> float:
    """Multiplications and additions that learning from one symbol takes, those of matrices only.

    Two for each weight forward, four backward; for attention twelve for each number of the width, layer and symbol in
    sight. Counted for every real symbol, also where equal prefixes are read once.
    """
    applied = [*hidden_matrices(model), "output.weight"]
    weights = sum(model.get_parameter(name).numel() for name in applied)
    flops = 6.0 * weights
    if "heads" in vars(model.config):
        in_sight = sum(n * (n + 1) / 2 for n in sizes) / sum(sizes)
        flops += 12.0 * model.config.layers * model.config.width * in_sight
    return flops


def matrix_peak() -> float:
    """Multiplications and additions in a second, the best of several large products in float32."""
    a, b = torch.rand(2, MATRIX, MATRIX)
    times = [timed(lambda: a @ b).wall for _ in range(4 * REPEATS)]
    return 2 * MATRIX**3 / min(times)

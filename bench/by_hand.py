"""Learning by the ops' hand-written gradients beside the same steps under autograd, in one process.

Both sides are the same training, batches and dropout included; only who finds the gradients differs. What Moreish fuses
by hand anyway is taken apart for autograd's side: a transformer goes op by op, a GRU symbol by symbol.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from moreish import Corpus, by_hand, make_recipe
from moreish.learning.steps import begin
from moreish.learning.training import Training
from moreish.ops.op import by_autograd
from timing import REPEATS, Measured, clock, in_turn

BATCH, STEPS = 32, 20
GPT2 = {"norm": "layer", "positions": "learnt", "feedforward": "gelu"}


def transformer(lists: dict[str, str]) -> Measured:
    """The catalog's transformer."""
    return _measured(lists["names"], "transformer")


def transformer_of_gpt2(lists: dict[str, str]) -> Measured:
    """The transformer of GPT-2's parts, op by op on both sides."""
    return _measured(lists["names"], "transformer", **GPT2)


def gru(lists: dict[str, str]) -> Measured:
    """The catalog's GRU: whole rows by hand, symbol by symbol under autograd."""
    return _measured(lists["names"], "gru")


def _measured(path: str, model: str, **settings: Any) -> Measured:
    corpus = Corpus.read(path)
    ours, theirs = (_training(corpus, model, **settings) for _ in range(2))
    sides: list[Callable[[], None]] = [partial(_advance, ours, by_hand), partial(_advance, theirs, by_autograd)]
    for side in sides:
        side()
    mine, other = in_turn(*sides, repeats=REPEATS + 2)
    note = f"{sum(p.numel() for p in ours.model.parameters()):,} parameters, {BATCH} lines an update"
    return Measured(
        [1e3 * t.wall / STEPS for t in mine], [1e3 * t.wall / STEPS for t in other], note, clock=clock(mine)
    )


def _training(corpus: Corpus, model: str, **settings: Any) -> Training:
    recipe = make_recipe(corpus, model, steps=1000, batch=BATCH, **settings)
    return begin(recipe, corpus.train, corpus.alphabet)


def _advance(training: Training, by: Callable[[], AbstractContextManager[None]]) -> None:
    with by():
        for _ in range(STEPS):
            training.advance()

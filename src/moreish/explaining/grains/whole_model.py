"""The gradients of a catalog network's parameters: by the ops' hand-written backward passes, and by autograd."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from moreish.explaining.drawing.graph import Node
from moreish.explaining.grains.verdicts import NEARBY, Both, apart, moved
from moreish.layers import Dropout
from moreish.learning.batches import Batch, Batches
from moreish.models.catalog import Entry
from moreish.models.model import LanguageModel
from moreish.ops.loss import cross_entropy
from moreish.ops.op import by_autograd, by_hand
from moreish.text.corpus import Corpus

SHOWN = 4
"""Numbers of a tensor that a drawing shows."""


def model_gradients(
    entry: Entry, corpus: Corpus, batches: Batches, seed: int, settings: dict[str, Any]
) -> tuple[list[Both], float, tuple[Node, ...]]:
    """Every parameter's gradient on the first batch of lines, four times over; the loss; and a drawing.

    Dropout is off: it would draw other masks in float64.

    Raises:
        ConfigError: the model has no such setting, or refuses its value.
    """
    config = entry.configure(symbols=len(corpus.alphabet), **settings)
    model = entry.prepare(config, corpus.train, corpus.alphabet, seed)
    for module in model.modules():
        if isinstance(module, Dropout):
            module.rate = 0.0
    batch = batches.at(0)
    double = copy.deepcopy(model).double()
    runs = [_gradients(which, batch, hand) for which in (model, double) for hand in (True, False)]
    (loss, mine), (_, theirs), (_, mine64), (_, theirs64) = runs
    noise = _noise(model, batch, list(mine))
    found = [Both(name, mine[name], theirs[name], mine64[name], theirs64[name], noise[name]) for name in reversed(mine)]
    parameters = dict(model.named_parameters())
    nodes = [
        Node(name, "", tuple(p.shape), (), brief(p), brief(mine[name]))
        for name, p in parameters.items()
        if name in mine
    ]
    return found, loss, (*nodes, Node("loss", entry.name, (), tuple(mine), f"{loss:.4f}", "1", is_end=True))


def _noise(model: LanguageModel[Any], batch: Batch, names: list[str]) -> dict[str, float]:
    """By how much float32 is off float64 in each of autograd's gradients, on nearby problems."""
    noise = dict.fromkeys(names, 0.0)
    own = {name: p.detach() for name, p in model.named_parameters()}
    for which in range(NEARBY):
        other = copy.deepcopy(model)
        other.load_state_dict(moved(own, which), strict=False)
        low, high = (_gradients(m, batch, False)[1] for m in (other, copy.deepcopy(other).double()))
        noise = {name: max(most, apart(low[name], high[name])) for name, most in noise.items()}
    return noise


def _gradients(model: LanguageModel[Any], batch: Batch, hand: bool) -> tuple[float, dict[str, Tensor]]:
    model = copy.deepcopy(model).train()
    names, parameters = zip(*[(name, p) for name, p in model.named_parameters() if p.requires_grad])
    with by_hand() if hand else by_autograd():
        loss = cross_entropy(batch.logits(model), batch.targets)
        got = torch.autograd.grad(loss, parameters, allow_unused=True)
    return loss.item(), {name: torch.zeros_like(p) if g is None else g for name, p, g in zip(names, parameters, got)}


def brief(tensor: Tensor) -> str:
    """The first numbers of a tensor, for a drawing."""
    flat = tensor.flatten()
    digits = "g" if tensor.is_floating_point() else "d"
    shown = [f"{x:.3g}" if digits == "g" else str(x) for x in flat[:SHOWN].tolist()]
    return " ".join(shown) + (" …" if len(flat) > SHOWN else "")

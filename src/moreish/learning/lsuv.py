"""Layer-sequential unit variance: each layer scaled until what it gives for a batch of the list has a variance of 1.

Source: Mishkin and Matas 2016, All you need is a good init, algorithm 1: layers begin orthogonal
(`models/initialization.py`) and are scaled in the order in which they act, each after those before it. Where we differ:
the last layer is scaled as the others are; in a recurrent layer each gate is, over all turns at once, and because the
states change with it that takes several rounds. A model that computes once what lines share counts it once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from moreish.layers import BatchNorm, Dropout, Map
from moreish.learning.batches import Batches
from moreish.models.model import LanguageModel
from moreish.randomness import stream

LINES = 128
"""Of the batch, at most."""
TOLERANCE = 0.02
"""How far from 1 a variance may stay; the paper takes 0.1."""
ROUNDS = 20
"""Times that a layer is scaled, at most; the paper takes 10. But for gates one is enough."""


def scale_on_list(model: LanguageModel[Any], batches: Batches, seed: int) -> None:
    """Scale a model's layers on lines drawn from its list."""
    rows = torch.randperm(batches.lines, generator=stream(seed, "weights/lsuv/lines"))[:LINES]
    batch = batches.of(rows.numpy())
    scale(model, lambda: batch.logits(model))


@torch.no_grad()
def scale(model: nn.Module, read: Callable[[], Tensor]) -> None:
    """Scale the weights of every linear map, first to last, until its sums have unit variance.

    All in one pass: what is scaled is computed again before it is given to the next layer. BatchNorm normalises by the
    batch, as it will while learning, and remembers nothing of it; nothing is dropped. A map whose sums do not vary at
    all is left as it is. Where a model reads the batch piece by piece, it is the first piece that counts.

    Args:
        read: reads the batch by the model, and gives the logits.
    """
    modes = {module: module.training for module in model.modules()}
    kept = {name: buffer.clone() for name, buffer in model.named_buffers() if _is_statistic(model, name)}
    model.train()
    for module in modes:
        if isinstance(module, Dropout):
            module.eval()
    try:
        _pass(model, read, _scaled)
    finally:
        for module, mode in modes.items():
            module.training = mode
        for name, buffer in kept.items():
            model.get_buffer(name).copy_(buffer)


@torch.no_grad()
def variances(model: nn.Module, read: Callable[[], Tensor]) -> list[float]:
    """The variance of what each linear map gives for the batch, in the order in which they act."""
    found: list[float] = []

    def note(maps: list[Map], sums: Tensor) -> bool:
        found.extend(_variance(each) for each in sums.chunk(len(maps), -1))
        return False

    _pass(model, read, note)
    return found


def _pass(model: nn.Module, read: Callable[[], Tensor], look: Callable[[list[Map], Tensor], bool]) -> None:
    """Show `look` each layer's maps and their sums, as they act; a layer that it changes is computed again."""
    layers = {module for module in model.modules() if hasattr(module, "maps") and cast("Any", module).maps()}
    if layers == {model}:  # a network of one layer, whose sums are the logits
        for _ in range(ROUNDS):
            if not look(cast("Any", model).maps(), read()):
                break
        return

    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        layer = cast("Any", module)
        for _ in range(ROUNDS if module in layers else 0):
            if not look(layer.maps(), layer.sums(inputs, output)):
                break
            output = layer.forward(*inputs)
        layers.discard(module)
        return output

    hooks = [module.register_forward_hook(hook) for module in layers]
    try:
        read()
    finally:
        for each in hooks:
            each.remove()


def _scaled(maps: list[Map], sums: Tensor) -> bool:
    """Scale a layer's maps once; whether any was off."""
    off = False
    for each, its in zip(maps, sums.chunk(len(maps), -1)):
        variance = _variance(its)
        if variance > 0 and abs(variance - 1) > TOLERANCE:
            off = True
            for part in each.parts:
                part.mul_(variance**-0.5)
    return off


def _variance(sums: Tensor) -> float:
    return float(sums.double().var(correction=0))


def _is_statistic(model: nn.Module, name: str) -> bool:
    return isinstance(model.get_submodule(name.rpartition(".")[0]), BatchNorm)

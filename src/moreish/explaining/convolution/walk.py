"""That a tree is a dilated causal convolution, on a list; what each output sees; what sliding saves, and why.

A tree learns the list briefly, so that its logits and BatchNorm's statistics are those of a model and not of noise;
then its lines are read window by window, by convolutions, and symbol by symbol, and all that is claimed of these is
measured. The sentences are in words.py.

Source: van den Oord et al. 2016, WaveNet; Karpathy, makemore part 5.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from moreish.explaining.convolution.reach import Reach, reach_of
from moreish.explaining.convolution.sliding import (
    by_convolution,
    by_queues,
    by_windows,
    wavenet_by_convolution,
    wavenet_by_queues,
)
from moreish.explaining.convolution.timing import Calls, Timings, calls_of, timings_of
from moreish.explaining.telling import Told, last
from moreish.learning.recipe import Recipe
from moreish.learning.steps import begin
from moreish.models.tree import Tree
from moreish.models.wavenet import WaveNet, WaveNetConfig
from moreish.text.corpus import Corpus

CONTEXT = 8
"""Symbols of the tree's window: three levels, dilated 1, 2, 4."""
STEPS, BATCH, RATE = 80, 32, 5e-3
"""Of the brief training."""
MOST_SYMBOLS = 10_000
"""Symbols that are read both ways and compared; the rows of larger lists are counted on their lengths."""
LONGEST = 1000
"""Symbols of the lines that are read, at most: longer ones are cut."""
TOGETHER = 64
"""Lines read at once where the time of a batch is taken."""
TEXT = 256
"""Symbols of the list read as one text, boundaries and all: a line as long as sounds are."""
WAVENET_WIDTH = 32


@dataclass(frozen=True)
class Same:
    """The largest difference between the logits of two readings of the same lines, in each precision.

    `largest` is the largest logit, to compare with.
    """

    model: str
    one: str
    other: str
    float32: float
    float64: float
    largest: float


@dataclass(frozen=True)
class Evaluations:
    """How many rows the layers work out for the whole list, a level's row or the logits' counting one each.

    `each` is that divided by the list's symbols.
    """

    way: str
    rows: int
    each: float


@dataclass(frozen=True)
class Convolution:
    """All that was measured. Everything but `timings` is the same each time.

    `lines`, `symbols`: of the list's train part, line ends predicted; `cut` lines were longer than 1,000 symbols, and
    are read, and counted here, only so far. `compared` so many of the symbols were read both
    ways. `nats` is the tree's loss on them, in float64, after `steps` steps.
    """

    list: str
    seed: int
    lines: int
    symbols: int
    cut: int
    compared: int
    context: int
    levels: int
    steps: int
    nats: float
    same: list[Same]
    reach: Reach
    evaluations: list[Evaluations]
    calls: list[Calls]
    timings: Timings

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def explain_convolution(corpus: Corpus, seed: int = 0, device: str = "cpu") -> Convolution:
    """That a tree is a dilated causal convolution, measured on a list; what its outputs see; what sliding saves.

    Args:
        corpus: what is learnt and read is its train part.
        seed: of the weights and the order of lines.
        device: where the times are taken; all else is worked out on the processor.

    Raises:
        UsageError: the seed is none.
    """
    return last(measured(corpus, seed, device), Convolution)


def measured(corpus: Corpus, seed: int = 0, device: str = "cpu") -> Iterator[Told | Convolution]:
    """The same as a stream: after each step of training how far it is, at last what was measured.

    Raises:
        UsageError: the seed is none.
    """
    recipe = Recipe(
        model="tree", settings={"context": CONTEXT}, method="minibatches", steps=STEPS, lr=RATE, seed=seed, batch=BATCH,
        schedule="linear",
    )  # fmt: skip
    training = begin(recipe, corpus.train, corpus.alphabet)
    while training.step < recipe.steps:
        yield Told(training.step, recipe.steps)
        training.advance()
    tree = training.result().eval()
    assert isinstance(tree, Tree)
    ids = corpus.alphabet.encode_lines(corpus.train).astype(np.int64)
    whole = np.diff(np.flatnonzero(ids == 0))
    lengths = np.minimum(whole, LONGEST)
    batches = _batches(ids)
    wavenet = _wavenet(len(corpus.alphabet), tree.config.levels, seed)
    same, nats = _compared(tree, wavenet, batches)
    often = max(batches, key=lambda pair: len(pair[0]))[0][:TOGETHER]
    text = torch.from_numpy(ids[None, : min(TEXT, len(ids) - 1)])
    read = list({tokens.shape: tokens for tokens in (often[:1], often, text)}.values())
    placed = copy.deepcopy(tree).to(device)
    yield Convolution(
        list=corpus.name,
        seed=seed,
        lines=len(lengths),
        symbols=int(lengths.sum()),
        cut=int((whole > LONGEST).sum()),
        compared=sum(tokens.numel() for tokens, _ in batches),
        context=tree.context,
        levels=tree.config.levels,
        steps=STEPS,
        nats=nats,
        same=same,
        reach=reach_of(tree, max((tokens[0] for tokens, _ in batches), key=len), corpus.alphabet),
        evaluations=_evaluations(tree, lengths),
        calls=[each for tokens in read for each in calls_of(tree, tokens)],
        timings=timings_of(placed, [tokens.to(device) for tokens in read], device),
    )


def _wavenet(symbols: int, layers: int, seed: int) -> WaveNet:
    """One that sees as much as the tree; it need not have learnt."""
    config = WaveNetConfig(symbols=symbols, width=WAVENET_WIDTH, skip=WAVENET_WIDTH, layers=layers)
    return WaveNet(config, seed=seed).eval()


Read = Callable[..., Tensor]
"""A way of reading lines: of a model and tokens int [B T] the logits [B T V]."""
Named = tuple[str, Read]
Pair = tuple[Tensor, Tensor]
"""Lines of one length, and their targets: int [B T] both, B and T other ones in each pair."""


def _batches(ids: np.ndarray) -> list[Pair]:
    """Lines of equal length together, the first of the list up to MOST_SYMBOLS symbols; at least one line."""
    ends = np.flatnonzero(ids == 0)
    starts, lengths = ends[:-1], np.minimum(np.diff(ends), LONGEST)
    first = max(1, int(np.searchsorted(np.cumsum(lengths), MOST_SYMBOLS, side="right")))
    batches = []
    for length in np.unique(lengths[:first]):
        at = starts[:first][lengths[:first] == length][:, None] + np.arange(length)
        batches.append((torch.from_numpy(ids[at]), torch.from_numpy(ids[at + 1])))
    return batches


@torch.no_grad()
def _compared(tree: Tree, wavenet: WaveNet, batches: list[Pair]) -> tuple[list[Same], float]:
    """The largest differences over all lines, in both precisions, and the tree's loss in float64."""
    same = [
        _same("tree", tree, ("windows", by_windows), ("convolution", by_convolution), batches),
        _same("tree", tree, ("windows", by_windows), ("queues", by_queues), batches),
        _same("wavenet", wavenet, ("convolution", wavenet_by_convolution), ("queues", wavenet_by_queues), batches),
    ]
    exact, total, symbols = copy.deepcopy(tree).double(), 0.0, 0
    for tokens, targets in batches:
        logs = torch.log_softmax(by_convolution(exact, tokens), -1)
        total -= float(logs.gather(-1, targets[..., None]).sum())
        symbols += targets.numel()
    return same, total / symbols


def _same(name: str, model: nn.Module, one: Named, other: Named, batches: list[Pair]) -> Same:
    apart, largest = dict.fromkeys((torch.float32, torch.float64), 0.0), 0.0
    for precision in apart:
        placed = copy.deepcopy(model).to(precision)
        for tokens, _ in batches:
            logits = one[1](placed, tokens)
            apart[precision] = max(apart[precision], float((logits - other[1](placed, tokens)).abs().max()))
            largest = max(largest, float(logits.abs().max()))
    return Same(name, one[0], other[0], apart[torch.float32], apart[torch.float64], largest)


def _evaluations(tree: Tree, lengths: np.ndarray) -> list[Evaluations]:
    """Rows worked out for the whole list, counted while one line of each length is read and multiplied by how many
    there are: what a line costs depends on its length alone.
    """
    counted = []
    ways: tuple[tuple[str, Read], ...] = (
        ("windows", by_windows), ("convolution", by_convolution), ("queues", by_queues)
    )  # fmt: skip
    for name, way in ways:
        total = 0
        for length, lines in zip(*np.unique(lengths, return_counts=True)):
            rows: list[int] = []
            with torch.no_grad():
                way(tree, torch.zeros(1, int(length), dtype=torch.long), rows.append)
            shared = tree.config.levels - 1 if name == "queues" else 0  # what stands before every line, once for all
            total += (sum(rows) - shared) * int(lines)
        total += tree.config.levels - 1 if name == "queues" else 0
        counted.append(Evaluations(name, total, total / int(lengths.sum())))
    return counted

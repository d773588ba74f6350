"""The curse of dimensionality, measured on a list.

With each symbol of context the table of what could be grows by a factor V and what was seen of it thins out: contexts
possible against seen, by length; how often dev asks for one that train has not; train against dev of count models and
of a small MLP. Then distances: how they concentrate on random points as dimensions are added, whether they do on learnt
embeddings, and what that leaves of nearest neighbours and of the work they take. The sentences are in words.py.

Source: Bengio et al. 2003, section 1; Karpathy, makemore part 2; Beyer et al. 1999.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

from moreish.explaining.dimensionality.contexts import ADDED, ContextLength, counted
from moreish.explaining.dimensionality.distances import DIMENSIONS, KINDS, Scattered, scattered
from moreish.explaining.dimensionality.neighbours import Learnt, Neighbours, learnt_distances, neighbours
from moreish.explaining.telling import Told, last
from moreish.learning.batches import Batches
from moreish.learning.evaluate import line_nats
from moreish.learning.recipe import Recipe
from moreish.learning.steps import begin
from moreish.models.mlp import MLP
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines

LENGTHS = tuple(range(1, 9))
NETWORKS = (1, 2, 3, 5, 8)
"""Context lengths that a network learns with."""
EMBEDDING, HIDDEN = 10, 64
STEPS, BATCH, LR = 1500, 128, 0.01
EVALUATED = 5_000
"""Lines that a network is scored on, at most."""


@dataclass(frozen=True)
class Work:
    """What a context length costs: cells of a full table, weights of the network, multiply-adds of one prediction by
    the network and by comparing with every training window (`positions` of them)."""

    table_cells: int
    weights: int
    positions: int
    network_multiply_adds: int
    knn_multiply_adds: int


@dataclass(frozen=True)
class Network:
    """A small MLP of one context length after a short training: losses in nats per symbol, distances, neighbours."""

    length: int
    train: float
    dev: float | None
    work: Work
    learnt: Learnt | None
    neighbours: Neighbours | None


@dataclass(frozen=True)
class Dimensionality:
    """All that was measured on a list. `symbols` is V, the boundary included; `added` is what count models add.

    Whatever is None, `reasons` says why, by the figure's name.
    """

    list: str
    seed: int
    symbols: int
    lines: int
    added: float
    embedding: int
    hidden: int
    steps: int
    contexts: list[ContextLength]
    networks: list[Network]
    random: list[Scattered]
    reasons: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found = asdict(self)
        found["random"] = [{"kind": each.kind, **asdict(each.found)} for each in self.random]
        return found


def explain_dimensionality(corpus: Corpus, seed: int = 0) -> Dimensionality:
    """Measure the curse of dimensionality on a list: contexts, losses, distances, neighbours and work by length.

    Args:
        corpus: a list, read and split; figures on dev are None where it has no dev part.
        seed: of the networks and of all that is drawn. The same list and seed give the same figures.
    """
    return last(measured(corpus, seed), Dimensionality)


def measured(corpus: Corpus, seed: int = 0) -> Generator[Told | Dimensionality, None, None]:
    """The same as a stream: how far it is, at last what was measured."""
    train = corpus.train
    dev = corpus.dev if len(corpus.dev) else None
    reasons = {} if dev is not None else {"dev": _why_no_dev(corpus)}
    total = len(LENGTHS) + 6 * len(NETWORKS) + 2
    contexts = []
    for length in LENGTHS:
        contexts.append(counted(length, train, dev, corpus.alphabet))
        yield Told(len(contexts), total)
    random = [Scattered(kind, scattered(kind, d, seed)) for kind in KINDS for d in DIMENSIONS]
    yield Told(len(LENGTHS) + 2, total)
    networks = []
    for length in NETWORKS:
        networks.append(_network(length, train, dev, corpus, seed, reasons))
        yield Told(len(LENGTHS) + 2 + 6 * len(networks), total)
    yield Dimensionality(
        corpus.name, seed, len(corpus.alphabet), len(train), ADDED, EMBEDDING, HIDDEN, STEPS, contexts, networks,
        random, reasons,
    )  # fmt: skip


def _why_no_dev(corpus: Corpus) -> str:
    if corpus.kfold:
        return f"the list has {len(corpus.train)} different lines, too few to hold a dev part out"
    return "the split holds no dev part out"


def _network(
    length: int, train: Lines, dev: Lines | None, corpus: Corpus, seed: int, reasons: dict[str, str]
) -> Network:
    recipe = Recipe(
        "mlp", {"context": length, "embedding": EMBEDDING, "hidden": HIDDEN}, method="minibatches", steps=STEPS, lr=LR,
        seed=seed, optimizer="adamw", schedule="cosine", batch=BATCH, batch_of="windows",
    )  # fmt: skip
    training = begin(recipe, train, corpus.alphabet)
    while training.step < STEPS:
        training.advance()
    model = training.result()
    assert isinstance(model, MLP)
    learnt = near = loss = None
    if dev is not None:
        loss = _loss(model, corpus, dev)
        held_out = Batches(dev, corpus.alphabet, 1, seed)
        learnt = learnt_distances(model, training.batches, held_out, seed)
        if learnt is None:
            reasons["learnt"] = f"fewer than three different contexts of {length} symbols"
        near = neighbours(model, training.batches, held_out, seed)
        if near is None:
            reasons["neighbours"] = f"the list has only {training.batches.symbols} symbols to find neighbours among"
    return Network(
        length, _loss(model, corpus, train), loss, _work(model, len(corpus.alphabet), training.batches.symbols), learnt,
        near,
    )  # fmt: skip


def _loss(model: MLP, corpus: Corpus, lines: Lines) -> float:
    nats, sizes = line_nats(model, corpus.alphabet, lines[:EVALUATED])
    return float(nats.sum() / sizes.sum())


def _work(model: MLP, symbols: int, positions: int) -> Work:
    """Multiply-adds of products alone: what tanh, softmax and finding the least distance take is not counted."""
    inputs = model.context * EMBEDDING
    return Work(
        table_cells=symbols ** (model.context + 1),
        weights=sum(p.numel() for p in model.parameters()),
        positions=positions,
        network_multiply_adds=inputs * HIDDEN + HIDDEN * symbols,
        knn_multiply_adds=positions * inputs,
    )

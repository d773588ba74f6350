"""Why plain RNNs are expressive and yet hard for first-order methods, measured on a list.

An RNN can in principle compute whatever can be computed (Siegelmann and Sontag 1995); what can be learnt by descent is
another question, which the gradient answers: what is left of it so many symbols back, at first and after learning, and
what that costs. The sentences are in words.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from moreish.errors import ListError
from moreish.explaining.optimizability import descending
from moreish.explaining.optimizability.descending import DISTANCES, Recall, Sweep, recall, sweep
from moreish.explaining.optimizability.networks import NETWORKS, Network
from moreish.explaining.optimizability.through_time import FARTHEST, LEAST, Back, Plain, back, long_lines
from moreish.explaining.telling import Told, last
from moreish.learning.batches import Batches
from moreish.models.model import LanguageModel
from moreish.text.corpus import Corpus

SCORED = 800
"""Held-out lines that are scored, at most."""
LEAST_REACH = 3


@dataclass(frozen=True)
class Named:
    """A network that is compared: what it is, and how many weights it has."""

    network: str
    about: str
    weights: int


@dataclass(frozen=True)
class Optimizability:
    """All that was found. `part` is where losses are: `dev`, or `train` where the list has no dev part.

    `reach` is how many symbols back there are lines enough to look, `lines` how many are looked at; `farthest` how far
    one would look, and `reason` why it is not so far. `fresh` and `learnt` are the gradients before learning and after
    the best rate's steps; `plain` tells why a plain RNN's are what they are.
    """

    list: str
    part: str
    seed: int
    steps: int
    reach: int
    farthest: int
    lines: int
    reason: str
    networks: list[Named]
    fresh: list[Back]
    learnt: list[Back]
    plain: list[Plain]
    plain_learnt: list[Plain]
    sweeps: list[Sweep]
    within: float
    recalls: list[Recall]
    recall_steps: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def explain_optimizability(corpus: Corpus, seed: int = 0) -> Optimizability:
    """Measure what comes back through time, and what that costs.

    Raises:
        ListError: the list has too few lines that are long enough to look back along.
        UsageError: the seed is none.
    """
    return last(measured(corpus, seed), Optimizability)


def measured(corpus: Corpus, seed: int = 0) -> Iterator[Told | Optimizability]:
    """The same as a stream: after each part how far it is, at last what was found.

    Raises:
        ListError: the list has too few lines that are long enough to look back along.
        UsageError: the seed is none.
    """
    learnt = Batches(corpus.train, corpus.alphabet, descending.LINES, seed)
    reach = _reach(corpus, learnt)
    part = "train" if corpus.kfold or corpus.split == "none" else "dev"
    held_out = Batches((corpus.dev if part == "dev" else corpus.train)[:SCORED], corpus.alphabet, 1, seed)
    scored = held_out.of(np.arange(held_out.lines))
    symbols, total = len(corpus.alphabet), 2 * len(NETWORKS)
    fresh, after, plain, plain_after, sweeps, recalls, named = [], [], [], [], [], [], []
    for i, network in enumerate(NETWORKS):
        yield Told(2 * i, total)
        model = network.make(symbols, seed)
        named.append(Named(network.name, network.about, sum(p.numel() for p in model.parameters())))
        _look(network, model, learnt, fresh, plain)
        for event in sweep(network, learnt, scored, symbols, seed):
            if isinstance(event, Sweep):
                sweeps.append(event)
            else:
                _look(network, event, learnt, after, plain_after)
        yield Told(2 * i + 1, total)
        recalls.append(recall(network, learnt, symbols, seed))
    yield Optimizability(
        list=corpus.name,
        part=part,
        seed=seed,
        steps=descending.STEPS,
        reach=reach,
        farthest=FARTHEST,
        lines=sum(len(rows) for rows in long_lines(learnt)[1]),
        reason=""
        if reach == FARTHEST
        else f"It is looked back no farther than {reach} symbols, for fewer than {LEAST} lines are longer.",
        networks=named,
        fresh=fresh,
        learnt=after,
        plain=plain,
        plain_learnt=plain_after,
        sweeps=sweeps,
        within=descending.WITHIN,
        recalls=recalls,
        recall_steps=descending.RECALL_STEPS,
    )


def _look(network: Network, model: LanguageModel, learnt: Batches, backs: list[Back], plains: list[Plain]) -> None:
    found, plain = back(network, model, learnt)
    backs.append(found)
    if plain is not None:
        plains.append(plain)


def _reach(corpus: Corpus, learnt: Batches) -> int:
    """How many symbols back one can look."""
    reach, _ = long_lines(learnt)
    if reach < LEAST_REACH or learnt.symbols < 2 * max(DISTANCES) + 2:
        raise ListError(
            f"{corpus.name} has fewer than {LEAST} lines to learn from that are longer than {max(reach, 0)} "
            f"{'symbol' if reach == 1 else 'symbols'}, too few to look back along. Give a longer list, such as names."
        )
    return reach

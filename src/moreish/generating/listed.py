"""Few lines meet the conditions: each is scored by the model, and drawn by its share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from moreish.errors import Impossible
from moreish.generating.constraints import Compiled
from moreish.generating.sampler import Drawn
from moreish.generating.source import WITHOUT_REPLACEMENT, Probability, Source, new_ones
from moreish.learning.evaluate import line_nats
from moreish.learning.recipe import Trained
from moreish.randomness import stream
from moreish.text.lines import Lines


class Listed(Source):
    """All that is meant, line by line; only the new ones of these, where `is_new` is given. Exact for any model."""

    def __init__(self, trained: Trained, compiled: Compiled, is_new: Callable[[list[str]], np.ndarray] | None):
        self.trained = trained
        texts = [trained.alphabet.decode(ids) for ids in every_line(compiled)]
        nats, _ = line_nats(trained.model, trained.alphabet, Lines.of(texts))
        can = np.isfinite(nats)
        if not can.any():
            raise Impossible(
                f"this model gives no line like that any probability: {', '.join(compiled.parts)}. Loosen one, or "
                f"train with --smoothing kneser-ney."
            )
        self.total = _sum(nats)
        wanted = can if is_new is None else can & is_new(texts)
        self.known = int(can.sum() - wanted.sum())
        self.texts, self.nats = [texts[i] for i in np.flatnonzero(wanted)], nats[wanted]
        self.probability = _sum(self.nats) if len(self.texts) else Probability(-math.inf)
        self.share_new = None if is_new is None else math.exp(self.probability.log - self.total.log)
        high = compiled.high
        if not compiled.acceptor.can_end(high + 1, high + len(compiled.acceptor) + 1):
            self.beyond = 0.0

    @property
    def most_distinct(self) -> int:
        return len(self.texts)

    def batches(self, seed: int, at_once: int) -> Iterator[Drawn]:
        generator = stream(seed, "sampling of listed lines")
        assert self.probability is not None
        shares = torch.from_numpy(np.exp(-self.nats - self.probability.log))
        while True:
            yield self._chosen(torch.multinomial(shares, at_once, replacement=True, generator=generator).numpy())

    def distinct(self, count: int, seed: int) -> Drawn:
        uniform = torch.rand(len(self.nats), generator=stream(seed, WITHOUT_REPLACEMENT), dtype=torch.float64).numpy()
        with np.errstate(divide="ignore"):
            perturbed = -self.nats - np.log(-np.log(uniform))
        return self._chosen(np.argsort(-perturbed)[:count])

    def without(self, known: Trained) -> Probability | None:
        return self.probability

    def possible(self, known: Trained, new_only: bool) -> int | None:
        return new_ones(float(len(self.texts) + self.known), self.known)

    def _chosen(self, rows: np.ndarray) -> Drawn:
        nats = self.nats[rows]
        return Drawn([self.texts[i] for i in rows.tolist()], nats, np.zeros(len(rows), bool), nats)


def every_line(compiled: Compiled) -> list[list[int]]:
    """The ids of each line that is meant, in the order of its symbols."""
    by_symbol, accepting = compiled.acceptor.by_symbol, compiled.acceptor.accepting
    ahead = compiled.acceptor.counts(compiled.low, compiled.high)
    found: list[list[int]] = []
    waiting: list[tuple[int, list[int]]] = [(0, [])]
    while waiting:
        state, ids = waiting.pop()
        if accepting[state] and len(ids) >= compiled.low:
            found.append(ids)
        if len(ids) == compiled.high:
            continue
        after = by_symbol[state]
        for symbol in np.flatnonzero(after >= 0)[::-1].tolist():
            if ahead[len(ids) + 1, after[symbol]] > 0:
                waiting.append((int(after[symbol]), [*ids, symbol + 1]))
    return found


def _sum(nats: np.ndarray) -> Probability:
    return Probability(float(torch.logsumexp(torch.from_numpy(-nats), 0)))

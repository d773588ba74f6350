"""Two models as one: at each place their distributions are interpolated, over the union of their symbols.

Sources: Jelinek and Mercer, Interpolated estimation of Markov source parameters from sparse data (1980): a weighted sum
of distributions is one again, whatever they are; Bengio et al., A Neural Probabilistic Language Model (2003), whose
experiments mix a network with trigrams so, and gain. Where we differ: the weight is given, not fitted, and each
model may lack symbols of the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from moreish.errors import ConfigError, UsageError
from moreish.models.model import LanguageModel, check_whole, device_of
from moreish.models.ngram import MOST_SYMBOLS
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import Alphabet


@dataclass(frozen=True)
class BlendConfig:
    """A blend's settings: V of the union, b's share, and the n-grams that both saw together."""

    symbols: int
    weight: float
    edges: int = 0

    def __post_init__(self) -> None:
        check_whole("BlendConfig", "symbols", self.symbols, 1, MOST_SYMBOLS, "It counts the boundary too.")
        check_weight(self.weight)


@dataclass(frozen=True)
class BlendState:
    """What both models remember, and whether each knew all symbols so far: bool [B]."""

    a: Any
    b: Any
    reads_a: Bool[Tensor, " B"]
    reads_b: Bool[Tensor, " B"]


class Blend(LanguageModel[BlendState]):
    """(1 - weight) P_a + weight P_b at each place.

    A symbol that a model lacks has probability 0 under it. Once a line holds one, that model has nothing to say about
    the rest: the other goes on alone. A line that neither can read has probability 0; what follows in it is uniform.

    Args:
        a, b: any two models on one device. They become parts of this one, and are changed in nothing.
        alphabet_a, alphabet_b: theirs; the blend's own is `union(alphabet_a, alphabet_b)`.
        weight: b's share, from 0 to 1.

    Raises:
        UsageError: symbols of different kinds, or models on different devices.
        ConfigError: a weight that means nothing.
    """

    fitted_by_counting: ClassVar[bool] = True  # or before: it learns nothing itself, so no parameter waits

    where_a: Int[Tensor, " V"]
    where_b: Int[Tensor, " V"]

    def __init__(
        self,
        a: LanguageModel[Any],
        b: LanguageModel[Any],
        alphabet_a: Alphabet,
        alphabet_b: Alphabet,
        weight: float,
    ):
        super().__init__()
        both = union(alphabet_a, alphabet_b)
        edges = sum(int(getattr(model.config, "edges", 0)) for model in (a, b))
        self.config = BlendConfig(len(both), weight, edges)
        self.a, self.b = a, b
        devices = {device_of(model) for model in (a, b) if any(True for _ in model.state_dict())}
        if len(devices) > 1:
            raise UsageError(f"a blend's models stand on {' and '.join(sorted(map(str, devices)))}. Load both on one.")
        device = next(iter(devices), torch.device("cpu"))
        for name, alphabet in (("where_a", alphabet_a), ("where_b", alphabet_b)):
            # For each id of the union the model's own, or -1 where it lacks the symbol.
            ids = [BOUNDARY, *(alphabet.ids.get(symbol, -1) for symbol in both.symbols)]
            self.register_buffer(name, torch.tensor(ids, device=device))

    def begin(self, batch: int) -> BlendState:
        every = torch.ones(batch, dtype=torch.bool, device=self.where_a.device)
        return BlendState(self.a.begin(batch), self.b.begin(batch), every, every)

    def forward(self, tokens: Int[Tensor, "B T"], state: BlendState) -> tuple[Float[Tensor, "B T V"], BlendState]:
        ids_a, reads_a = _own(self.where_a, tokens, state.reads_a)
        ids_b, reads_b = _own(self.where_b, tokens, state.reads_b)
        logits_a, after_a = self.a(ids_a, state.a)
        logits_b, after_b = self.b(ids_b, state.b)
        mixed = self._mix(
            _spread(logits_a, self.where_a), _spread(logits_b, self.where_b), reads_a[:, 1:, None], reads_b[:, 1:, None]
        )
        return mixed, BlendState(after_a, after_b, reads_a[:, -1], reads_b[:, -1])

    def target_nats(
        self, tokens: Int[Tensor, "B T"], targets: Int[Tensor, "B T"], state: BlendState
    ) -> Float[Tensor, "B T"]:
        ids_a, reads_a = _own(self.where_a, tokens, state.reads_a)
        ids_b, reads_b = _own(self.where_b, tokens, state.reads_b)
        wanted_a, wanted_b = self.where_a[targets.long()], self.where_b[targets.long()]
        nats_a = self.a.target_nats(ids_a, wanted_a.clamp(min=0), state.a).masked_fill(wanted_a < 0, math.inf)
        nats_b = self.b.target_nats(ids_b, wanted_b.clamp(min=0), state.b).masked_fill(wanted_b < 0, math.inf)
        return -self._mix(-nats_a, -nats_b, reads_a[:, 1:], reads_b[:, 1:])

    def _mix(self, log_a: Tensor, log_b: Tensor, reads_a: Tensor, reads_b: Tensor) -> Tensor:
        """Log-probabilities of the blend from those of its parts, where each may have stopped reading."""
        exact = torch.promote_types(log_a.dtype, log_b.dtype)
        weight = self.config.weight
        # Not (1 - w) P_a + w P_b outright: with a weight of 0 or 1 this way gives one of them to the bit.
        mixed = torch.logaddexp(log_a.to(exact) + _log(1 - weight), log_b.to(exact) + _log(weight))
        mixed = torch.where(reads_b, mixed, log_a)
        mixed = torch.where(reads_a, mixed, log_b)
        mixed = torch.where(reads_a | reads_b, mixed, -math.log(self.config.symbols))
        # No more digits than the rougher of the two has.
        return mixed.to(log_b.dtype if exact == log_a.dtype else log_a.dtype)


def union(a: Alphabet, b: Alphabet) -> Alphabet:
    """The symbols of both, sorted.

    Raises:
        UsageError: their symbols are of different kinds.
    """
    if a.kind != b.kind:
        raise UsageError(
            f"the symbols of one run are {a.kind}, of the other {b.kind}: they cannot be interpolated. "
            f"Train both with the same --symbols."
        )
    return Alphabet(a.kind, tuple(sorted({*a.symbols, *b.symbols})))


def check_weight(weight: float) -> None:
    """Refuse a weight that means nothing.

    Raises:
        ConfigError
    """
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= 1:
        raise ConfigError(
            f"weight={weight!r:.60} is not a number from 0 to 1. It is the second run's share: use 0.3, say."
        )


def _own(
    where: Int[Tensor, " V"], tokens: Int[Tensor, "B T"], before: Bool[Tensor, " B"]
) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T+1"]]:
    """A model's ids of tokens, the boundary in place of those that it lacks; before and at each, if it knew all."""
    ids = where[tokens.long()]
    reads = torch.cat([before[:, None], ids >= 0], 1).cumprod(1).bool()
    return ids.clamp(min=0), reads


def _spread(logits: Float[Tensor, "B T U"], where: Int[Tensor, " V"]) -> Float[Tensor, "B T V"]:
    """A model's log-probabilities over the union's symbols: -inf for those that it lacks."""
    return logits.log_softmax(-1)[..., where.clamp(min=0)].masked_fill(where < 0, -math.inf)


def _log(share: float) -> float:
    return math.log(share) if share else -math.inf

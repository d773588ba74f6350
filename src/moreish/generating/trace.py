"""Why a line scores as it does: symbol by symbol, what the model expected, what would have been likelier, and which
training lines speak for it.

The line's score is the sum of its symbols' nats, its end among them, to the bit that `score` gives.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moreish.errors import MoreishError, UsageError
from moreish.generating.hidden import Near, hidden_of, hidden_states
from moreish.generating.rungs import OWN, Rung, count_rungs, rung_nats, settings_of
from moreish.generating.support import Support, training_stream
from moreish.learning.recipe import Trained
from moreish.learning.score import score
from moreish.models.model import LanguageModel, device_of
from moreish.shapes import BOUNDARY

LONGEST = 1_000
"""Symbols in a line at most: as many as a line that is drawn may have without asking for more."""
RUNNERS_UP = 3
CELLS_AT_ONCE = 1 << 22
"""Probabilities held at a time."""


@dataclass(frozen=True)
class RunnerUp:
    """A symbol that could have stood there instead; "" is the line's end."""

    symbol: str
    probability: float


@dataclass(frozen=True)
class WhySymbol:
    """One symbol of a line, "" being its end.

    `nats` and `probability` are under the run's own model, after what stands before; `entropy_bits` is how unsure it
    was there, `rank` the symbol's place among all (1: none is likelier), `runners_up` the likeliest others.
    `rungs` has the probability under each model asked. `support` is None where the run kept only hashes of its lines;
    `nearest` where the model has no hidden state, or nothing to compare it with.
    """

    symbol: str
    nats: float
    probability: float
    entropy_bits: float
    rank: int
    runners_up: list[RunnerUp]
    rungs: dict[str, float]
    support: Support | None
    nearest: list[Near] | None


@dataclass(frozen=True)
class Why:
    """A line explained. `nats` is its negative log-probability, its end included: the sum of its symbols' nats.

    `rungs` are the models that were asked, the run's own last; `notes` are sentences on what cannot be said here.
    """

    text: str
    model: str
    nats: float
    symbols: list[WhySymbol]
    rungs: list[Rung]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; null stands for an infinite figure (an impossible symbol)."""
        found = asdict(self)
        for part in (found, *found["symbols"], *found["rungs"]):
            part["nats"] = part["nats"] if math.isfinite(part["nats"]) else None
        for symbol in found["symbols"]:  # `nearest` supports it too
            nearest = symbol.pop("nearest")
            if symbol["support"] is not None:
                symbol["support"]["nearest"] = nearest
        return found


def why(trained: Trained, text: str) -> Why:
    """Explain a line under a trained model. The first call on a run reads its training lines, and keeps what it finds.

    Raises:
        AlphabetError: the line holds a symbol that the alphabet lacks.
        UsageError: it holds a newline, has over 1,000 symbols, or is no text.
        MoreishError: the model gives what is no probability.
    """
    if not isinstance(text, str):
        raise UsageError(f"{text!r:.60} is not one line. Give one line of text.")
    if len(text) > LONGEST:
        raise UsageError(
            f"{text!r:.60} has {len(text):,} characters, and a line of at most {LONGEST:,} is explained. Give a part "
            f"of it, or use `moreish score`."
        )
    (scored,) = score(trained, text)
    ids = trained.alphabet.encode(scored.text) if scored.text else []
    if len(ids) > LONGEST:  # bytes: a character can be four of them
        raise UsageError(f"{text!r:.60} has {len(ids):,} symbols, and a line of at most {LONGEST:,} is explained.")
    nats = [part for _, part in scored.symbols]
    rungs = [(name, model, settings_of(fitted), rung_nats(fitted, ids)) for name, (model, fitted) in
             count_rungs(trained).items()]  # fmt: skip
    rungs.append((OWN, trained.recipe.model, {**settings_of(trained.model), **trained.recipe.settings}, nats))
    supports = _supports(trained, ids)
    nearest = _nearest(trained, ids)
    symbols = [
        WhySymbol(
            symbol, part, math.exp(-part), *beliefs, {name: math.exp(-each[i]) for name, _, _, each in rungs},
            supports[i] if supports else None, nearest[i] if nearest else None,
        )
        for i, ((symbol, part), beliefs) in enumerate(zip(scored.symbols, _beliefs(trained, ids)))
    ]  # fmt: skip
    told = [Rung(name, model, dict(settings), math.fsum(each)) for name, model, settings, each in rungs]
    why_not = _notes(trained, scored.nats, nearest is None)
    return Why(scored.text, trained.recipe.model, scored.nats, symbols, told, why_not)


def log_distributions(model: LanguageModel[Any], ids: list[int]) -> Iterator[Tensor]:
    """What the model says may follow each symbol of a line, read in pieces: float64 [T V], natural logarithms.

    Args:
        ids: the line's, without its boundaries; it is read from its boundary on.
    """
    model.eval()
    read = torch.tensor([[BOUNDARY, *ids]], device=device_of(model))
    state = model.begin(1)
    for piece in read.split(max(1, CELLS_AT_ONCE // int(model.config.symbols)), 1):
        with torch.no_grad():  # not around the yield: what the caller does between is the caller's
            logits, state = model(piece, state)
            log_probs = torch.log_softmax(logits[0].double(), -1).cpu()
        yield log_probs


def entropy_bits(log_probs: Tensor) -> Tensor:
    """Shannon's entropy of each row of natural logarithms of probabilities [T V], in bits: [T]."""
    return torch.special.entr(log_probs.exp()).sum(-1) / math.log(2)


def _beliefs(trained: Trained, ids: list[int]) -> Iterator[tuple[float, int, list[RunnerUp]]]:
    """For each symbol of the line, its end too: the entropy before it, its rank, and the runners-up."""
    targets = iter([*ids, BOUNDARY])
    names = ["", *trained.alphabet.symbols]
    for log_probs in log_distributions(trained.model, ids):
        bits = entropy_bits(log_probs).tolist()
        for row, unsure in zip(log_probs, bits):
            if not math.isfinite(unsure):
                raise MoreishError(
                    "this model gives what is no probability, so there is nothing to explain. Train again."
                )
            target = next(targets)
            rank = 1 + int((row > row[target]).sum())
            best = row.sort(descending=True, stable=True).indices[: RUNNERS_UP + 1].tolist()
            others = [i for i in best if i != target and row[i] > -math.inf][:RUNNERS_UP]
            yield unsure, rank, [RunnerUp(names[i], math.exp(float(row[i]))) for i in others]


def _supports(trained: Trained, ids: list[int]) -> list[Support] | None:
    stream = training_stream(trained)
    if stream is None:
        return None
    read = np.array([BOUNDARY, *ids], trained.alphabet.dtype)
    return [stream.support(read[: i + 1], symbol) for i, symbol in enumerate([*ids, BOUNDARY])]


def _nearest(trained: Trained, ids: list[int]) -> list[list[Near]] | None:
    hidden = hidden_of(trained)
    if hidden is None:
        return None
    read = np.array([BOUNDARY, *ids], trained.alphabet.dtype)
    states = hidden_states(trained.model, [read])
    assert states is not None, "those of the training lines could be seen"
    return [
        hidden.near(read[: i + 1], symbol, state) for i, (symbol, state) in enumerate(zip([*ids, BOUNDARY], states[0]))
    ]


def _notes(trained: Trained, nats: float, no_states: bool) -> list[str]:
    notes = []
    if math.isinf(nats):
        notes.append("Without smoothing, what this model never saw is impossible, so the line's score is infinite.")
    if trained.hashes is not None:
        notes.append(
            "This run kept only hashes of its lines, so no count models stand beside it and no training line is named; "
            "train again without --no-keep-list."
        )
    if trained.corpus.elsewhere:
        notes.append("These weights were learnt elsewhere: the training lines named here may not be those learnt.")
    if no_states and trained.hashes is None and not trained.model.fitted_by_counting:
        notes.append(
            f"The model {trained.recipe.model} has no hidden state of which its logits are a linear map, so no "
            f"contexts are compared by it."
        )
    return notes

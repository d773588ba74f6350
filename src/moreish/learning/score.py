"""What a model thinks of given lines, symbol by symbol."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from moreish.errors import UsageError
from moreish.learning.recipe import Trained
from moreish.models.model import device_of
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import split_symbols

LONGEST = 1_000_000


@dataclass(frozen=True)
class Scored:
    """A line's negative log-probability in nats, its end included, and each symbol's part of it.

    The last symbol is "", the end of the line.
    """

    text: str
    nats: float
    symbols: list[tuple[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; null stands for an infinite figure (an impossible symbol)."""
        return {
            "text": self.text,
            "nats": _finite(self.nats),
            "symbols": [{"symbol": symbol, "nats": _finite(nats)} for symbol, nats in self.symbols],
        }


@torch.no_grad()
def score(trained: Trained, texts: str | Iterable[str]) -> list[Scored]:
    """Score lines under a trained model.

    Raises:
        AlphabetError: a line holds a symbol that the alphabet lacks.
        UsageError: a line holds a newline, is over a million symbols long, or is no text.
    """
    model = trained.model.eval()
    out = []
    for text in [texts] if isinstance(texts, str) else texts:
        if not isinstance(text, str) or "\n" in text or len(text) > LONGEST:
            raise UsageError(f"{text!r:.60} is not one line of at most {LONGEST:,} symbols. Give one line at a time.")
        text = trained.alphabet.spelling(text)
        ids = trained.alphabet.encode(text) if text else []
        line = torch.tensor([[BOUNDARY, *ids, BOUNDARY]], device=device_of(model))
        nats = model.target_nats(line[:, :-1], line[:, 1:], model.begin(1))[0].double().tolist()
        pieces = [*(split_symbols(text, trained.alphabet.kind) if text else []), ""]
        out.append(Scored(text, math.fsum(nats), list(zip(pieces, nats))))
    return out


def _finite(nats: float) -> float | None:
    return nats if math.isfinite(nats) else None

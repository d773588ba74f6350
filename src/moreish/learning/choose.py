"""Which model suits a list: by trying, on lines held out."""

from __future__ import annotations

import math
from typing import Any

from moreish.learning.evaluate import held_out_loss
from moreish.learning.fit import fit
from moreish.text.corpus import Corpus

SMALL_ALPHABET = 256
ORDERS_OF_CHARACTERS = (2, 3, 4, 5, 6, 7)
ORDERS_OF_WORDS = (1, 2, 3)
MANY_BYTES = 20_000_000
"""From here trying every order would take minutes, and long contexts are well filled."""
ORDER_FOR_MANY = 7


def choose(corpus: Corpus, time: float | None = None) -> tuple[str, dict[str, Any], str]:
    """The model and settings for this list, and one sentence why."""
    if corpus.kfold and len(corpus.train) < 2:
        return "ngram", {"order": 3}, "ngram of order 3: one unique line leaves nothing to choose by"
    if len(corpus.train.data) > MANY_BYTES:
        order = ORDER_FOR_MANY if len(corpus.alphabet) <= SMALL_ALPHABET else 4
        return "ngram", {"order": order}, f"ngram of order {order}: {len(corpus.train):,} lines fill long contexts well"
    orders = ORDERS_OF_CHARACTERS if len(corpus.alphabet) <= SMALL_ALPHABET else ORDERS_OF_WORDS
    losses: dict[int, float] = {}
    for order in orders:
        losses[order] = held_out_loss(fit(corpus, "ngram", order=order))
        if losses[order] > min(losses.values()) + 0.02:  # longer contexts only get worse from here
            break
    best = min(losses, key=lambda order: losses[order])
    nothing = math.log(len(corpus.alphabet))
    held_out = f"in {len(corpus.folds())} folds" if corpus.kfold else "on the lines held out"
    return (
        "ngram",
        {"order": best},
        f"ngram of order {best}: {losses[best]:.4f} nats per symbol {held_out}, the least of orders "
        f"{min(losses)} to {max(losses)}; "
        + (
            f"knowing nothing costs {nothing:.4f}"
            if losses[best] < nothing
            else f"but knowing nothing costs only {nothing:.4f}: the list is too short to learn from"
        ),
    )

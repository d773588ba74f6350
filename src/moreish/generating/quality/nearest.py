"""How far new lines are from the list they were learnt from, in edits."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from moreish.generating.novelty import COPY, LINES_AT_ONCE, NEAR_COPY, NEW, QUERIES_AT_ONCE, Novelty
from moreish.text.lines import Lines

MOST_ASKED, FEWEST_ASKED = 2_000, 100
"""Lines whose nearest line is looked for: a share of 2,000 is known to two percent."""
STEPS = 4_000_000_000
"""Of comparing, about; where the list is so long, or its lines, that 2,000 would take more, fewer are asked."""


def affordable(train: Lines) -> int:
    """How many lines can be held against all of `train` in some seconds, from 100 to 2,000."""
    size = len(train.data)
    words = 1 + size // max(1, len(train)) // 64  # rapidfuzz goes through 64 symbols of a line at once
    return int(np.clip(STEPS // max(1, size * words), FEWEST_ASKED, MOST_ASKED))


def edits_to_nearest(known: Novelty, train: Lines, texts: Lines) -> Int[np.ndarray, " new"]:
    """Of the lines that `train` does not have, the edits to the nearest that it has, in the order of `texts`.

    Args:
        known: an index of `train`, which finds what is one edit away without measuring; the rest is measured, line
            against line.
    """
    kinds = known.origins(texts).kinds
    edits = np.where(kinds == NEAR_COPY, 1, 0)
    far = np.flatnonzero(kinds == NEW)
    asked = texts.take(far).texts()
    nearest = np.full(len(asked), np.iinfo(np.int32).max)
    for first in range(0, len(train) if asked else 0, LINES_AT_ONCE):
        lines = train[first : first + LINES_AT_ONCE].texts()
        for at in range(0, len(asked), QUERIES_AT_ONCE):
            apart = cdist(asked[at : at + QUERIES_AT_ONCE], lines, scorer=Levenshtein.distance, dtype=np.int32)
            here = nearest[at : at + QUERIES_AT_ONCE]
            np.minimum(here, apart.min(axis=1), out=here)
    edits[far] = nearest
    return edits[kinds != COPY]

"""How far new lines are from the list they were learnt from, in edits."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from moreish.generating.novelty import Novelty
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


def edits_to_nearest(known: Novelty, texts: Lines) -> Int[np.ndarray, " new"]:
    """Of the lines that `known` does not have, the edits to the nearest that it has, in the order of `texts`."""
    apart = known.nearest(texts, None).distance
    return apart[apart != 0].astype(np.int64)

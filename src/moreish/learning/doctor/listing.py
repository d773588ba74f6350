"""What the lines say by themselves: repeats, lines of dev that were learnt, dev prepared otherwise than train."""

from __future__ import annotations

import numpy as np

from moreish.learning.doctor.evidence import Lists
from moreish.learning.evaluate import line_nats
from moreish.models.counts import count_grams
from moreish.models.ngram import NGram, NGramConfig
from moreish.text.alphabet import Alphabet
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

LEAST_LINES = 40
"""On either side, for a comparison of train with dev."""
MOST_LINES = 4_000
"""On either side: more would say nothing new."""


def listed(train: Lines, dev: Lines | None, alphabet: Alphabet, duplicates: float | None = None) -> Lists:
    """What a list's parts say. `alphabet` knows the symbols of both.

    Dev is held against a half of train under a table of pairs counted on the other half: of one kind, both are equally
    hard for it, but for chance.
    """
    leaking = strange = error = reference = None
    if dev is not None and len(dev):
        leaking = float(np.isin(line_hashes(dev), line_hashes(train)).mean())
    if len(train) >= 2 * LEAST_LINES:
        train = train[: 2 * MOST_LINES]
        counted, held = train[: len(train) // 2], train[len(train) // 2 :]
        config = NGramConfig(symbols=len(alphabet), order=2, smoothing="add-1")
        table = NGram.fit(config, count_grams(counted, alphabet, 2))
        nats, sizes = line_nats(table, alphabet, held)
        reference = float(nats.sum() / sizes.sum())
        if dev is not None and len(dev) >= LEAST_LINES:
            theirs, their_sizes = line_nats(table, alphabet, dev[:MOST_LINES])
            other = float(theirs.sum() / their_sizes.sum())
            strange = other - reference
            error = float(np.hypot(_error(nats, sizes, reference), _error(theirs, their_sizes, other)))
    return Lists(len(train), duplicates, leaking, strange, error, reference)


def _error(nats: np.ndarray, sizes: np.ndarray, mean: float) -> float:
    """The standard error of nats per symbol, lines being drawn."""
    return float(np.sqrt(np.square(nats - mean * sizes).sum()) / sizes.sum())

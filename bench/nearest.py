"""The nearest line of a list to each of a million lines drawn, beside measuring every pair by rapidfuzz."""

from __future__ import annotations

from itertools import islice

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from moreish import Corpus, Lines, fit
from moreish.generating.novelty import Novelty
from moreish.generating.sampler import default_max_length, draw_lines
from timing import MIB, Measured, clock, in_turn, memory_now, memory_peak, rates

DRAWN = 1_000_000
AT_ONCE = 10_000
MEASURED = 1_000
"""Lines that are measured against every line of the list; their rate stands for all."""
REPEATS = 3


def within_1(lists: dict[str, str]) -> dict[str, Measured]:
    """The nearest within one edit."""
    return _within(lists["names"], 1)


def within_2(lists: dict[str, str]) -> dict[str, Measured]:
    """The nearest within two edits."""
    return _within(lists["names"], 2)


def _within(path: str, distance: int) -> dict[str, Measured]:
    corpus = Corpus.read(path, split="none")
    trained = fit(corpus, "ngram", order=5, smoothing="kneser-ney")
    batches = draw_lines(
        trained.model, trained.alphabet, max_length=default_max_length(trained.longest), at_once=AT_ONCE, seed=1
    )
    drawn = [text for batch in islice(batches, DRAWN // AT_ONCE) for text in batch.texts]
    texts, some, known = Lines.of(drawn), drawn[:MEASURED], corpus.lines.texts()
    named: list[str | None] = []
    found, measured = [], []
    before = memory_now()

    def look_up() -> None:  # the index of the list included
        nearest = Novelty(corpus.lines).nearest(texts, distance)
        found[:] = [nearest]
        named[:] = nearest.texts()

    def measure() -> None:
        apart = cdist(some, known, scorer=Levenshtein.distance, score_cutoff=distance)
        measured[:] = [apart.min(axis=1).astype(np.int64), apart.argmin(axis=1)]

    ours, reference = in_turn(look_up, measure, repeats=REPEATS)
    (nearest,), (least, first) = found, measured
    near = least <= distance
    assert np.array_equal(nearest.distance[:MEASURED], np.where(near, least, -1))
    assert np.array_equal(nearest.line[:MEASURED], np.where(near, first, -1))
    shares = np.bincount(nearest.distance + 1, minlength=distance + 2) / len(drawn)
    said = ", ".join(f"{100 * share:.0f} % at {edits}" for edits, share in enumerate(shares[1:]))
    note = (
        f"{len(known):,} lines; {said}; memory {(memory_peak() - before) / MIB:.0f} MiB; every pair would take "
        f"{DRAWN / rates(MEASURED, reference)[0]:.0f} s; the first {MEASURED:,} are named alike by both"
    )
    return {
        "seconds": Measured([timing.wall for timing in ours], note=note, clock=clock(ours)),
        "lines": Measured(rates(DRAWN, ours), rates(MEASURED, reference), clock=clock(ours)),
    }

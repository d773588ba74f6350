"""Which rows are near which, and whether those of a group are nearer than chance would have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from moreish.randomness import stream_seed

By = Literal["distance", "cosine"]
MOST_COMPARED = 2_000
"""Symbols whose neighbours are looked for: the most frequent."""
LEAST_GROUPED = 10
MOST_SHUFFLED = 200
SHUFFLES = 1_000
SELDOM = 20
"""A symbol read fewer times than this has hardly moved its row from where it was drawn."""


def closeness(
    x: Float[Array, "R D"], groups: Int[Array, " V"], times: Int[Array, " V"]
) -> tuple[float | None, float | None, float | None]:
    """Mean distance within groups over that of all pairs; its mean over shuffled groups; how many are as close."""
    order = np.argsort(-times, kind="stable")
    chosen = order[(groups[order] > 0) & (times[order] >= SELDOM)][:MOST_SHUFFLED]
    labels = groups[chosen]
    if len(chosen) < LEAST_GROUPED or len(set(labels.tolist())) < 2:
        return None, None, None
    one, other = np.triu_indices(len(chosen), 1)
    apart = _distances(x[chosen], x[chosen])[one, other]
    if not apart.mean() > 0 or not (labels[one] == labels[other]).any():
        return None, None, None
    random = np.random.default_rng(stream_seed(0, "groups"))

    def ratio(labels: Array) -> float:
        return float(apart[labels[one] == labels[other]].mean() / apart.mean())

    measured = ratio(labels)
    shuffled = np.array([ratio(random.permutation(labels)) for _ in range(SHUFFLES)])
    # The measured grouping counts as one of the shuffles (Phipson and Smyth 2010): never a share of 0.
    return measured, float(shuffled.mean()), float((1 + (shuffled <= measured).sum()) / (1 + SHUFFLES))


def nearest(
    x: Float[Array, "R D"], learnt: Bool[Array, " R"], times: Int[Array, " V"] | None, by: By, count: int,
    notes: list[str],
) -> dict[int, list[tuple[int, float, float | None]]]:  # fmt: skip
    """(id, distance, cosine) of the nearest of each symbol that learnt anything."""
    ids = np.flatnonzero(learnt)
    if times is not None and len(ids) > MOST_COMPARED:
        often = np.pad(times, (0, len(x) - len(times)), constant_values=np.iinfo(np.int64).max)
        ids = np.sort(ids[np.argsort(-often[ids], kind="stable")][:MOST_COMPARED])
    elif len(ids) > MOST_COMPARED:
        ids = ids[:MOST_COMPARED]
    if len(ids) < int(learnt.sum()):
        notes.append(f"neighbours were looked for among {MOST_COMPARED:,} symbols only")
    return dict(_neighbours(x, ids, by, count))


def _neighbours(
    x: Float[Array, "R D"], ids: Int[Array, " N"], by: By, count: int
) -> Iterator[tuple[int, list[tuple[int, float, float | None]]]]:
    rows = x[ids]
    lengths = np.linalg.norm(rows, axis=1)
    apart = _distances(rows, rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.clip(rows @ rows.T / (lengths[:, None] * lengths), -1.0, 1.0)
    far = apart.copy() if by == "distance" else np.where(np.isnan(cosines), np.inf, -cosines)
    np.fill_diagonal(far, np.inf)
    for i, row in enumerate(far):
        order = [j for j in np.argsort(row, kind="stable")[:count].tolist() if j != i]
        yield (
            int(ids[i]),
            [
                (int(ids[j]), float(apart[i, j]), None if np.isnan(cosines[i, j]) else float(cosines[i, j]))
                for j in order
            ],
        )


def _distances(one: Float[Array, "N D"], other: Float[Array, "M D"]) -> Float[Array, "N M"]:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.sqrt(np.maximum(squares, 0.0))

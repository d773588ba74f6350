"""The learnt symbols as points in two dimensions, their neighbours, and whether their groups are more than chance.

Sources: Bengio et al. 2003, A Neural Probabilistic Language Model, section 1.1 (words as points in a space); Karpathy,
makemore part 2 (the two-dimensional picture); Pearson 1901 for principal components. Neighbours are by Euclidean
distance: the layer above is linear, so what it can tell of two symbols is the difference of their rows, and rows at
distance 0 are one symbol to it. The cosine, which takes no notice of length, stands beside it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray as Array

from moreish.errors import UsageError
from moreish.explaining.embedding.nearness import By, closeness, nearest
from moreish.explaining.embedding.rows import rows_at_start, rows_of
from moreish.learning.recipe import Trained
from moreish.models.symbol_classes import learn_classes
from moreish.shapes import BOUNDARY

NEIGHBOURS = 5
CLASSES = 5
MOST_READ = 2_000_000
"""Symbols of the list from which classes are learnt."""


@dataclass(frozen=True)
class Neighbour:
    """A near symbol: the Euclidean distance of the two rows, and their cosine (None where a row is all zeros)."""

    id: int
    symbol: str
    distance: float
    cosine: float | None


@dataclass(frozen=True)
class Place:
    """A symbol as a point.

    `symbol` is "" for the boundary and for the blank before a line, as `what` says. `times`: how often it was read
    while learning, where that is known. `x`, `y`: where it stands in the picture. `length` of its row; `moved`: how far
    the row went while learning. `group`: its class, from 1, the most frequent first. `neighbours`: the nearest first.
    """

    id: int
    symbol: str
    what: Literal["symbol", "boundary", "blank"]
    times: int | None
    x: float
    y: float
    length: float
    moved: float | None
    group: int | None
    neighbours: list[Neighbour]


@dataclass(frozen=True)
class Embeddings:
    """What a run made of its symbols.

    `method` is `exact` where the rows have at most two numbers, so that the picture is the embedding itself, and else
    `pca`. `shares` are the shares of the rows' variance along the picture's axes, `start_share` that of the first two
    together before learning, when all was random. `moved` is the mean way of a row while learning over the mean length
    of the rows at the start. `closeness` is the mean distance within groups over that of all pairs, `by_chance` its
    mean over random groups of the same sizes, `as_close` the share of those that are as close. Figures that cannot be
    known are None, and `notes` say why.
    """

    model: str
    list: str
    layer: str
    about: str
    kind: str
    width: int
    method: Literal["exact", "pca"]
    shares: list[float] | None
    start_share: float | None
    moved: float | None
    by: By
    groups: list[list[str]] | None
    closeness: float | None
    by_chance: float | None
    as_close: float | None
    places: list[Place]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @property
    def by_frequency(self) -> list[Place]:
        """The places, the most frequent symbols first."""
        return sorted(self.places, key=lambda place: (-(place.times or 0), place.id))


def embeddings(trained: Trained, *, by: By = "distance", neighbours: int = NEIGHBOURS) -> Embeddings:
    """The learnt symbols in two dimensions, and which are near which.

    Args:
        by: what the nearest is by, `distance` (Euclid's) or `cosine`.
        neighbours: how many of each symbol.

    Raises:
        UsageError: the model has no rows for symbols, or an argument means nothing.
        MoreishError: the rows hold what is no number.
    """
    if by not in ("distance", "cosine"):
        raise UsageError(f"by={by!r:.40} is neither distance nor cosine. Use one of those.")
    if isinstance(neighbours, bool) or not isinstance(neighbours, int) or not 0 <= neighbours <= 1_000:
        raise UsageError(f"neighbours={neighbours!r:.40} is not a whole number from 0 to 1,000. Use 5, say.")
    name, alphabet = trained.recipe.model, trained.alphabet
    rows = rows_of(trained.model, name)
    x, notes = rows.weight, list[str]()
    times, read = _times(trained)
    if times is None:
        notes.append("the run kept only hashes of its list, so how often each symbol was read is not known")
    learnt = np.ones(len(x), bool)
    if times is not None and (times > 0).any():
        learnt[: len(times)] = times > 0
        never = int((times == 0).sum())
        if never:
            notes.append(f"{never:,} of the symbols never came while learning, so their rows are as they were drawn")
    flat, axes, shares = _flat(x, learnt)
    start = rows_at_start(trained)
    groups = None if times is None else _groups(read, times, len(alphabet), notes)
    near = nearest(x, learnt, times, by, neighbours, notes)
    lengths = np.linalg.norm(x, axis=1)
    ways = None if start is None else np.linalg.norm(x - start, axis=1)
    grouped = (None, None, None) if groups is None or times is None else closeness(x, groups, times)
    symbols = ["", *alphabet.symbols, ""]
    places = [
        Place(
            i, symbols[i], "boundary" if i == BOUNDARY else "symbol" if i < len(alphabet) else "blank",
            int(times[i]) if times is not None and i < len(times) else None,
            float(flat[i, 0]), float(flat[i, 1]), float(lengths[i]), None if ways is None else float(ways[i]),
            int(groups[i]) if groups is not None and 0 < i < len(alphabet) and groups[i] > 0 else None,
            [Neighbour(j, symbols[j], d, c) for j, d, c in near.get(i, [])],
        )
        for i in range(len(x))
    ]  # fmt: skip
    return Embeddings(
        name, trained.corpus.name, rows.layer, rows.about, alphabet.kind, x.shape[1], axes, shares,
        _start_share(start, learnt), _moved(ways, start, learnt), by, _named(groups, alphabet.symbols, times),
        *grouped, places, notes,
    )  # fmt: skip


def principal(x: Float[Array, "N D"]) -> tuple[Float[Array, "K D"], Float[Array, " S"]]:
    """The axes of largest variance, at most two, and all shares of variance; each axis points to where its largest
    entry is positive, so that the picture is the same each time."""
    _, sizes, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    axes = axes[:2]
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(1)]
    total = float((sizes**2).sum())
    return axes * np.where(largest < 0, -1.0, 1.0)[:, None], sizes**2 / total if total > 0 else sizes * np.nan


def _flat(
    x: Float[Array, "R D"], learnt: Bool[Array, " R"]
) -> tuple[Float[Array, "R 2"], Literal["exact", "pca"], list[float] | None]:
    """Every row in two dimensions; the axes are those of the rows that learnt anything."""
    seen = x[learnt]
    if x.shape[1] <= 2:
        spread = seen.var(0)
        shares = (spread / spread.sum()).tolist() if spread.sum() > 0 else None
        return np.pad(x, ((0, 0), (0, 2 - x.shape[1]))), "exact", shares
    axes, shares = principal(seen)
    flat = (x - seen.mean(0)) @ axes.T
    known = None if np.isnan(shares).any() else shares[:2].tolist()
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))), "pca", known


def _start_share(start: Float[Array, "R D"] | None, learnt: Bool[Array, " R"]) -> float | None:
    if start is None or start.shape[1] <= 2 or learnt.sum() < 2:
        return None
    shares = principal(start[learnt])[1]
    return None if np.isnan(shares).any() else float(shares[:2].sum())


def _moved(ways: Array | None, start: Array | None, learnt: Bool[Array, " R"]) -> float | None:
    if ways is None or start is None:
        return None
    length = float(np.linalg.norm(start[learnt], axis=1).mean())
    return float(ways[learnt].mean()) / length if length > 0 else None


def _times(trained: Trained) -> tuple[Int[Array, " V"] | None, Int[Array, " N"]]:
    """How often each symbol was read while learning (the boundary once a line), and the beginning of what was read."""
    if trained.hashes is not None:
        return None, np.zeros(0, np.int64)
    times = np.zeros(len(trained.alphabet), np.int64)
    kept, room = [np.zeros(1, np.int64)], MOST_READ
    for ids in trained.alphabet.encode_blocks(trained.corpus.train.blocks()):
        times += np.bincount(ids, minlength=len(times))
        if room > 0:
            kept.append(ids[:room].astype(np.int64))
            room -= len(ids)
    return times, np.concatenate(kept)


def _groups(read: Int[Array, " N"], times: Int[Array, " V"], symbols: int, notes: list[str]) -> Int[Array, " V"] | None:
    """Each symbol's class by its neighbours in the list (not by the network): 1 is the most frequent class."""
    there = int((times[1:] > 0).sum())
    if there < 2 * CLASSES:
        notes.append(f"{there} symbols are too few for {CLASSES} classes, so none were looked for")
        return None
    classes = learn_classes(read[:-1], read[1:], symbols, CLASSES)
    classes[times == 0] = 0
    often = np.bincount(classes, times, CLASSES + 1)[1:]
    rank = np.zeros(CLASSES + 1, np.int64)
    rank[1 + np.argsort(-often, kind="stable")] = np.arange(1, CLASSES + 1)
    return rank[classes]


def _named(
    groups: Int[Array, " V"] | None, symbols: tuple[str, ...], times: Int[Array, " V"] | None
) -> list[list[str]] | None:
    """The symbols of each group, the most frequent first."""
    if groups is None or times is None:
        return None
    order = np.argsort(-times[1:], kind="stable") + 1
    return [[symbols[i - 1] for i in order if groups[i] == group] for group in range(1, CLASSES + 1)]

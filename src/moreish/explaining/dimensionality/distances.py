"""How alike the nearest and the farthest of many points are: distances concentrate as dimensions are added.

Source: Beyer, Goldstein, Ramakrishnan and Shaft, When Is "Nearest Neighbor" Meaningful? (1999): theorem 1, that the
contrast vanishes where coordinates are independent, and definition 4, a query that is unstable because most points lie
within (1 + epsilon) times the distance of the nearest; here epsilon is 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from moreish.randomness import stream

DIMENSIONS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
KINDS = ("uniform", "normal")
POINTS, QUERIES = 1000, 100
TWICE = 2.0


@dataclass(frozen=True)
class Concentration:
    """Distances from queries to points, in `dimensions` numbers each; medians over the queries.

    `contrast` is (farthest - nearest) / nearest, None where the nearest is no distance away; `ratio` is nearest over
    farthest, 1 where all are equally far; `within_twice` the mean share of points that are less than twice as far as
    the nearest: where it is near 1, "nearest" says next to nothing.
    """

    dimensions: int
    points: int
    contrast: float | None
    ratio: float
    within_twice: float


@dataclass(frozen=True)
class Scattered:
    """Concentration on random points, each coordinate drawn by itself: `uniform` from 0 to 1, or `normal`."""

    kind: str
    found: Concentration


def concentration(points: Float[Tensor, "P D"], queries: Float[Tensor, "Q D"]) -> Concentration:
    """How much distances from each query to all points differ. A point that is the query itself is left out.

    Points that all coincide with a query say nothing; at least one other is needed for each.
    """
    exact = "donot_use_mm_for_euclid_dist"  # by products, small distances lose their digits
    far = torch.cdist(queries.double(), points.double(), compute_mode=exact)
    self_ = far == 0
    nearest = far.masked_fill(self_, math.inf).amin(1)
    farthest = far.amax(1)
    contrast = float(((farthest - nearest) / nearest).median())
    others = (~self_).sum(1)
    within = ((far <= TWICE * nearest[:, None]) & ~self_).sum(1) / others
    return Concentration(
        dimensions=points.shape[1],
        points=len(points),
        contrast=contrast if math.isfinite(contrast) else None,
        ratio=float((nearest / farthest).median()),
        within_twice=float(within.mean()),
    )


def scattered(kind: str, dimensions: int, seed: int, points: int = POINTS, queries: int = QUERIES) -> Concentration:
    """The same on random points and queries of one kind."""
    draw = stream(seed, f"dimensionality/{kind}/{dimensions}")
    shape = (points + queries, dimensions)
    make = torch.rand if kind == "uniform" else torch.randn
    both = make(shape, generator=draw, dtype=torch.float64)
    return concentration(both[:points], both[points:])


def effective_dimensions(points: Float[Tensor, "P D"]) -> float:
    """In how many directions points really spread: (sum of variances)^2 / sum of their squares, along principal axes.

    D where they spread alike in all, 1 on a line: the participation ratio of the covariance's eigenvalues.
    """
    centred = points.double() - points.double().mean(0)
    covariance = centred.T @ centred / len(points)
    trace = float(covariance.trace())
    return trace**2 / float(covariance.square().sum()) if trace else 0.0

"""What a curve of losses over growing learning rates says: where learning explodes, an interval, and a suggestion.

Source: Smith, Cyclical Learning Rates for Training Neural Networks (2017), section 3.3, the range test; Karpathy,
makemore part 2. Where we differ: the curve is smoothed, and its slope is taken per log10 of the rate. Taken per rate
it is a thousand times steeper at 0.001 than at 1, so that the noise at the smallest rates decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

LEAST_POINTS = 20
"""Points that a curve needs before anything is read off it."""
NEAR = 0.2
"""The share of the points that a smoothed value is made from."""
LEAST_NEAR = 7
FRESH = 20
"""One in so many points, the first ones, tells the loss before anything was learnt; three at least."""
EXPLODED = 0.25
"""The loss has exploded where it is this share above its minimum, and above what it was before learning."""
AS_LOW = 0.05
"""The loss has not risen yet where no more than this share of all its fall is lost again."""
NOISE, LEAST_FALL = 2.5, 0.01
"""A fall counts when it is so many deviations of a point from the smoothed curve, and this share of the loss."""
CEILING = 1.6
"""How far above its minimum a loss may count, in heights of an explosion: what lies beside one is not to be dragged up
any further."""


@dataclass(frozen=True)
class Reading:
    """What was read off a curve. Without a suggestion `reason` says why there is none, and what to do."""

    suggestion: float | None
    low: float | None
    """Where the loss falls fastest, per log10 of the rate."""
    high: float | None
    """The largest rate worth trying: the loss is still as low as it gets, or the suggestion, if that is more."""
    diverges_at: float | None
    """The smallest rate past the minimum at which the loss has exploded; None if it did not, up to the highest."""
    reason: str
    smoothed: list[float]
    """One value for each point before the first that is not finite; no higher than `CEILING` lets it be."""


def read_curve(
    rates: Float[np.ndarray, " P"],
    losses: Float[np.ndarray, " P"],
    share: float = 0.5,
    of_boundary: float = 0.0,
    because: str = "",
) -> Reading:
    """Read a curve.

    Args:
        rates: growing.
        losses: one for each; from the first that is not finite on, the training had broken down.
        share: where the suggestion lies between `low` and `high`, in log10: 0.5 is halfway.
        of_boundary: suggest this share of `diverges_at` instead, where that is above `high`. Smith, section 3.3: the
            best rate is usually within a factor of two of the largest that converges.
        because: why, to end the reason with.
    """
    assert len(rates) == len(losses) and bool((np.diff(rates) > 0).all()) and rates[0] > 0
    finite = np.isfinite(losses)
    whole = len(losses) if finite.all() else int(finite.argmin())
    broken = None if whole == len(losses) else _short(float(rates[whole]))
    if whole < LEAST_POINTS:
        smoothed = [float(loss) for loss in losses[:whole]]
        if broken is None:
            reason = f"a curve of {whole} points is too short to read: it takes {LEAST_POINTS}"
        else:
            reason = (
                f"the loss is no longer finite at {broken:g}, after {whole} points, where {LEAST_POINTS} are "
                f"needed: try rates below that"
            )
        return Reading(None, None, None, broken, reason, smoothed)
    x, y = np.log10(rates[:whole]), losses[:whole].astype(float)
    start = float(np.median(y[: max(3, whole // FRESH)]))
    lowest = float(y.min())
    capped = np.minimum(y, lowest + CEILING * max(start - lowest, EXPLODED * lowest))
    values, slopes = smooth(x, capped)
    # The two ends have neighbours on one side only, so neither a minimum nor a slope is read there.
    bottom = 1 + int(values[1:-1].argmin())
    fall = start - float(values[bottom])
    bound = float(values[bottom]) + max(fall, EXPLODED * float(values[bottom]))
    over = np.flatnonzero(values[bottom:] >= bound)
    diverges_at = _short(float(rates[bottom + over[0]])) if len(over) else broken
    calm = slice(0, bottom + int(over[0]) if len(over) else whole)
    noise = float(np.std(capped[calm] - values[calm]))
    smoothed = [float(value) for value in values]
    if fall <= max(NOISE * noise, LEAST_FALL * start):
        reason = _no_fall(float(rates[0]), float(rates[whole - 1]), fall, noise, diverges_at)
        return Reading(None, None, None, diverges_at, reason, smoothed)
    steepest = 1 + int(slopes[1 : bottom + 1].argmin())
    end = bottom
    while end + 1 < whole - 1 and values[end + 1] <= values[bottom] + AS_LOW * fall:
        end += 1
    low, high = float(rates[steepest]), float(rates[end])
    reason = f"the loss falls fastest near {low:.3g} and no further from {high:.3g} on"
    if broken is None and end >= whole - 2:
        reason = f"the loss falls fastest near {low:.3g} and still falls at the highest rate: try some above it too"
    elif diverges_at is not None and of_boundary * diverges_at > high:
        high, share = of_boundary * diverges_at, 1.0
        reason = f"learning explodes at {diverges_at:.3g}, and {high:.3g} is {of_boundary:.0%} of that; {because}"
    elif because:
        reason += f"; {because}"
    low, high, suggestion = _short(low), _short(high), _short(low ** (1 - share) * high**share)
    return Reading(suggestion, low, high, diverges_at, reason, smoothed)


def smooth(
    x: Float[np.ndarray, " P"], y: Float[np.ndarray, " P"]
) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """The curve smoothed, and its slope, at each x: a parabola through the nearest points, near ones counting more.

    Source: Cleveland, Robust Locally Weighted Regression and Smoothing Scatterplots (1979), sections 2 and 3, with
    d = 2 and without the robust passes. A parabola keeps the depth and the place of a minimum, and a slope at the ends.
    """
    near = min(len(x), max(LEAST_NEAR, round(NEAR * len(x))))
    apart = np.abs(x[:, None] - x)
    chosen = np.argsort(apart, axis=1, kind="stable")[:, :near]
    # A little more than the farthest, which would else have no weight at all.
    reach = np.take_along_axis(apart, chosen, 1).max(1, keepdims=True) * 1.001
    u = (x[chosen] - x[:, None]) / reach
    root = (1 - np.abs(u) ** 3) ** 1.5  # of the tricube weights
    terms = np.stack([np.ones_like(u), u, u**2], -1) * root[..., None]
    found = np.linalg.pinv(terms, rcond=1e-6) @ (y[chosen] * root)[..., None]
    return found[:, 0, 0], found[:, 1, 0] / reach[:, 0]


def _no_fall(lowest: float, highest: float, fall: float, noise: float, diverges_at: float | None) -> str:
    """Why there is nothing to suggest, and what to do."""
    if fall <= noise and diverges_at is not None:
        return f"the loss only rises, from the lowest rate on: try rates below {lowest:g}"
    if max(fall, noise) > LEAST_FALL:
        return (
            f"the loss falls by {max(fall, 0):.2f} nats only, and {noise:.2f} of that may be noise: try more seeds, or "
            f"more steps per point"
        )
    return f"the loss never falls: try rates above {highest:g}, or a model that has not learnt this list yet"


def _short(rate: float) -> float:
    """Three digits, which are more than a curve can tell."""
    return float(f"{rate:.3g}")

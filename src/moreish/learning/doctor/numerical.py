"""What the numbers show: weights at the start, and the course of the losses.

Each reads the evidence and returns a finding or None.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable
from itertools import pairwise

from moreish.learning.doctor.evidence import Evidence
from moreish.learning.doctor.finding import Finding, percent, sure
from moreish.learning.vitals import SiteVitals

OVERCONFIDENT = 0.3
"""Nats above ln V before the first step."""
SATURATED, DEAD = 0.65, 0.15
VANISHING, EXPLODING, LEAST_DEPTH = 0.02, 7.0, 3
"""The gradient at the first layer over that at the last, of at least so many."""
RATE_HIGH, RATE_LOW = -1.9, -4.2
"""log10 of update:data, the median over matrices and looks."""
UNSETTLED = 0.1
"""Nats that the loss ends above its lowest."""
FEW_TARGETS, ROUGH = 16, 0.22
"""Targets in a batch; deviation of the loss from step to step, nats."""
LEAST_GAIN = 0.05
"""Nats by which train should be below what a table of pairs gives on lines of the same kind."""
NARROW = {"hidden": 8, "embedding": 2}
OVERFIT_GAP, OVERFIT_RISE = 0.25, 0.06


def overconfident(e: Evidence) -> Finding | None:
    """The hockey stick."""
    if e.start is None or e.unsure is None or not math.isfinite(e.start):
        return None
    above = e.start - e.unsure
    if above <= OVERCONFIDENT:
        return None
    return Finding(
        "overconfident-output", "the output layer",
        f"the loss before the first step is {e.start:.2f} nats, where knowing nothing costs ln {e.symbols} = "
        f"{e.unsure:.2f}",
        above, OVERCONFIDENT, sure(above, OVERCONFIDENT, 2 * OVERCONFIDENT, 0.95),
    )  # fmt: skip


def dead(e: Evidence) -> Finding | None:
    """Units that pass nothing."""
    worst = _worst(e, ("tanh", "relu"), lambda site: site.dead)
    if worst is None or worst.dead is None or worst.dead <= DEAD:
        return None
    return Finding(
        "dead-units", worst.site,
        f"{percent(worst.dead)} of {worst.units} units pass no gradient for any example of the first batch",
        worst.dead, DEAD, sure(worst.dead, DEAD, 2 * DEAD, 0.95),
    )  # fmt: skip


def saturated(e: Evidence) -> Finding | None:
    """Tanh at its ends."""
    worst = _worst(e, ("tanh",), lambda site: site.saturated)
    if worst is None or worst.saturated is None or worst.saturated <= SATURATED:
        return None
    return Finding(
        "saturated", worst.site, f"{percent(worst.saturated)} of its results are beyond 0.97 before the first step",
        worst.saturated, SATURATED, sure(worst.saturated, SATURATED, 0.85, 0.94),
    )  # fmt: skip


def by_depth(e: Evidence) -> Finding | None:
    """Gradients that shrink or grow from layer to layer."""
    worst: tuple[float, str, int] | None = None
    for sites in _chains(e):
        first, last = (site.gradient.deviation if site.gradient else None for site in (sites[0], sites[-1]))
        if first and last and (worst is None or abs(math.log(first / last)) > abs(math.log(worst[0]))):
            worst = first / last, f"{sites[0].site} to {sites[-1].site}", len(sites)
    if worst is None or VANISHING <= worst[0] <= EXPLODING:
        return None
    ratio, where, count = worst
    factor = ratio ** (1 / (count - 1))
    name, bound = ("vanishing-gradients", VANISHING) if ratio < 1 else ("exploding-gradients", EXPLODING)
    return Finding(
        name, where,
        f"the gradient at the first of {count} layers is {ratio:.2g} times that at the last, {factor:.2f} a layer",
        ratio, bound, sure(abs(math.log(ratio)), abs(math.log(bound)), 1.5 * abs(math.log(bound)), 0.955),
    )  # fmt: skip


def batch_small(e: Evidence) -> Finding | None:
    """Chance decides."""
    counts = [p.targets for p in e.passes if p.targets]
    if not counts or statistics.median(counts) >= FEW_TARGETS:
        return None
    losses = e.losses()[len(e.passes) // 2 :]
    apart = [b - a for a, b in pairwise(losses)]
    if len(apart) < 10 or (rough := statistics.pstdev(apart) / math.sqrt(2)) <= ROUGH:
        return None
    return Finding(
        "batch-too-small", "the batches",
        f"with {statistics.median(counts):.0f} targets in a batch the loss jumps by {rough:.2f} nats from step to step",
        rough, ROUGH, sure(rough, ROUGH, 1.4 * ROUGH, 0.9),
    )  # fmt: skip


def rate_high(e: Evidence) -> Finding | None:
    """Steps that are too large."""
    updates, course = e.updates(), e.smoothed()
    if len(updates) < 3 or len(course) < 5 or e.unsure is None:
        return None
    unsettled = course[-1] - min(course)
    lost = course[-1] > e.unsure + UNSETTLED
    # Whoever was thrown where no gradient passes takes small steps for ever after.
    size = max(updates) if lost else statistics.median(updates)
    if size <= RATE_HIGH or (unsettled <= UNSETTLED and course[-1] <= e.unsure - UNSETTLED):
        return None
    return Finding(
        "learning-rate-too-high", "every step",
        f"a step changes the weights by 10^{size:.1f} of their size (-3 is the guide), and the loss ends at "
        f"{course[-1]:.2f}, {unsettled:.2f} above its lowest",
        size, RATE_HIGH, sure(size, RATE_HIGH, RATE_HIGH + 0.4, 0.92),
    )  # fmt: skip


def rate_low(e: Evidence) -> Finding | None:
    """Steps that are too small."""
    updates, course = e.updates(), e.smoothed()
    if len(updates) < 3 or len(course) < 5:
        return None
    size = statistics.median(updates)
    if size >= RATE_LOW:
        return None
    return Finding(
        "learning-rate-too-low", "every step",
        f"a step changes the weights by 10^{size:.1f} of their size (-3 is the guide), and the loss fell by "
        f"{course[0] - course[-1]:.2f} nats in all",
        size, RATE_LOW, sure(size, RATE_LOW, RATE_LOW - 1, 0.92),
    )  # fmt: skip


def underfit(e: Evidence) -> Finding | None:
    """Too little room."""
    if not e.measured or e.lists is None or e.lists.reference is None:
        return None
    train = e.measured[-1].train
    if train is None or (gain := e.lists.reference - train) >= LEAST_GAIN:
        return None
    narrow = {name: e.sizes[name] / bound for name, bound in NARROW.items() if e.sizes.get(name, 10**9) <= bound}
    if not narrow:
        return None
    name = min(narrow, key=lambda key: narrow[key])
    dev = e.measured[-1].dev
    beside = "" if dev is None else f" (dev {dev:.2f})"
    return Finding(
        f"underfit-{name}", name,
        f"with {name} {e.sizes[name]} even train ends at {train:.2f} nats{beside}; a table of pairs, counted on other "
        f"lines, gives {e.lists.reference:.2f}",
        gain, LEAST_GAIN, sure(gain, LEAST_GAIN, -LEAST_GAIN, 0.9),
    )  # fmt: skip


def overfit(e: Evidence) -> Finding | None:
    """Learnt by heart."""
    both = [(m.train, m.dev) for m in e.measured if m.train is not None and m.dev is not None]
    if len(both) < 3:
        return None
    train, dev = both[-1]
    rise = dev - min(d for _, d in both)
    if e.unsure is None or train > e.unsure:  # what knows less than nothing has learnt nothing by heart
        return None
    if dev - train <= OVERFIT_GAP or rise <= OVERFIT_RISE or train > min(t for t, _ in both) + UNSETTLED:
        return None
    return Finding(
        "overfit", "the whole",
        f"dev ends at {dev:.2f}, {dev - train:.2f} above train and {rise:.2f} above its lowest",
        rise, OVERFIT_RISE, sure(rise, OVERFIT_RISE, 3 * OVERFIT_RISE, 0.93),
    )  # fmt: skip


def _worst(e: Evidence, kinds: Iterable[str], number: Callable[[SiteVitals], float | None]) -> SiteVitals | None:
    sites = [s for s in (e.first.sites if e.first else []) if s.kind in kinds and number(s) is not None]
    return max(sites, key=lambda site: number(site) or 0.0, default=None)


def _chains(e: Evidence) -> list[list[SiteVitals]]:
    """Sites of one kind above one another: those whose names differ in one number only."""
    chains: dict[tuple[str, str], list[SiteVitals]] = {}
    for site in e.first.sites if e.first else []:
        if site.kind in ("tanh", "layer", "linear"):  # a network's ReLUs may belong to parts side by side
            chains.setdefault((re.sub(r"\d+", "*", site.site), site.kind), []).append(site)
    return [chain for chain in chains.values() if len(chain) >= LEAST_DEPTH]

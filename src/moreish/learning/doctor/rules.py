"""The doctor's rules: what each reads in the evidence, against which threshold, and what it says.

A rule returns a finding or None. `evidence.number` is compared with `threshold`; `confidence` is how far beyond it the
number is, from 0.5 at the threshold. Causes come before what they bring about: what is wrong in the loop itself, then
weights at the start, then what only the course of the losses shows. The thresholds were set on healthy and planted
trainings (`bench/doctor.py`; `docs/log.md`).
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from moreish.learning.doctor.evidence import Evidence
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
FEW_TARGETS, ROUGH = 24, 0.28
"""Targets in a batch; deviation of the loss from step to step, nats."""
LEAST_GAIN = 0.05
"""Nats by which train should be below what a table of pairs gives on lines of the same kind."""
NARROW = {"hidden": 8, "embedding": 2}
OVERFIT_GAP, OVERFIT_RISE = 0.25, 0.06
LEAKING, DUPLICATES = 0.005, 0.005
STRANGE, STRANGE_ERRORS = 0.15, 6.0
CARRIED = 0.01
DISPERSED, REPEATED = 2.5, 0.2
SUMMED = 2.0
PADDED = 1.15
FEW_ROWS = 3


@dataclass(frozen=True)
class Finding:
    """A fault that was found: its name, where, the evidence in words and numbers, and how sure the doctor is."""

    fault: str
    where: str
    evidence: str
    number: float | None
    threshold: float
    confidence: float
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


Rule = Callable[[Evidence], Finding | None]


def non_finite(e: Evidence) -> Finding | None:
    """Something is no number."""
    if not e.broken:
        return None
    updates = e.updates()
    if updates and max(updates) > RATE_HIGH + 1:  # what blew up while it learnt came of its steps
        return None
    at = e.broken_at or 0
    return Finding("non-finite", e.broken, f"{e.broken} is not finite at step {at + 1}", float(at + 1), 0, 1.0)


def blown_up(e: Evidence) -> Finding | None:
    """Steps so large that something is no number any more."""
    updates = e.updates()
    if not e.broken or not updates or max(updates) <= RATE_HIGH + 1:
        return None
    return Finding(
        "learning-rate-too-high", e.broken,
        f"{e.broken} is not finite at step {(e.broken_at or 0) + 1}, after steps that changed the weights by "
        f"10^{max(updates):.1f} of their size; -3 is the guide",
        max(updates), RATE_HIGH, 0.95,
    )  # fmt: skip


def not_zeroed(e: Evidence) -> Finding | None:
    """Gradients of earlier steps are in use."""
    worst = max(e.looks, key=lambda look: look.carried, default=None)
    if worst is None or worst.carried <= CARRIED:
        return None
    return Finding(
        "gradients-not-zeroed", "the loop",
        f"{_percent(worst.carried)} of the gradient at step {worst.step + 1} is left from steps before it",
        worst.carried, CARRIED, 0.99,
    )  # fmt: skip


def summed(e: Evidence) -> Finding | None:
    """The loss is a sum."""
    for p in e.passes[:1]:
        if p.nats and p.targets and p.targets > SUMMED and p.loss / p.nats > SUMMED:
            times = p.loss / p.nats
            return Finding(
                "loss-reduction", "the loss",
                f"the loss at step 1 is {p.loss:,.1f}, {times:,.1f} times the mean of {p.nats:.2f} nats over the "
                f"batch's {p.targets:,} targets",
                times, SUMMED, 0.99,
            )  # fmt: skip
    return None


def norm_mode(e: Evidence) -> Finding | None:
    """BatchNorm is in the other mode."""
    for phase, (wrong, right) in e.norm_modes.items():
        if wrong > right:
            how = "by its kept statistics" if phase == "learning" else "by its batch's statistics"
            return Finding(
                "batchnorm-mode", "BatchNorm", f"in {wrong:,} of {wrong + right:,} {phase} passes it worked {how}",
                wrong / (wrong + right), 0.5, 0.99,
            )  # fmt: skip
    return None


def norm_padding(e: Evidence) -> Finding | None:
    """BatchNorm sees rows that no target belongs to."""
    if e.norm_padding is None or e.norm_padding <= PADDED:
        return None
    return Finding(
        "batchnorm-padding", "BatchNorm",
        f"it took its statistics over {e.norm_padding:.2f} rows for each target: the rest is padding",
        e.norm_padding, PADDED, 0.97,
    )  # fmt: skip


def norm_rows(e: Evidence) -> Finding | None:
    """BatchNorm has too few rows."""
    if e.norm_rows is None or e.norm_rows >= FEW_ROWS:
        return None
    return Finding(
        "batchnorm-small-batch", "BatchNorm", f"it took its statistics over {e.norm_rows} rows", e.norm_rows, FEW_ROWS,
        0.98,
    )  # fmt: skip


def unconnected(e: Evidence) -> Finding | None:
    """Parameters that no gradient reaches."""
    if not e.unconnected:
        return None
    return Finding(
        "unconnected-parameter", ", ".join(e.unconnected), f"no gradient ever reached {_listed(e.unconnected)}",
        float(len(e.unconnected)), 0, 0.98,
    )  # fmt: skip


def frozen(e: Evidence) -> Finding | None:
    """Parameters that never change."""
    if not e.frozen:
        return None
    return Finding(
        "frozen-parameter", ", ".join(e.frozen), f"{_listed(e.frozen)} never changed, while others did",
        float(len(e.frozen)), 0, 0.97,
    )  # fmt: skip


def unshuffled(e: Evidence) -> Finding | None:
    """Batches are of one kind, or the same again."""
    c = e.composition
    if c is None:
        return None
    if c.dispersion is not None and c.dispersion > DISPERSED:
        return Finding(
            "no-shuffling", "the batches",
            f"batches differ in their symbols {c.dispersion:.1f} times as much as batches drawn at random would",
            c.dispersion, DISPERSED, _sure(c.dispersion, DISPERSED, 2 * DISPERSED, 0.96),
        )  # fmt: skip
    if c.repeated is not None and c.repeated > REPEATED:
        return Finding(
            "no-shuffling", "the batches", f"{_percent(c.repeated)} of the batches had come before, row for row",
            c.repeated, REPEATED, 0.9,
        )  # fmt: skip
    return None


def leaking(e: Evidence) -> Finding | None:
    """Dev was learnt."""
    if e.lists is None or e.lists.leaking is None or e.lists.leaking <= LEAKING:
        return None
    share = e.lists.leaking
    return Finding(
        "leaking-split", "dev", f"{_percent(share)} of dev's lines also stand in train", share, LEAKING,
        _sure(share, LEAKING, 4 * LEAKING, 0.97),
    )  # fmt: skip


def prepared_differently(e: Evidence) -> Finding | None:
    """Dev is not of train's kind."""
    found = e.lists
    if found is None or found.strange is None or not found.strange_error:
        return None
    if found.strange <= STRANGE or found.strange / found.strange_error <= STRANGE_ERRORS:
        return None
    return Finding(
        "dev-prepared-differently", "dev",
        f"a table of pairs counted on train finds dev {found.strange:.2f} nats a symbol harder than lines of train "
        f"that it did not count either ({found.strange / found.strange_error:.0f} standard errors)",
        found.strange, STRANGE, _sure(found.strange, STRANGE, 2 * STRANGE, 0.96),
    )  # fmt: skip


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
        above, OVERCONFIDENT, _sure(above, OVERCONFIDENT, 2 * OVERCONFIDENT, 0.95),
    )  # fmt: skip


def dead(e: Evidence) -> Finding | None:
    """Units that pass nothing."""
    worst = _worst(e, ("tanh", "relu"), lambda site: site.dead)
    if worst is None or worst.dead is None or worst.dead <= DEAD:
        return None
    return Finding(
        "dead-units", worst.site,
        f"{_percent(worst.dead)} of {worst.units} units pass no gradient for any example of the first batch",
        worst.dead, DEAD, _sure(worst.dead, DEAD, 2 * DEAD, 0.95),
    )  # fmt: skip


def saturated(e: Evidence) -> Finding | None:
    """Tanh at its ends."""
    worst = _worst(e, ("tanh",), lambda site: site.saturated)
    if worst is None or worst.saturated is None or worst.saturated <= SATURATED:
        return None
    return Finding(
        "saturated", worst.site, f"{_percent(worst.saturated)} of its results are beyond 0.97 before the first step",
        worst.saturated, SATURATED, _sure(worst.saturated, SATURATED, 0.85, 0.94),
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
        ratio, bound, _sure(abs(math.log(ratio)), abs(math.log(bound)), 1.5 * abs(math.log(bound)), 0.955),
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
        rough, ROUGH, _sure(rough, ROUGH, 1.4 * ROUGH, 0.9),
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
        size, RATE_HIGH, _sure(size, RATE_HIGH, RATE_HIGH + 0.4, 0.92),
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
        size, RATE_LOW, _sure(size, RATE_LOW, RATE_LOW - 1, 0.92),
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
        gain, LEAST_GAIN, _sure(gain, LEAST_GAIN, -LEAST_GAIN, 0.9),
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
        rise, OVERFIT_RISE, _sure(rise, OVERFIT_RISE, 3 * OVERFIT_RISE, 0.93),
    )  # fmt: skip


def duplicates(e: Evidence) -> Finding | None:
    """The list repeats itself."""
    if e.lists is None or e.lists.duplicates is None or e.lists.duplicates <= DUPLICATES:
        return None
    share = e.lists.duplicates
    return Finding(
        "duplicates", "the list",
        f"{_percent(share)} of its lines repeat an earlier one; this split keeps each on one side only", share,
        DUPLICATES, 0.5,
    )  # fmt: skip


RULES: tuple[tuple[Rule, ...], ...] = (
    (non_finite, blown_up),
    (norm_mode, norm_rows, norm_padding, not_zeroed, summed, unconnected, frozen, unshuffled),
    (overconfident, by_depth, dead, saturated, batch_small),
    (rate_high, rate_low, underfit, overfit),
    (leaking, prepared_differently),
    (duplicates,),
)
"""In groups: what a finding of one group explains, those of the next are ranked behind it."""
COURSE = 3
"""The group that speaks of the course of the losses, which follows from what was wrong before."""
BEHIND = 0.5
"""What the confidence of a dynamic symptom is multiplied by where a cause of it was found."""


def judge(e: Evidence) -> list[Finding]:
    """All that is wrong, most likely first."""
    found: list[Finding] = []
    caused = False
    for i, group in enumerate(RULES):
        mine = [finding for rule in group if (finding := rule(e)) is not None]
        if caused and i == COURSE:
            mine = [Finding(**{**asdict(f), "confidence": round(f.confidence * BEHIND, 3)}) for f in mine]
        found += mine
        caused = caused or bool(mine)
    return sorted(found, key=lambda finding: -finding.confidence)


def _worst(e: Evidence, kinds: Iterable[str], number: Callable[[SiteVitals], float | None]) -> SiteVitals | None:
    sites = [s for s in (e.first.sites if e.first else []) if s.kind in kinds and number(s) is not None]
    return max(sites, key=lambda site: number(site) or 0.0, default=None)


def _chains(e: Evidence) -> list[list[SiteVitals]]:
    """Sites of one kind above one another: those whose names differ in one number only."""
    chains: dict[tuple[str, str], list[SiteVitals]] = {}
    for site in e.first.sites if e.first else []:
        if site.kind in ("tanh", "layer", "linear", "relu"):
            chains.setdefault((re.sub(r"\d+", "*", site.site), site.kind), []).append(site)
    return [chain for chain in chains.values() if len(chain) >= LEAST_DEPTH]


def _sure(number: float, threshold: float, full: float, most: float) -> float:
    """From 0.5 at the threshold to `most` at `full` and beyond."""
    way = (number - threshold) / (full - threshold)
    return round(0.5 + (most - 0.5) * min(1.0, max(0.0, way)), 3)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.995 else f"{100 * share:.0f} %"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

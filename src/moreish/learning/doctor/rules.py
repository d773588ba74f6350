"""The doctor's rules in their order, and what they come to together.

A rule reads the evidence and returns a finding or None: a number against a threshold. `confidence` is how far beyond it
the number is, from 0.5 at the threshold. Causes come before what they bring about: what is wrong in the loop itself,
then weights at the start, then what only the course of the losses shows. The thresholds were set on healthy and planted
trainings of other seeds than those that they are measured on (`bench/doctor.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from moreish.learning.doctor.evidence import Evidence
from moreish.learning.doctor.finding import Finding
from moreish.learning.doctor.numerical import (
    batch_small,
    by_depth,
    dead,
    overconfident,
    overfit,
    rate_high,
    rate_low,
    saturated,
    underfit,
)
from moreish.learning.doctor.structural import (
    blown_up,
    duplicates,
    frozen,
    leaking,
    non_finite,
    norm_mode,
    norm_padding,
    norm_rows,
    not_zeroed,
    prepared_differently,
    summed,
    unconnected,
    unshuffled,
)

Rule = Callable[[Evidence], Finding | None]

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
            mine = [replace(f, confidence=round(f.confidence * BEHIND, 3)) for f in mine]
        found += mine
        caused = caused or bool(mine)
    return sorted(found, key=lambda finding: -finding.confidence)

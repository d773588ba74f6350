"""How the learning rate changes over a training: a factor from 0 to 1 for each step.

Warm-up rises linearly; then `constant`, `step` (the lectures': to a tenth at a given share of the steps), `cosine`
(Loshchilov and Hutter 2017, equation 5, without restarts) or `linear`, both down to 0.
"""

from __future__ import annotations

import math

SCHEDULES = ("constant", "step", "cosine", "linear")


def rate_at(schedule: str, step: int, steps: int, warmup: float = 0.0, decay_at: float = 0.5) -> float:
    """The factor at a step, counted from 0, of a training of `steps`.

    Args:
        warmup: the share of the steps in which the rate rises.
        decay_at: after which share of the steps `step` goes down to a tenth.
    """
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return 1.0 if step < decay_at * steps else 0.1
    left = 1 - (step - rising) / max(1.0, steps - rising)
    return left if schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)

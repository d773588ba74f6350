"""What is wrong in how a training is put together: the loop, the layers' modes, the batches, the lists.

Each reads the evidence and returns a finding or None. Most are facts rather than judgements.
"""

from __future__ import annotations

from moreish.learning.doctor.evidence import Evidence
from moreish.learning.doctor.finding import Finding, enumerated, percent, sure
from moreish.learning.doctor.numerical import RATE_HIGH

LEAKING, DUPLICATES = 0.005, 0.005
STRANGE, STRANGE_ERRORS = 0.15, 6.0
"""Nats a symbol, and standard errors, by which dev is harder than lines of train."""
CARRIED = 0.01
DISPERSED, REPEATED = 2.5, 0.2
SUMMED = 2.0
PADDED = 1.15
FEW_ROWS = 3
NEGLIGIBLE = 1e-6
"""A gradient that much smaller than its data changes nothing in float32."""


def non_finite(e: Evidence) -> Finding | None:
    """Something is no number."""
    if not e.broken:
        return None
    updates = e.updates()
    if updates and max(updates) > RATE_HIGH + 1:  # what blew up while it learnt came of its steps
        return None
    at = e.broken_at or 0
    return Finding("non-finite", e.broken, f"{e.broken} is not finite at step {at + 1}", float(at + 1), 0.0, 1.0)


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
        f"{percent(worst.carried)} of the gradient at step {worst.step + 1} is left from steps before it",
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
        "batchnorm-small-batch", "BatchNorm", f"it took its statistics over {e.norm_rows} rows", float(e.norm_rows),
        float(FEW_ROWS), 0.98,
    )  # fmt: skip


def unconnected(e: Evidence) -> Finding | None:
    """Parameters that no gradient reaches."""
    if not e.unconnected:
        return None
    return Finding(
        "unconnected-parameter", ", ".join(e.unconnected), f"no gradient ever reached {enumerated(e.unconnected)}",
        float(len(e.unconnected)), 0.0, 0.98,
    )  # fmt: skip


def frozen(e: Evidence) -> Finding | None:
    """Parameters that never change."""
    largest = {
        name: max(
            (p.gradient_to_data or 0.0 for look in e.looks for p in look.parameters if p.name == name), default=1.0
        )
        for name in e.frozen
    }
    # A gradient so small that the change is rounded away is another fault's doing.
    names = [name for name in e.frozen if name in e.fixed or largest[name] > NEGLIGIBLE]
    if not names:
        return None
    return Finding(
        "frozen-parameter", ", ".join(names), f"{enumerated(names)} never changed, while others did",
        float(len(names)), 0.0, 0.97,
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
            c.dispersion, DISPERSED, sure(c.dispersion, DISPERSED, 2 * DISPERSED, 0.96),
        )  # fmt: skip
    if c.repeated is not None and c.repeated > REPEATED:
        return Finding(
            "no-shuffling", "the batches", f"{percent(c.repeated)} of the batches had come before, row for row",
            c.repeated, REPEATED, 0.9,
        )  # fmt: skip
    return None


def leaking(e: Evidence) -> Finding | None:
    """Dev was learnt."""
    if e.lists is None or e.lists.leaking is None or e.lists.leaking <= LEAKING:
        return None
    share = e.lists.leaking
    return Finding(
        "leaking-split", "dev", f"{percent(share)} of dev's lines also stand in train", share, LEAKING,
        sure(share, LEAKING, 4 * LEAKING, 0.97),
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
        found.strange, STRANGE, sure(found.strange, STRANGE, 2 * STRANGE, 0.96),
    )  # fmt: skip


def duplicates(e: Evidence) -> Finding | None:
    """The list repeats itself."""
    if e.lists is None or e.lists.duplicates is None or e.lists.duplicates <= DUPLICATES:
        return None
    share = e.lists.duplicates
    return Finding(
        "duplicates", "the list",
        f"{percent(share)} of its lines repeat an earlier one; this split keeps each on one side only", share,
        DUPLICATES, 0.5,
    )  # fmt: skip

"""The rows of the table: what each figure is called, its unit, and what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from moreish.learning.intervals import Interval


@dataclass(frozen=True)
class Row:
    """A figure of the samples beside the same figure of real unseen lines, which is its target.

    Each with its 95 % interval (NaN where it has none). None: not known, and `unknown` says why. `unit` is `share`,
    `bits`, `nats` or `edits`.
    """

    name: str
    label: str
    unit: str
    samples: Interval | None
    real: Interval | None
    explanation: str
    unknown: str = ""

    def __post_init__(self) -> None:
        assert bool(self.unknown) == (self.samples is None or self.real is None), (self.name, self.unknown)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, which knows no infinity: null stands for it."""
        return {
            "name": self.name, "label": self.label, "unit": self.unit, "samples": _plain(self.samples),
            "real": _plain(self.real), "explanation": self.explanation, "unknown": self.unknown,
        }  # fmt: skip


def _plain(interval: Interval | None) -> dict[str, float | None] | None:
    if interval is None:
        return None
    return {
        name: value if math.isfinite(value) else None
        for name, value in (("value", interval.value), ("low", interval.low), ("high", interval.high))
    }


TELLS: dict[str, tuple[str, str, str]] = {
    "new": ("new", "share", "Not among the training lines; the rest are copies."),
    "held_out": ("real", "share", "Of the new, how many are held-out lines: true, and never seen."),
    "distinct": ("distinct", "share", "Different lines among {size:,}; fewer where it repeats itself."),
    "cut": ("cut", "share", "Had not ended at the maximum length, {max_length:,} symbols."),
    "new_nats": (
        "surprise", "nats",
        "What the model spends on a new line, its end included. More on real ones: it is too sure of its own.",
    ),
    "lengths": (
        "lengths", "share",
        "Total variation between the lengths of {size:,} lines and of as many training lines: the share that would "
        "have to be longer or shorter.",
    ),
    "grams": (
        "3-grams", "bits",
        "Jensen-Shannon divergence between the 3-grams of {size:,} lines and of as many training lines; of real ones, "
        "chance alone.",
    ),
    "edits_1": ("1 edit off", "share", "Of the new, how many are one edit from their nearest training line."),
    "edits_2": ("2 edits off", "share", "The same, two edits."),
    "edits_3": ("3 or more", "share", "The same, three edits or more."),
    "edits": ("edits off", "edits", "From a new line to the nearest training line, on average."),
    "count_loss": (
        "held-out loss", "nats",
        "Per symbol of held-out lines, of a Kneser-Ney model of {fitted:,} lines: samples, or training lines. What a "
        "generator never makes costs here.",
    ),
    "count_excess": (
        "loss added", "nats",
        "How much more that is, on the same lines: modes dropped or blurred. Copiers and n-gram models have it easy."
    ),
    "told_apart": (
        "told apart", "share",
        "How often a classifier of 1- to 3-grams and lengths tells {size:,} lines from as many held-out ones; 50 %: "
        "it cannot.",
    ),
}  # fmt: skip
"""For each row: its label, its unit and its explanation."""


def row(name: str, samples: Interval | None, real: Interval | None, unknown: str, **said: int) -> Row:
    """A row of the table; `said` are the numbers that its explanation names."""
    label, unit, explanation = TELLS[name]
    missing = samples is None or real is None
    return Row(name, label, unit, samples, real, explanation.format(**said), unknown if missing else "")

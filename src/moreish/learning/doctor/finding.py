"""What the doctor says of one fault, and how it says numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


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


def sure(number: float, threshold: float, full: float, most: float) -> float:
    """From 0.5 at the threshold to `most` at `full` and beyond."""
    way = (number - threshold) / (full - threshold)
    return round(0.5 + (most - 0.5) * min(1.0, max(0.0, way)), 3)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.995 else f"{100 * share:.0f} %"


def enumerated(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

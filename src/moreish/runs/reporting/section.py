"""What a report is made of: sections with figures, tables and pictures, each explained.

An explanation stands in one place, the field that it explains:

    @dataclass(frozen=True)
    class Prediction:
        nats: float | None = explained("loss", "nats per symbol", "Mean negative log-likelihood; lower is better.")

    figures_of(Prediction(2.1))  # [Figure("nats", "loss", 2.1, "nats per symbol", "Mean negative ...")]

Page, JSON and terminal are given the same sections and add nothing to them. A section for which there is nothing
to show says why in `missing`, and has no figures: a number that is not known is never shown as 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol, runtime_checkable

from moreish.text.alphabet import printable

Value = int | float | str | bool | None
LONGEST_TEXT = 80
"""Characters of a line or a name that a report takes in."""
LONGEST_SHOWN = 500
COUNTED = ("lines", "symbols", "pairs", "times")
"""Units that lose their s after 1."""
POWER = -1
"""Instead of decimals: two digits and a power of ten (4.6e-05), of any size, as `moreish watch` has them."""


@dataclass(frozen=True)
class Figure:
    """A number (or a word) with its unit and a sentence on what it is. `value` None: not known, and `unknown` says why.

    `places` are the decimals that it is shown with.
    """

    name: str
    label: str
    value: Value
    unit: str
    explanation: str
    unknown: str = ""
    places: int = 4

    @property
    def shown(self) -> str:
        """The value as people read it, in the page and in the terminal alike."""
        if self.value is None:
            return "not known"
        return shown(self.value, self.unit, self.places)


@dataclass(frozen=True)
class Column:
    """A column of a table, and what stands in it. `places` are decimals, or POWER."""

    name: str
    label: str
    explanation: str
    unit: str = ""
    places: int = 4


@dataclass(frozen=True)
class Table:
    """Rows of values under columns that are explained."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    about: str = ""

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.name

    def shown(self, row: Sequence[Value]) -> list[str]:
        """A row as people read it; nothing where a value is not there."""
        return [
            "" if value is None else shown(value, column.unit, column.places)
            for value, column in zip(row, self.columns)
        ]


@runtime_checkable
class Drawable(Protocol):
    """What a picture shows."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        ...


@dataclass(frozen=True)
class Picture:
    """Something to be drawn. `kind` says how (faces know), `data` is what is drawn, `sentence` what is to be seen."""

    name: str
    kind: str
    title: str
    sentence: str
    data: Drawable


@dataclass(frozen=True)
class Remark:
    """A sentence that matters. `tone`: `good`, `plain` or `warning`."""

    tone: str
    text: str


@dataclass(frozen=True)
class Section:
    """A chapter of a report. `missing` says why there is nothing in it, else it is empty."""

    name: str
    title: str
    about: str
    remarks: tuple[Remark, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    missing: str = ""

    def __post_init__(self) -> None:
        assert bool(self.missing) != bool(self.figures or self.tables or self.pictures), self.name

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, which knows no infinity: null stands for it, and `shown` says what it is."""
        return {
            "name": self.name,
            "title": self.title,
            "about": self.about,
            "missing": self.missing,
            "remarks": [asdict(remark) for remark in self.remarks],
            "figures": [
                {
                    "name": figure.name, "label": figure.label, "value": _plain(figure.value), "shown": figure.shown,
                    "unit": figure.unit, "explanation": figure.explanation, "unknown": figure.unknown,
                }
                for figure in self.figures
            ],
            "tables": [
                {
                    "name": table.name, "title": table.title, "about": table.about,
                    "columns": [{k: v for k, v in asdict(column).items() if k != "places"} for column in table.columns],
                    "rows": [[_plain(value) for value in row] for row in table.rows],
                }
                for table in self.tables
            ],
            "pictures": [
                {
                    "name": picture.name, "kind": picture.kind, "title": picture.title, "sentence": picture.sentence,
                    "data": picture.data.to_dict(),
                }
                for picture in self.pictures
            ],
        }  # fmt: skip


def explained(label: str, unit: str, explanation: str, *, places: int = 4, unknown: str = "") -> Any:
    """A field of a dataclass of figures: how it is called, its unit, and what it is, in a sentence.

    Args:
        places: decimals.
        unknown: why it is None, where it is.
    """
    told = {"label": label, "unit": unit, "explanation": explanation, "places": places, "unknown": unknown}
    return field(metadata=told)


def figures_of(record: Any, unknown: dict[str, str] | None = None) -> tuple[Figure, ...]:
    """The figures of a dataclass whose fields are `explained`.

    Args:
        unknown: why fields are None, where the field itself does not say.
    """
    given = unknown or {}
    found = []
    for f in fields(record):
        value = getattr(record, f.name)
        why = given.get(f.name) or f.metadata["unknown"] if value is None else ""
        assert value is not None or why, f"{f.name} is not known, and nothing says why"
        found.append(
            Figure(
                f.name, f.metadata["label"], value, f.metadata["unit"], f.metadata["explanation"], why,
                f.metadata["places"],
            )
        )  # fmt: skip
    return tuple(found)


def shown(value: Value, unit: str = "", places: int = 4) -> str:
    """A value as people read it. A share is given in per cent; texts have no control characters."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return printable(shortened(value, LONGEST_SHOWN))
    if isinstance(value, int):
        return f"{value:,}"
    assert value is not None
    if math.isnan(value):
        return "no number"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if unit == "share":
        return f"{100 * value:.1f} %"
    return f"{value:.1e}" if places == POWER else f"{value:,.{places}f}"


def unit_shown(unit: str, value: Value = None) -> str:
    """A unit as it stands after a value, or over many; a share's is in the value already."""
    if unit == "share":
        return ""
    return unit.removesuffix("s") if value == 1 and unit in COUNTED and not isinstance(value, bool) else unit


def sentence(text: str, *names: str) -> str:
    """A complaint with its first letter large, but not where it begins with one of these names (of a run, a list)."""
    return text if any(name and text.startswith(name) for name in names) else text[:1].upper() + text[1:]


def shortened(text: str, longest: int = LONGEST_TEXT) -> str:
    """A text that is not longer than that."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _plain(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""A generator's samples beside real unseen lines, for a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from moreish.generating.quality.quality import Quality
    from moreish.generating.quality.rows import Row
    from moreish.learning.intervals import Interval

WIDE = 100
"""Columns from which explanations stand beside their figures, and not beneath."""
LABELS = 13
CELLS = 14
PLACES = {"bits": 4, "nats": 3, "edits": 2}


def quality_table(found: Quality, width: int) -> RenderableType:
    """Each figure of the samples, the same of real unseen lines, and what it means; 95 % intervals beneath."""
    real = f"{found.real:,} real unseen lines ({found.part})" if found.real else "no real ones: none are held out"
    heads = (Text("samples", "dim"), Text("real unseen", "dim"))
    parts: list[RenderableType] = [
        Text(f"{found.samples:,} samples{_drawn_how(found)} beside {real}", "bold"),
        Text(
            "The real lines are the target of each row, not an extreme. Beneath each figure its 95 % interval; of "
            "lengths and 3-grams, where another set of as many lines would come to lie.",
            "dim",
        ),
        Text(),
    ]
    if width >= WIDE:
        grid = _grid()
        grid.add_column(ratio=1)
        grid.add_row(Text("figure", "dim"), *heads, Text("what it is", "dim"))
        for row in found.rows:
            grid.add_row(*_cells(row), Text(_said(row), "dim"))
        return Group(*parts, grid)
    grid = _grid()
    grid.add_row(Text("figure", "dim"), *heads)
    parts.append(grid)
    for row in found.rows:
        grid = _grid()
        grid.add_row(*_cells(row))
        parts += [grid, Padding(Text(_said(row), "dim"), (0, 0, 0, 2))]
    return Group(*parts)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=LABELS)
    for _ in range(2):
        grid.add_column(min_width=CELLS, justify="right", no_wrap=True)
    return grid


def _cells(row: Row) -> tuple[Text, Text, Text]:
    return Text(row.label), _cell(row.samples, row.unit), _cell(row.real, row.unit)


def _cell(interval: Interval | None, unit: str) -> Text:
    if interval is None:
        return Text("not known", "italic")
    value = Text(_shown(interval.value, unit), "bold")
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return value
    low = _shown(interval.low, unit).removesuffix(" %")
    return value.append(f"\n{low} to {_shown(interval.high, unit).removesuffix(' %')}", "not bold dim")


def _shown(value: float, unit: str) -> str:
    if math.isinf(value):
        return "infinite"
    return f"{100 * value:.1f} %" if unit == "share" else f"{value:.{PLACES[unit]}f}"


def _said(row: Row) -> str:
    unit = "" if row.unit == "share" else f" In {row.unit}."
    return f"{row.explanation}{unit}{f' Not known: {row.unknown}' if row.unknown else ''}"


def _drawn_how(found: Quality) -> str:
    how = [] if found.temperature == 1 else [f"temperature {found.temperature:g}"]
    how += [f"top-k {found.top_k}"] if found.top_k is not None else []
    how += [f"top-p {found.top_p:g}"] if found.top_p is not None else []
    return f" (seed {', '.join([str(found.seed), *how])})"

"""A report for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from moreish.faces.reporting.pictures import DRAWINGS
from moreish.runs.reporting.section import unit_shown
from moreish.text.alphabet import printable

if TYPE_CHECKING:
    from moreish.runs.report import Report
    from moreish.runs.reporting.section import Figure, Section, Table

MARKS = {"good": ("✓ ", "bold green"), "plain": ("  ", ""), "warning": ("! ", "bold yellow")}
WIDE = 100
"""Columns from which explanations stand beside their figures, and not beneath."""


def told(report: Report, width: int) -> RenderableType:
    """The whole report."""
    parts: list[RenderableType] = [Text(printable(report.title), "bold"), Text(printable(report.summary), "dim")]
    for section in report.sections:
        parts += [Text(), *_section(section, width)]
    return Group(*parts)


def _section(section: Section, width: int) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(section.title, "bold underline"), Text(section.about, "dim")]
    if section.missing:
        return [*parts, Text(printable(section.missing), "italic")]
    for remark in section.remarks:
        row = Grid.grid()
        row.add_row(Text(*MARKS[remark.tone]), Text(printable(remark.text)))
        parts.append(row)
    for picture in section.pictures:
        drawn = DRAWINGS[picture.kind].characters(picture.data, width)
        parts += [Text(), Text(picture.title, "bold"), drawn, Text(printable(picture.sentence), "dim")]
    if section.figures:
        parts += [Text(), _figures(section.figures, width)]
    for table in section.tables:
        parts += [Text(), *_table(table)]
    return parts


def _figures(figures: tuple[Figure, ...], width: int) -> RenderableType:
    """Label, value and explanation; the explanation beneath where there is little room."""
    if width >= WIDE:
        grid = Grid.grid(padding=(0, 2))
        grid.add_column()
        grid.add_column(max_width=36)
        grid.add_column(ratio=1)
        for figure in figures:
            grid.add_row(Text(figure.label), _value(figure), Text(printable(_why(figure)), "dim"))
        return grid
    return Group(
        *(
            part
            for figure in figures
            for part in (
                Text.assemble(f"{figure.label}: ", _value(figure)),
                Padding(Text(printable(_why(figure)), "dim"), (0, 0, 0, 2)),
            )
        )
    )


def _value(figure: Figure) -> Text:
    if figure.value is None:
        return Text(figure.shown, "italic")
    unit = unit_shown(figure.unit, figure.value)
    return Text.assemble((figure.shown, "bold"), f" {unit}" if unit else "")


def _why(figure: Figure) -> str:
    return figure.explanation if figure.value is not None else f"{figure.explanation} Not known: {figure.unknown}"


def _table(table: Table) -> list[RenderableType]:
    grid = Grid.grid(padding=(0, 2))
    for i in range(len(table.columns)):
        grid.add_column(justify="left" if any(isinstance(row[i], str) for row in table.rows) else "right")
    grid.add_row(*(Text(column.label, "dim") for column in table.columns))
    for row in table.rows:
        grid.add_row(*(Text(printable(cell)) for cell in table.shown(row)))
    columns = " ".join(
        f"{column.label}{f' ({unit})' if (unit := unit_shown(column.unit)) else ''}: {column.explanation}"
        for column in table.columns
    )
    about = [Text(table.about, "dim")] if table.about else []
    return [Text(table.title, "bold"), *about, grid, Text(columns, "dim")]

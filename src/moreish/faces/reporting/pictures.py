"""How each kind of picture in a report is drawn: as a figure for the page, as characters for the terminal.

A new kind of picture needs one entry in `DRAWINGS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType

    from moreish.faces.plot import Look

WIDTH = 4.4
"""Inches: on a telephone the letters of such a figure are as large as those around it."""


@dataclass(frozen=True)
class Drawing:
    """Two ways to draw the same: `figure(data, look)` and `characters(data, width)`.

    `wide`, where there is one, is a figure of many panels side by side, for a page that has room for them.
    """

    figure: Callable[[Any, Look], Figure]
    characters: Callable[[Any, int], RenderableType]
    wide: Callable[[Any, Look], Figure] | None = None


def _curves_figure(data: Any, look: Look) -> Figure:
    from moreish.faces.plot_report import curves_figure

    return curves_figure(data, WIDTH, 3.6, look)


def _curves_characters(data: Any, width: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from moreish.faces.draw_curves import character_curves

    steps = [step for step, _ in (*data.train, *data.dev)]
    nothing = [(min(steps), data.unsure), (max(steps), data.unsure)]
    across = 200
    line = [(min(steps) + (max(steps) - min(steps)) * i / across, data.unsure) for i in range(across + 1)]
    curves = [("╌", "red", line), ("·", "", data.train), ("■", "blue", data.dev)]
    keys: list[tuple[str, str] | str] = [("■", "blue"), " dev   "] if data.dev else []
    keys += ["· batches   "] if data.train else []
    told = Text.assemble(*keys, ("╌", "red"), f" knowing nothing: {nothing[0][1]:.3f}")
    return Group(character_curves([curve for curve in curves if curve[2]], min(width, 100)), told)


def _lengths_figure(data: Any, look: Look) -> Figure:
    from moreish.faces.plot_report import lengths_figure

    return lengths_figure(data, WIDTH, 2.6, look)


def _lengths_characters(data: Any, width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    from moreish.faces.draw import histogram

    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim")
    table.add_column()
    table.add_column(style="dim")
    for label, count, drawn in histogram(data.lengths, max(8, min(40, width - 24))):
        table.add_row(label, Text(drawn, "cyan"), f"{count:,}")
    return table


def _embeddings_figure(data: Any, look: Look) -> Figure:
    from moreish.faces.plot_embeddings import embeddings_figure

    return embeddings_figure(data, WIDTH, look=look, any_font=True, words=False)


def _embeddings_characters(data: Any, width: int) -> RenderableType:
    from moreish.faces.cli.embeddings import picture

    return picture(data, width)


def _vitals_figure(data: Any, look: Look) -> Figure:
    from moreish.faces.plot_watch import watch_figure

    return watch_figure(data.run, data.run.at().step, WIDTH, look=look)


def _vitals_wide(data: Any, look: Look) -> Figure:
    from moreish.faces.plot_watch import watch_figure

    return watch_figure(data.run, data.run.at().step, 12.0, look=look)


def _vitals_characters(data: Any, width: int) -> RenderableType:
    """update:data over the steps; the section's tables have the rest."""
    from rich.console import Group
    from rich.text import Text

    from moreish.faces.draw_curves import character_curves

    names = [each.name for each in data.run.at().parameters]
    curves = []
    for i, name in enumerate(names):
        points = [(one.step, one.parameters[i].update_to_data) for one in data.run.readings]
        curves.append(("·", "", [(step, value) for step, value in points if value is not None and "weight" in name]))
    curves = [curve for curve in curves if curve[2]]
    if not curves:
        return Text("No step moved a matrix.", "dim")
    return Group(Text("log10 of update:data of each matrix", "dim"), character_curves(curves, min(width, 100)))


DRAWINGS = {
    "vitals": Drawing(_vitals_figure, _vitals_characters, _vitals_wide),
    "curves": Drawing(_curves_figure, _curves_characters),
    "lengths": Drawing(_lengths_figure, _lengths_characters),
    "embeddings": Drawing(_embeddings_figure, _embeddings_characters),
}

"""The report's own figures: losses by step, and lengths of lines."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.runs.reporting.learning import Curves
    from moreish.runs.reporting.run import Lengths

DASHED = (0, (4, 3))
MOST_BARS = 60
MANY = 60
"""Points from which a curve is a line without marks."""


def curves_figure(found: Curves, width: float = 6.4, height: float = 4.2, look: Look = LIGHT) -> Figure:
    """Loss by step, of batches and on dev, and what knowing nothing costs.

    Args:
        width, height: in inches.
    """
    figure = new_figure(look, width, height)
    axes = figure.add_subplot()
    if found.train:
        mark = "" if len(found.train) > MANY else "o"
        axes.plot(*_xy(found.train), marker=mark, ms=3.5, lw=1.2, color=look.faint, label="batches, while learning")
    if found.dev:
        mark = "" if len(found.dev) > MANY else "s"
        axes.plot(*_xy(found.dev), marker=mark, ms=4, lw=2.2, color=look.blue, label="dev, held out")
        at, lowest = min(found.dev, key=lambda point: point[1])
        axes.plot([at], [lowest], "D", ms=7, color=look.green, label=f"lowest on dev: {lowest:.3f} at step {at:,}")
    axes.axhline(found.unsure, color=look.red, lw=1.4, ls=DASHED, label=f"knowing nothing: {found.unsure:.3f}")
    losses = [loss for _, loss in (*found.train, *found.dev)]
    low, high = min(losses), max(found.unsure, *losses)
    axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    room = round(width * CHARACTERS_AN_INCH)
    dress(axes, look, fill("Loss by step", round(room * 0.65)), "step", "nats per symbol", size=12)
    legend: Any = axes.get_legend()
    legend.set_loc("upper right")
    legend.set_bbox_to_anchor((1.0, 0.93))  # below the dashed line
    return figure


def lengths_figure(found: Lengths, width: float = 6.4, height: float = 3.2, look: Look = LIGHT) -> Figure:
    """How many lines there are of each length.

    Args:
        width, height: in inches.
    """
    figure = new_figure(look, width, height)
    axes = figure.add_subplot()
    low, high = min(found.lengths), max(found.lengths)
    step = -(-(high - low + 1) // MOST_BARS)
    firsts = range(low, high + 1, step)
    heights = [sum(found.lengths.get(length, 0) for length in range(first, first + step)) for first in firsts]
    axes.bar([first + (step - 1) / 2 for first in firsts], heights, width=0.85 * step, color=look.blue)
    dress(axes, look, "Lines of each length", "symbols in a line", "lines", grid="y", size=12)
    _whole_ticks(axes)
    return figure


def _xy(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _whole_ticks(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))

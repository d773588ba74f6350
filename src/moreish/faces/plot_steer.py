"""The figure of `moreish steer`: how new the lines of each setting are, over the entropy that they were drawn with."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.generating.steer import Steered, Steering

DASHED = (0, (5, 3))


def steering_figure(found: Steering, width: float = 7.0, height: float = 4.6, look: Look = LIGHT) -> Figure:
    """Share new with its interval over entropy, temperatures joined by a line, typicalities by dashes.

    Args:
        width, height: in inches.
    """
    figure = new_figure(look, width, height)
    axes = figure.add_subplot()
    temperatures = [row for row in found.settings if row.typical is None and row.lines]
    typical = [row for row in found.settings if row.typical is not None and row.lines]
    _draw(
        axes, look, temperatures, [f"{row.temperature:g}" for row in temperatures], look.blue, "-", "o", "temperature"
    )
    _draw(axes, look, typical, [f"{row.typical:g}" for row in typical], look.orange, DASHED, "s", "typical")
    real = found.held_out
    if real is not None and real.entropy_bits is not None:
        axes.axvline(real.entropy_bits, color=look.faint, lw=1.4, ls=(0, (1, 1.6)), label="real lines, held out")
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.margins(0.12)
    title = fill("How new lines are, over entropy", round(width * CHARACTERS_AN_INCH * 0.6))
    dress(
        axes, look, title, "entropy of what a symbol is drawn from, bits", "lines that the list does not have", size=12
    )
    return figure


def _draw(
    axes: Any, look: Look, rows: list[Steered], names: list[str], colour: str, style: Any, mark: str, label: str
) -> None:
    if not rows:
        return
    rows, names = map(list, zip(*sorted(zip(rows, names), key=lambda pair: pair[0].entropy_bits or 0.0)))
    x, y = [row.entropy_bits for row in rows], [row.new for row in rows]
    low = [(row.new or 0) - (row.new_low or 0) for row in rows]
    high = [(row.new_high or 0) - (row.new or 0) for row in rows]
    axes.errorbar(x, y, yerr=[low, high], ls=style, marker=mark, color=colour, lw=1.8, capsize=3, label=label)
    for at, share, name in zip(x, y, names):
        axes.annotate(name, (at, share), xytext=(6, -11), textcoords="offset points", fontsize=9, color=look.ink)

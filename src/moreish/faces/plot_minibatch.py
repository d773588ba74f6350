"""The figure of `moreish explain minibatch`: angle and spread by batch size, and full batch against 32, twice."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.minibatch.minibatch import Minibatch

SIDE_BY_SIDE = 7.0
"""Inches of paper from which panels stand in rows of two."""
DASHED, DOTTED = (0, (5, 3)), (0, (1, 1.6))
MARKS = ("o", "s", "^", "D", "v")


def minibatch_figure(found: Minibatch, width: float = 11.0, height: float = 4.2, look: Look = LIGHT) -> Figure:
    """Four panels: angle and spread by batch size; the loss by seconds and by symbols.

    Args:
        width, height: in inches; the height is that of a row of panels, of which there are two, or four.
    """
    wide = width >= SIDE_BY_SIDE
    raced = found.seconds is not None
    panels = 4 if raced else 2
    columns = 2 if wide else 1
    figure = new_figure(look, width, height * panels / columns * (1 if wide else 0.85))
    axes = figure.subplots(panels // columns, columns).flatten()
    room = round(width * CHARACTERS_AN_INCH * (0.4 if wide else 0.75))
    _angles(axes[0], look, found)
    dress(axes[0], look, fill("Angle between a minibatch's gradient and the full one", room), "batch", "degrees")
    _spreads(axes[1], look, found)
    dress(axes[1], look, fill("Size of its error, against the gradient's", room), "batch", "times")
    if raced:
        _seconds(axes[2], look, found)
        title = f"Full batch against {found.batch}, at equal time"
        dress(axes[2], look, fill(title, room), "seconds of learning", f"nats per symbol on {found.part}")
        _symbols(axes[3], look, found)
        title = f"Full batch against {found.batch}, at equal symbols"
        dress(axes[3], look, fill(title, room), "symbols seen", f"nats per symbol on {found.part}")
    from moreish.explaining.minibatch.words import headline

    marks = (
        "Above: marks are means over minibatches, bars hold 19 of 20 of them, lines are what the noise scale alone "
        "predicts. "
    )
    said = fill(marks + headline(found), round(width * CHARACTERS_AN_INCH * 1.05))
    figure.supxlabel(said, color=look.ink, fontsize=9, x=0.01, ha="left")
    return figure


def _colours(look: Look) -> list[str]:
    return [look.blue, look.orange, look.violet, look.green, look.red]


def _angles(axes: Any, look: Look, found: Minibatch) -> None:
    """Measured with bars, expected as lines."""
    axes.set_xscale("log", base=2)
    axes.axhline(90, color=look.faint, lw=0.8)
    for moment, colour, mark in zip(found.moments, _colours(look), MARKS):
        rows = moment.noise.batches
        at = [row.batch for row in rows]
        mean = [row.degrees.value for row in rows]
        axes.errorbar(
            at, mean, yerr=_bars([row.degrees for row in rows]), fmt=mark, ms=5, color=colour, lw=1.0, capsize=2.5,
            label=_named(found, moment.step),
        )  # fmt: skip
        axes.plot(at, [row.expected_degrees for row in rows], color=colour, lw=1.3)
    axes.set_ylim(bottom=0)
    _ticks(axes, found)


def _spreads(axes: Any, look: Look, found: Minibatch) -> None:
    """The same on scales of powers, where 1 / sqrt(batch) is a straight line."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.axhline(1, color=look.faint, lw=0.8)
    for moment, colour, mark in zip(found.moments, _colours(look), MARKS):
        rows = moment.noise.batches
        at = [row.batch for row in rows]
        slope = moment.noise.slope
        label = _named(found, moment.step) + ("" if slope is None else f": slope {slope:.2f}")
        axes.errorbar(
            at, [row.spread.value for row in rows], yerr=_bars([row.spread for row in rows]), fmt=mark, ms=5,
            color=colour, lw=1.0, capsize=2.5, label=label,
        )  # fmt: skip
        axes.plot(at, [row.expected_spread for row in rows], color=colour, lw=1.3)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    _ticks(axes, found)


def _seconds(axes: Any, look: Look, found: Minibatch) -> None:
    """Loss by seconds; where learning began stands as a line."""
    assert found.seconds is not None
    small, full = found.seconds.race
    axes.set_xscale("log")
    axes.axhline(small.points[0].nats, color=look.faint, lw=0.8, ls=DOTTED, label="before the first step")
    for side, colour, style, mark in ((full, look.red, DASHED, "s"), (small, look.blue, "-", "o")):
        later = side.points[1:]
        name = "full batch" if side.full else f"batch {side.batch}"
        label = f"{name}, rate {side.lr:g}: {side.steps:,} steps"
        axes.plot(
            [point.seconds for point in later], [point.nats for point in later], ls=style, marker=mark, ms=3,
            color=colour, lw=1.8, label=label,
        )  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _symbols(axes: Any, look: Look, found: Minibatch) -> None:
    """Loss by symbols; one pass over the list as a line."""
    small, full = found.curves
    axes.set_xscale("log")
    axes.axvline(found.symbols, color=look.faint, lw=0.8, ls=DOTTED, label=f"one pass: {found.symbols:,}")
    for curve, colour, style, mark in ((full, look.red, DASHED, "s"), (small, look.blue, "-", "o")):
        later = curve.points[1:]
        name = "full batch" if curve.full else f"batch {curve.batch}"
        axes.plot(
            [point.symbols for point in later], [point.nats for point in later], ls=style, marker=mark, ms=3,
            color=colour, lw=1.8, label=f"{name}, rate {curve.lr:g}: {later[-1].step:,} steps",
        )  # fmt: skip


def _named(found: Minibatch, step: int) -> str:
    return "at the start" if not step else f"after {step:,} steps"


def _bars(drawn: list[Any]) -> list[list[float]]:
    """How far 19 of 20 reach below and above the mean."""
    return [[max(0.0, each.value - each.low) for each in drawn], [max(0.0, each.high - each.value) for each in drawn]]


def _ticks(axes: Any, found: Minibatch) -> None:
    at = [row.batch for row in found.moments[0].noise.batches]
    axes.set_xticks(at, [f"{n // 1024}k" if n >= 1024 else str(n) for n in at])
    axes.minorticks_off()

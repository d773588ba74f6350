"""The figure of `moreish explain optimizability`: gradients through time, and what they cost."""

from __future__ import annotations

import math
from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.optimizability.chapter import Optimizability
    from moreish.explaining.optimizability.through_time import Back

SIDE_BY_SIDE = 7.0
"""Inches of paper from which the four stand two by two."""
DASHED, DOTTED, DASH_DOT = (0, (5, 3)), (0, (1, 1.6)), (0, (6, 2, 1, 2))
STYLES = (
    ("blue", "-", "o"),
    ("violet", DASHED, "v"),
    ("red", DOTTED, "^"),
    ("green", "-", "s"),
    ("orange", DASHED, "D"),
    ("ink", DASH_DOT, "x"),
)
ABOVE = 1.0
"""Nats above the worst of the best losses that are shown; what exploded stands at the top."""


def optimizability_figure(
    found: Optimizability, width: float = 11.0, height: float = 8.4, look: Look = LIGHT
) -> Figure:
    """Four panels, two by two; a narrow paper has them one above the other.

    Args:
        width, height: in inches; the height is that of two rows of panels.
    """
    square = width >= SIDE_BY_SIDE
    figure = new_figure(look, width, height if square else 2 * height)
    axes = list((figure.subplots(2, 2) if square else figure.subplots(4, 1)).flat)
    room = round(width * CHARACTERS_AN_INCH * (0.36 if square else 0.6))
    highest = _back(axes[0], look, found.fresh), _back(axes[1], look, found.learnt)
    _same_heights(axes[:2], highest)
    _rates(axes[2], look, found)
    _recalls(axes[3], look, found)
    steps = f"{found.steps} steps"
    for each, title, x, y in (
        (axes[0], "Gradient so many symbols back, before learning", "symbols back", "against the last symbol"),
        (axes[1], f"The same after {steps} at the best rate", "symbols back", "against the last symbol"),
        (axes[2], f"The loss after {steps} at each learning rate", "learning rate", "nats per symbol"),
        (axes[3], "How much of a first symbol is remembered", "symbols later", "1 is all of it"),
    ):
        dress(each, look, fill(title, room), x, y)
    axes[0].get_legend().remove()
    axes[1].get_legend().set_loc("lower left")
    from moreish.explaining.optimizability.words import concluded

    level = "Level would be ideal: the steeper, the less a far symbol counts in a step, or the more it upsets it."
    said = fill(f"{concluded(found)[1]} {level}", round(width * CHARACTERS_AN_INCH * 1.15))
    figure.supxlabel(said, color=look.ink, fontsize=9, x=0.01, ha="left")
    return figure


def _style(look: Look, i: int) -> dict[str, Any]:
    colour, line, mark = STYLES[i % len(STYLES)]
    return {"color": getattr(look, colour), "ls": line, "marker": mark, "ms": 4.5, "lw": 1.7}


def _back(axes: Any, look: Look, backs: list[Back]) -> list[float]:
    """By powers of ten; a network's curve ends where there are no lines to go on with."""
    axes.set_yscale("log")
    axes.axhline(1, color=look.faint, lw=0.8)
    met = []
    for i, each in enumerate(backs):
        norms = [norm for norm in each.inputs if norm is not None and norm > 0]
        axes.plot(range(len(norms)), norms, label=each.network, **_style(look, i))
        met += norms
    return met


def _same_heights(axes: list[Any], met: tuple[list[float], list[float]]) -> None:
    both = [norm for norms in met for norm in norms]
    for each in axes:
        each.set_ylim(min(both) / 3, max(both) * 3)


def _rates(axes: Any, look: Look, found: Optimizability) -> None:
    best = [each.best for each in found.sweeps if each.best is not None]
    low, top = (min(best) - 0.05, max(best) + ABOVE) if best else (0.0, 1.0)
    axes.set_xscale("log")
    axes.set_ylim(low, top)
    for i, each in enumerate(found.sweeps):
        shown = [top if nats is None else min(nats, top) for nats in each.nats]
        axes.plot(each.rates, shown, clip_on=False, zorder=3, **_style(look, i))
        cut = [math.nan if c is None or c == n or c > top else c for c, n in zip(each.clipped, each.nats)]
        axes.plot(each.rates, cut, "o", mfc="none", mec=_style(look, i)["color"], ms=9, mew=1.4)
    axes.text(0.02, 0.97, "at the top: higher than shown\nring: with clipping", transform=axes.transAxes, va="top",
              fontsize=8.5, color=look.ink)  # fmt: skip
    axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")


def _recalls(axes: Any, look: Look, found: Optimizability) -> None:
    axes.axhline(0, color=look.faint, lw=0.8)
    distances = found.recalls[0].distances
    for i, each in enumerate(found.recalls):
        axes.plot(range(len(distances)), each.known, **_style(look, i))
    axes.set_xticks(range(len(distances)), [str(distance) for distance in distances])

"""The figure of `moreish explain bigram`: the table of counts, and four curves on how a network comes to it."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.draw import heat, short, sign
from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure
from moreish.text.alphabet import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.bigram.walk import Bigram

SIDE_BY_SIDE = 13.0
"""Inches of paper from which the table stands beside the curves."""
DASHED, DOTTED = (0, (5, 3)), (0, (1, 1.6))
POINTS_A_DIGIT = 0.62
"""How wide a digit is, as a share of the size of its type."""
LEAST_TYPE, MOST_TYPE = 3.6, 9.0


def bigram_figure(found: Bigram, width: float = 15.0, height: float = 8.2, look: Look = LIGHT) -> Figure:
    """The counts as a heat map; the loss step by step, the product that underflows, smoothing beside weight decay, and
    the loss along lines between settings of the weights.

    Args:
        width, height: in inches; on a narrow paper the five stand one below the other, as high as they need.
    """
    wide = width >= SIDE_BY_SIDE
    figure = new_figure(look, width, height if wide else min(width, height) + 4 * 3.2)
    if wide:
        left, right = figure.add_gridspec(1, 2, width_ratios=(height - 1, width - height + 1))
        table = figure.add_subplot(left)
        grid = right.subgridspec(2, 2)
        curves = [figure.add_subplot(grid[i, j]) for i in range(2) for j in range(2)]
        room = round((width - height) * CHARACTERS_AN_INCH * 0.4)
    else:
        table, *curves = figure.subplots(5, 1, height_ratios=(min(width, height), *[3.2] * 4))
        room = round(width * CHARACTERS_AN_INCH * 0.7)
    title = fill(f"Which symbol comes after which: {printable(found.list)}", room if not wide else 3 * room)
    _counts(table, look, found, title, (height - 1.2 if wide else min(width, height) * 0.9) * 72)
    _descent(curves[0], look, found, fill("Learning what was counted", room))
    _product(curves[1], look, found, fill("A product that underflows", room))
    _smoothing(curves[2], look, found, fill("Smoothing beside decay", room))
    _lines(curves[3], look, found, fill("One minimum, or many", room))
    from moreish.explaining.bigram.words import concluded

    said = fill(" ".join(concluded(found)[2:]), round(width * CHARACTERS_AN_INCH * 1.15))
    figure.supxlabel(said, color=look.ink, fontsize=9, x=0.01, ha="left")
    return figure


def _counts(axes: Any, look: Look, found: Bigram, title: str, points: float) -> None:
    """Each cell shaded by its share of the row, on a square-root scale; with room the counts stand in the cells."""
    import numpy as np
    from matplotlib.colors import to_rgb

    from moreish.learning.tables import BigramTable

    table = BigramTable(found.labels, found.counts, found.pairs, found.pairs_seen, found.pairs_possible, 0)
    labels, rows = table.shown()
    counts = np.array(rows)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    intensity = np.sqrt(shares / max(shares.max(), 1e-12))
    picture = np.empty((*counts.shape, 3))
    cell = points / len(labels)
    size = min(MOST_TYPE, cell * 0.86 / (4 * POINTS_A_DIGIT))
    for (i, j), count in np.ndenumerate(counts):
        background, ink = heat(float(intensity[i, j]))
        rgb = [int(x) / 255 for x in background.removeprefix("rgb(").removesuffix(")").split(",")]
        picture[i, j] = rgb if count else to_rgb(look.paper)
        if count and size >= LEAST_TYPE:
            axes.text(j, i, short(int(count), 4), ha="center", va="center", fontsize=size, color=ink)
    axes.imshow(picture, interpolation="none")
    letters = min(9.0, cell * 0.75)
    signs = [sign(label) for label in labels]
    axes.set_xticks(range(len(labels)), signs)
    axes.set_yticks(range(len(labels)), signs)
    dress(axes, look, title, "after", "before", grid="none")
    axes.tick_params(labelsize=letters, length=0)


def _descent(axes: Any, look: Look, found: Bigram, title: str) -> None:
    curve = [each for each in found.descent.curve if each.step]
    axes.set_xscale("log")
    axes.plot([e.step for e in curve], [e.nats for e in curve], color=look.blue, lw=2.2, label="one-layer network")
    axes.axhline(found.uniform, color=look.faint, lw=1.6, ls=DOTTED, label=f"knowing nothing: {found.uniform:.3f}")
    axes.axhline(found.counted, color=look.green, lw=1.8, ls=DASHED, label=f"table of counts: {found.counted:.3f}")
    dress(axes, look, title, "step, by powers of ten", "nats per symbol")


def _product(axes: Any, look: Look, found: Bigram, title: str) -> None:
    running = found.likelihood.running
    at = [each.symbols for each in running]
    axes.plot(at, [each.log10 for each in running], color=look.faint, lw=1.6, ls=DOTTED, label="what it is")
    held = {"float32": (look.red, 4.2), "float64": (look.blue, 2.0)}
    for each in found.likelihood.underflows:
        colour, wide = held[each.precision]
        points = [(p.symbols, getattr(p, each.precision)) for p in running if getattr(p, each.precision) is not None]
        label = f"{each.precision}: 0 at symbol {each.at}" if each.at else each.precision
        axes.plot([x for x, _ in points], [y for _, y in points], color=colour, lw=wide, label=label)
        if each.at and points:
            axes.plot(points[-1][0], points[-1][1], "X", color=colour, ms=9)
    dress(axes, look, title, "symbols read", "power of ten")


def _smoothing(axes: Any, look: Look, found: Bigram, title: str) -> None:
    s = found.smoothing
    axes.set_xscale("log")
    at = [each.k for each in s.strengths]
    for symbol, name, colour in ((s.common, "common", look.blue), (s.rare, "rare", look.red)):
        added = [getattr(each.add_k, name) for each in s.strengths]
        decayed = [getattr(each.decayed, name) for each in s.strengths]
        axes.plot(at, added, "-o", color=colour, lw=1.8, label=f"{sign(symbol)}, {name}: add-k")
        axes.plot(at, decayed, marker="s", ls=DASHED, color=colour, lw=1.8, label=f"{sign(symbol)}: decay as strong")
    axes.set_ylim(bottom=0)
    dress(axes, look, title, "k, by powers of ten", "row's distance from uniform")


def _lines(axes: Any, look: Look, found: Bigram, title: str) -> None:
    import numpy as np

    lines = (
        (found.convex.line, look.blue, "-", "one layer, two starts"),
        (found.bent.seeds, look.red, DASHED, "hidden units, two seeds"),
        (found.bent.reordered, look.orange, DOTTED, "its units reordered"),
    )
    axes.axhline(0, color=look.faint, lw=0.8)
    for line, colour, style, label in lines:
        nats = np.array(line.nats)
        t = np.linspace(0, 1, len(nats))
        axes.plot(t, nats - np.linspace(nats[0], nats[-1], len(nats)), ls=style, color=colour, lw=2, label=label)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.5 * (high - low))  # room for the legend
    dress(axes, look, title, "from one to the other", "nats above the straight line")
    axes.get_legend().set_loc("upper left")

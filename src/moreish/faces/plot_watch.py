"""The figure of `moreish watch`: the lectures' four plots of a network's vitals, and the loss.

Distributions stand one below the other, a row for each layer from the first to the last, so that thirty of them can be
read where thirty curves over one another could not.
"""

from __future__ import annotations

import math
from statistics import median
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.learning.vitals import Spread, Vitals
    from moreish.runs.vitals import WatchedRun

ROOM = 1.75
"""Inches that a distribution wants beside its words; with less, the panels stand one below the other."""
A_CHARACTER, MANY = 0.07, 16
"""Inches of one in the names of layers; layers from which these are smaller."""
ROW, LEAST_ROWS, BESIDES = 0.19, 1.9, 1.45
"""Inches that a distribution takes, all of them at least, and the words around them."""
CURVES = 3.3
NAMED = 8
"""Matrices up to which every line of update:data bears its name; beyond, the highest and the lowest at the end do."""
OVERLAP = 1.25
"""How far a distribution reaches into the row above."""
WIDTHS = 4.0
"""To how many median deviations the axis reaches."""
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))


class Layer(NamedTuple):
    """A row: its name, its distribution, and the number at its end."""

    name: str
    spread: Spread
    said: str
    stressed: bool = False


def watch_figure(
    found: WatchedRun, step: int, width: float = 12.0, height: float = CURVES, look: Look = LIGHT
) -> Figure:
    """The vitals of a step, and over the steps.

    Args:
        width: in inches; on a narrow paper the panels stand one below the other.
        height: of the panels of curves; those of distributions take as much as their rows want.
    """
    now = found.at(step)
    panels = _panels(now)
    heights = [BESIDES + max(LEAST_ROWS, ROW * len(layers)) for _, layers, _ in panels]
    beside = max((_inches(layers) for _, layers, _ in panels), default=0.0)
    row = width / 3 - beside >= ROOM
    total = max(heights) + height if row else sum(heights) + 2 * height
    figure = new_figure(look, width, total + 0.35)
    if row:
        grid = figure.add_gridspec(2, 6, height_ratios=[max(heights), height])
        places = [grid[0, 0:2], grid[0, 2:4], grid[0, 4:6], grid[1, 0:4], grid[1, 4:6]]
        rooms = [width / 3, width / 3, width / 3, 2 * width / 3, width / 3]
    else:
        grid = figure.add_gridspec(5, 1, height_ratios=[*heights, height, height])
        places, rooms = [grid[i, 0] for i in range(5)], [width] * 5
    axes = [figure.add_subplot(place) for place in places]
    for each, (title, layers, words), inches in zip(axes, panels, rooms):
        _distributions(each, look, layers)
        names = A_CHARACTER * max((len(layer.name) for layer in layers), default=0)
        _dress(each, look, title, words, inches - names, grid="x")
    _updates(axes[3], look, found, now)
    _dress(axes[3], look, "update:data, log10", "updates", rooms[3] - 0.6, x="step")
    _losses(axes[4], look, found)
    _dress(axes[4], look, "Training loss, nats per symbol", "loss", rooms[4] - 0.6, x="step")
    heading = f"{found.recipe.model}, step {now.step:,} of {found.recipe.steps:,}: its vitals"
    figure.suptitle(heading, color=look.ink, fontsize=12, weight="bold", x=0.01, ha="left")
    return figure


def _panels(now: Vitals) -> list[tuple[str, list[Layer], str]]:
    """The three panels of distributions: title, rows, and the key of the sentence below."""
    functions = ("tanh", "sigmoid", "relu", "gelu", "silu")
    forward, backward = [], []
    for site in now.sites:
        stressed = site.kind in functions
        end = "" if site.saturated is None else f", {100 * site.saturated:.0f} % sat."
        if site.saturated is None and site.dead:
            end = f", {100 * site.dead:.0f} % dead"
        forward.append(Layer(site.site, site.activation, f"{_short(site.activation.deviation)}{end}", stressed))
        if site.gradient is not None:
            backward.append(Layer(site.site, site.gradient, _short(site.gradient.deviation), stressed))
    weights = [
        Layer(p.name.removesuffix(".weight"), p.gradient, _short(p.gradient_to_data))
        for p in now.parameters
        if p.gradient is not None and len(p.shape) > 1
    ]
    return [
        ("Activations", forward, "activations"),
        ("Gradients there", backward, "gradients"),
        ("The weights' gradients", weights, "weights"),
    ]


def _inches(layers: list[Layer]) -> float:
    """What the words to the left and right of some distributions take."""
    size = A_CHARACTER * (1 if len(layers) <= MANY else 0.82)
    names, ends = (max((len(word) for word in words), default=0) for words in (
        [layer.name for layer in layers], [layer.said for layer in layers]
    ))  # fmt: skip
    return size * (names + ends)


def _distributions(axes: Any, look: Look, layers: list[Layer]) -> None:
    """A row each, the first layer on top; heights are each row's own, widths are on one axis."""
    axes.set_yticks([])
    drawn = [layer for layer in layers if layer.spread.deviation and layer.spread.histogram]
    if not drawn:
        axes.text(0.5, 0.5, "none", color=look.faint, ha="center", va="center", transform=axes.transAxes)
        axes.set_xticks([])
        return
    reach = WIDTHS * median(layer.spread.deviation or 0 for layer in drawn)
    if all(layer.spread.histogram and layer.spread.histogram.low == -1 for layer in drawn):
        reach = 1.05
    for i, layer in enumerate(layers):
        base = -i
        colour = look.blue if layer.stressed else look.faint
        axes.axhline(base, color=look.faint, lw=0.4, alpha=0.6, zorder=-i)
        histogram = layer.spread.histogram
        if histogram is None:
            continue
        size = (histogram.high - histogram.low) / len(histogram.counts)
        edges = [histogram.low + size * k for k in range(len(histogram.counts) + 1)]
        most = max(histogram.counts) or 1
        tops = [base + OVERLAP * n / most for n in histogram.counts]
        axes.stairs(tops, edges, baseline=base, fill=True, color=colour, alpha=0.45, lw=0, zorder=i + 0.1)
        axes.stairs(tops, edges, baseline=base, color=colour, lw=0.9, zorder=i + 0.2)
    size = 8.5 if len(layers) <= MANY else 7
    axes.set_yticks([-i for i in range(len(layers))], [layer.name for layer in layers])
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-len(layers) + 0.6, 1.4)
    ends = axes.secondary_yaxis("right")
    ends.set_yticks([-i for i in range(len(layers))], [layer.said for layer in layers])
    for axis in (axes, ends):
        axis.patch.set_visible(False)
        axis.tick_params(axis="y", length=0, labelsize=size, colors=look.ink)
    ends.spines["right"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda x, _: _tick(x))


def _updates(axes: Any, look: Look, found: WatchedRun, now: Vitals) -> None:
    """log10 of update:data over the steps, a line for each matrix."""
    import matplotlib

    lines: list[tuple[str, list[int], list[float]]] = []
    for i, p in enumerate(now.parameters):
        if len(p.shape) < 2:
            continue
        points = [(one.step, one.parameters[i].update_to_data) for one in found.readings]
        known = [(at, value) for at, value in points if value is not None]
        if known:
            lines.append((p.name.removesuffix(".weight"), [at for at, _ in known], [value for _, value in known]))
    colours = matplotlib.colormaps[look.scale]
    mark = "o" if len(found.readings) < 12 else ""
    for i, (name, steps, values) in enumerate(lines):
        colour = colours(0.12 + 0.76 * i / max(1, len(lines) - 1))
        label = name if len(lines) <= NAMED else None
        axes.plot(steps, values, color=colour, lw=1.7, ls=DASHES[i % len(DASHES)], marker=mark, ms=3.5, label=label)
    axes.axhline(-3, color=look.red, lw=1.4, ls=(0, (4, 3)), label="-3, the guide")
    if len(lines) > NAMED:
        axes.plot([], [], color=colours(0.12), lw=2.5, label=f"first: {lines[0][0]}")
        axes.plot([], [], color=colours(0.88), lw=2.5, label=f"last: {lines[-1][0]}")
    shown = [value for _, _, values in lines for value in values]
    axes.set_ylim(min([*shown, -4.0]) - 0.2, max([*shown, -2.5]) + 0.4)
    axes.axvline(now.step, color=look.faint, lw=0.8, ls=(0, (1, 2)))


def _losses(axes: Any, look: Look, found: WatchedRun) -> None:
    """The training loss, of the batch of each step told, and what knowing nothing costs."""
    points = found.losses or [(one.step, one.loss) for one in found.readings]
    mark = "o" if len(points) < 12 else ""
    axes.plot([at for at, _ in points], [loss for _, loss in points], color=look.blue, lw=1.8, marker=mark, ms=3.5,
              label="of a batch")  # fmt: skip
    unsure = found.readings[0].unsure
    axes.axhline(unsure, color=look.red, lw=1.4, ls=(0, (4, 3)), label=f"ln V = {unsure:.3f}")
    first = found.readings[0]
    if first.step == 1:
        axes.plot([1], [first.loss], "o", color=look.orange, ms=5.5, label=f"at first {first.loss:.3f}")
    losses = [loss for _, loss in points if math.isfinite(loss)]
    axes.margins(y=0.12)
    if losses and max(losses) > 3 * unsure:  # an over-confident start would flatten all the rest
        axes.set_yscale("log")


def _dress(axes: Any, look: Look, title: str, words: str, inches: float, *, x: str = "", grid: Any = "both") -> None:
    from moreish.learning.normal import FIGURES

    dress(axes, look, title, grid=grid)
    if grid == "x":
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", labelsize=8.5 if len(axes.get_yticks()) <= MANY else 7)
    said = fill(FIGURES[words], max(24, round((inches - 0.2) * CHARACTERS_AN_INCH)))
    axes.set_xlabel(f"{x}\n{said}" if x else said, color=look.ink, fontsize=8.5, loc="left")


def _tick(x: float) -> str:
    if abs(x) >= 0.0099 or not x:
        return f"{x:g}"
    digits, power = f"{x:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if 0.01 <= abs(value) < 100 or not value else _tick(float(f"{value:.1g}"))

"""The figure of `moreish init`: what goes through each layer by depth, and how its values are spread."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.initialization.flow import Flow, Initialization, Layer
    from moreish.explaining.initialization.histograms import Histogram

SIDE_BY_SIDE = 7.0
"""Inches of paper from which panels stand side by side."""
PANELS = 4
MOST_CURVES = 6
"""Layers whose spread is drawn; of a deeper network they are evenly chosen."""
MOST_TICKS = 12
STYLES = ("-", (0, (6, 2)), (0, (3, 1.5)), (0, (1, 1.2)), (0, (7, 2, 1.5, 2)), (0, (4, 1.5, 1, 1.5, 1, 1.5)))
SEEN = 0.01
"""A share that is nowhere above this is not drawn."""


def init_figure(found: Initialization, width: float = 10.0, height: float = 11.6, look: Look = LIGHT) -> Figure:
    """For each network four panels: two networks side by side, on a narrow paper one after the other.

    Args:
        width, height: in inches; the height is that of four panels one below the other.
    """
    from moreish.explaining.initialization.words import heading

    count, wide = len(found.networks), width >= SIDE_BY_SIDE
    columns = 2 if wide else 1
    rows = PANELS * count // columns
    figure = new_figure(look, width, height * rows / PANELS)
    axes = figure.subplots(rows, columns, squeeze=False)
    # Two networks have a column each; of one alone the panels are read line by line.
    across = wide and count == 2
    room = round(width * CHARACTERS_AN_INCH / columns)
    for i, flow in enumerate(found.networks):
        panels = axes[:, i] if across else axes.flatten()[i * PANELS : (i + 1) * PANELS]
        _by_depth(panels[0], look, flow, room)
        for panel, what in zip(panels[1:], ("activations", "gradients", "weight_gradients")):
            _spreads(panel, look, flow, what, *_words(found, what, room))
    if across:
        for row in axes:
            _alike(row)
    figure.suptitle(
        fill(heading(found), round(width * CHARACTERS_AN_INCH * 0.8)), color=look.ink, fontsize=12.5, weight="bold",
        x=0.01, ha="left",
    )  # fmt: skip
    return figure


def _words(found: Initialization, what: str, room: int) -> tuple[str, str]:
    """A panel's title; and below it what its axis is, and what is normal."""
    powers = "size, by powers of ten"
    bounded = found.nonlinearity in ("tanh", "sigmoid")
    title, x, normal = {
        "activations": (
            "What the layers give",
            f"after {found.nonlinearity}" if bounded else powers,
            "Normal: alike in all layers" + (", and not heaped at the ends." if bounded else "."),
        ),
        "gradients": (
            "The loss's gradient there",
            powers,
            "Normal: alike in all layers. Lower layers to the left: it vanishes; to the right: it explodes.",
        ),
        "weight_gradients": (
            "The gradient of the weights",
            powers,
            "Normal: peaks within a power of ten of one another.",
        ),
    }[what]
    return title, f"{x}\n{fill(normal, round(room * 1.05))}"


def _by_depth(axes: Any, look: Look, flow: Flow, room: int) -> None:
    """Deviations of activations and gradients, hidden layers only, on one scale of powers of ten."""
    from moreish.explaining.initialization.words import network_named, verdict_on

    at = [layer.layer for layer in flow.hidden]
    top = flow.hidden[-1].gradient_deviation
    flat = [layer.flat or 0 for layer in flow.hidden]
    zeros = flow.hidden[0].then == "relu"
    lines = (
        ("activations", look.blue, "-", "o", [layer.deviation for layer in flow.hidden]),
        ("gradients", look.red, (0, (5, 3)), "s", [layer.gradient_deviation / (top or 1) for layer in flow.hidden]),
        ("zeros" if zeros else "saturated", look.orange, (0, (1, 1.6)), "^", flat if max(flat) > SEEN else []),
    )
    axes.set_yscale("log")
    for label, colour, style, mark, values in lines:
        there = [(x, y) for x, y in zip(at, values) if y > 0]
        if there:
            size = 3.5 if len(at) > 15 else 6
            axes.plot(*zip(*there), ls=style, marker=mark, color=colour, lw=1.8, ms=size, label=label)
    dress(axes, look, network_named(flow), y="deviation, or share", grid="y")
    _legend_above(axes, look)
    verdict = fill(verdict_on(flow).sentence, round(room * 1.05))
    axes.set_xlabel(f"layer; gradients against the last one's\n{verdict}", color=look.ink, fontsize=9, loc="left")
    axes.set_xlim(at[0] - 0.5, at[-1] + 0.5)
    if len(at) <= MOST_TICKS:
        axes.set_xticks(at)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 7e-3), max(high, 3))


def _spreads(axes: Any, look: Look, flow: Flow, what: str, title: str, x: str) -> None:
    """A curve for each layer, or for some of many; from the first layer's colour to the last one's, and by dashes."""
    import matplotlib
    from matplotlib.ticker import MaxNLocator

    chosen = _chosen(flow.hidden)
    colours = matplotlib.colormaps[look.scale]
    for i, layer in enumerate(chosen):
        spread: Histogram = getattr(layer, what)
        step = (spread.high - spread.low) / len(spread.shares)
        at = [spread.low + (k + 0.5) * step for k in range(len(spread.shares))]
        colour = colours(0.15 + 0.8 * i / max(1, len(chosen) - 1))
        label = f"{'' if i else 'layer '}{layer.layer}"
        axes.plot(at, [share / step for share in spread.shares], color=colour, lw=1.6, ls=STYLES[i], label=label)
    dress(axes, look, title, y="density", grid="x")
    _legend_above(axes, look)
    axes.set_xlabel(x, color=look.ink, fontsize=9, loc="left")
    axes.set_ylim(bottom=0)
    if chosen[0].activations.by_powers or what != "activations":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        axes.xaxis.set_major_formatter(lambda power, _: f"$10^{{{power:.0f}}}$")


def _legend_above(axes: Any, look: Look) -> None:
    """The legend in a line between title and panel, where no curve is."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    axes.legend(
        handles, labels, ncols=len(handles), loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1,
        fontsize=8.5, frameon=False, labelcolor=look.ink, columnspacing=1.2, handlelength=2.4, handletextpad=0.5,
        borderpad=0.2,
    )  # fmt: skip
    axes.set_title(axes.get_title(loc="left"), loc="left", color=look.ink, fontsize=10.5, weight="bold", pad=21)


def _chosen(hidden: list[Layer]) -> list[Layer]:
    if len(hidden) <= MOST_CURVES:
        return hidden
    return [hidden[round(i * (len(hidden) - 1) / (MOST_CURVES - 1))] for i in range(MOST_CURVES)]


def _alike(row: Any) -> None:
    """One scale for the panels of a row, so that they can be compared."""
    for get, set_ in (("get_xlim", "set_xlim"), ("get_ylim", "set_ylim")):
        ends = [getattr(axes, get)() for axes in row]
        for axes in row:
            getattr(axes, set_)(min(low for low, _ in ends), max(high for _, high in ends))

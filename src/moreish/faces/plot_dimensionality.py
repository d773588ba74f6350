"""The figure of `moreish explain dimensionality`: contexts, losses, distances, neighbours and work, by length."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.dimensionality.dimensionality import Dimensionality

THREE, TWO = 10.0, 6.5
"""Inches of paper from which panels stand three, or two, in a row."""
DASHED, DOTTED = (0, (5, 3)), (0, (1, 1.6))


def dimensionality_figure(
    found: Dimensionality, width: float = 13.0, height: float = 4.0, look: Look = LIGHT
) -> Figure:
    """Six panels; those on dev are left out where the list has none.

    Args:
        width, height: in inches; the height is that of a row of panels.
    """
    drawn = [_contexts, _rare, _losses, _distances, _neighbours, _work]
    if found.networks[-1].neighbours is None:
        drawn.remove(_neighbours)
    columns = 3 if width >= THREE else 2 if width >= TWO else 1
    rows = -(-len(drawn) // columns)
    figure = new_figure(look, width, height * rows * (1 if columns > 1 else 0.85))
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    room = round(width * CHARACTERS_AN_INCH * 0.75 / columns)
    for axes, draw in zip(panels, drawn):
        title, x, y = draw(axes, look, found)
        dress(axes, look, fill(title, room), x, y)
        if draw is _losses:  # five curves, which leave no corner free: room is made above them
            bottom, top = axes.get_ylim()
            axes.set_ylim(bottom, top + 0.5 * (top - bottom))
            axes.get_legend().set_loc("upper left")
        if draw is not _distances:
            lengths = [each.length for each in found.contexts]
            axes.set_xticks(lengths, [str(length) for length in lengths])
    for axes in panels[len(drawn) :]:
        axes.set_axis_off()
    from moreish.explaining.dimensionality.words import headline

    said = fill(headline(found), round(width * CHARACTERS_AN_INCH * 1.05))
    figure.supxlabel(said, color=look.ink, fontsize=9, x=0.01, ha="left")
    return figure


def _contexts(axes: Any, look: Look, found: Dimensionality) -> tuple[str, str, str]:
    """Possible and seen, by powers of ten."""
    at = [each.length for each in found.contexts]
    possible, seen = [float(each.possible) for each in found.contexts], [each.seen for each in found.contexts]
    axes.set_yscale("log")
    axes.fill_between(at, seen, possible, color=look.red, alpha=0.08, lw=0)
    axes.plot(at, possible, ls=DASHED, marker="s", ms=4, color=look.red, lw=1.8, label="possible")
    axes.plot(at, seen, marker="o", ms=4, color=look.blue, lw=1.8, label="seen in train")
    return "Contexts possible, and seen", "symbols of context", "different contexts"


def _rare(axes: Any, look: Look, found: Dimensionality) -> tuple[str, str, str]:
    """How many were seen once, and how often dev meets a new one."""
    at = [each.length for each in found.contexts]
    once = [100 * each.once for each in found.contexts]
    axes.plot(at, once, ls=DASHED, marker="s", ms=4, color=look.orange, lw=1.8, label="of contexts seen, once only")
    unseen = [100 * each.dev_unseen for each in found.contexts if each.dev_unseen is not None]
    if unseen:
        axes.bar(at, unseen, color=look.blue, width=0.55, label="of dev's positions, new context")
    axes.set_ylim(0, 100)
    return "How rare they are", "symbols of context", "per cent"


def _losses(axes: Any, look: Look, found: Dimensionality) -> tuple[str, str, str]:
    """Train dashed, dev in full: the gap is overfitting."""
    at = [each.length for each in found.contexts]
    nets = found.networks
    axes.plot(at, [each.train for each in found.contexts], ls=DASHED, color=look.red, lw=1.6, label="counts, train")
    axes.plot(
        [net.length for net in nets], [net.train for net in nets], ls=DASHED, color=look.blue, lw=1.6,
        label="network, train",
    )  # fmt: skip
    if found.contexts[0].dev is not None:
        axes.plot(
            at, [each.dev for each in found.contexts], marker="s", ms=4, color=look.red, lw=1.8, label="counts, dev"
        )
        axes.plot(
            at, [each.backoff_dev for each in found.contexts], ls=DOTTED, marker="^", ms=4, color=look.green, lw=1.8,
            label="back-off, dev",
        )  # fmt: skip
        axes.plot(
            [net.length for net in nets], [net.dev for net in nets], marker="o", ms=4, color=look.blue, lw=1.8,
            label="network, dev",
        )  # fmt: skip
    return "Overfitting, by context length", "symbols of context", "nats per symbol"


def _distances(axes: Any, look: Look, found: Dimensionality) -> tuple[str, str, str]:
    """Contrast by dimensions: lines for random points, marks for learnt contexts."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for kind, colour, style in (("uniform", look.orange, DASHED), ("normal", look.violet, DOTTED)):
        told = [each.found for each in found.random if each.kind == kind and each.found.contrast is not None]
        axes.plot(
            [each.dimensions for each in told], [each.contrast for each in told], ls=style, color=colour, lw=1.8,
            label=f"random, {kind}",
        )  # fmt: skip
    told = [(net.length, net.learnt.embeddings) for net in found.networks if net.learnt is not None]
    told = [(length, each) for length, each in told if each.contrast is not None]
    if told:
        axes.plot(
            [each.dimensions for _, each in told], [each.contrast for _, each in told], "o", ms=6, color=look.blue,
            label="learnt contexts, by length",
        )  # fmt: skip
        for length, each in told:
            axes.annotate(
                str(length), (each.dimensions, each.contrast), xytext=(0, 6), textcoords="offset points", ha="center",
                fontsize=8.5, color=look.ink,
            )  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return "How much farther the farthest point is", "dimensions", "(farthest - nearest) / nearest"


def _neighbours(axes: Any, look: Look, found: Dimensionality) -> tuple[str, str, str]:
    """Losses on the same queries of neighbours, counts and the network."""
    told = [(net.length, net.neighbours) for net in found.networks if net.neighbours is not None]
    at = [length for length, _ in told]
    lines = (
        ("counting equal windows", look.red, DASHED, "s", [near.counted for _, near in told]),
        (f"{told[0][1].nearest} nearest by embedding", look.orange, DOTTED, "^", [near.knn for _, near in told]),
        ("the network", look.blue, "-", "o", [near.network for _, near in told]),
    )
    for label, colour, style, mark, losses in lines:
        axes.plot(at, losses, ls=style, marker=mark, ms=5, color=colour, lw=1.8, label=label)
    return "Nearest neighbours as predictors", "symbols of context", "nats per symbol on dev"


def _work(axes: Any, look: Look, found: Dimensionality) -> tuple[str, str, str]:
    """By powers of ten."""
    at = [net.length for net in found.networks]
    axes.set_yscale("log")
    lines = (
        ("cells of a table", look.red, DASHED, "s", [float(net.work.table_cells) for net in found.networks]),
        ("multiply-adds, neighbours", look.orange, DOTTED, "^", [net.work.knn_multiply_adds for net in found.networks]),
        ("weights of the network", look.blue, "-", "o", [net.work.weights for net in found.networks]),
    )
    for label, colour, style, mark, values in lines:
        axes.plot(at, values, ls=style, marker=mark, ms=4, color=colour, lw=1.8, label=label)
    return "What a longer context costs", "symbols of context", "how many"

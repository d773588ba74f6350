"""The figure of `moreish explain batchnorm`: batch-mates, train against dev, and what two faults cost."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.batchnorm.chapter import BatchNormFound
    from moreish.explaining.seeds import OverSeeds

SIDE_BY_SIDE = 9.0
"""Inches of paper from which the three stand in a row."""
DASHED, DOTTED = (0, (5, 3)), (0, (1, 1.6))
STYLES = {
    "without": ("no BatchNorm", "red", DASHED, "s"),
    "with": ("BatchNorm", "blue", "-", "o"),
    "calmer": ("BatchNorm, calmer", "violet", DOTTED, "^"),
}


def batchnorm_figure(found: BatchNormFound, width: float = 12.0, height: float = 4.8, look: Look = LIGHT) -> Figure:
    """Three panels; a narrow paper has them one above the other.

    Args:
        width, height: in inches; the height is that of a row of panels.
    """
    row = width >= SIDE_BY_SIDE
    figure = new_figure(look, width, height if row else 2.7 * height)
    axes = figure.subplots(1, 3) if row else figure.subplots(3, 1)
    room = round(width * CHARACTERS_AN_INCH * (0.22 if row else 0.56))
    _mates(axes[0], look, found)
    dress(axes[0], look, fill("While learning, other lines move a line's loss", room), "lines in the batch", grid="y")
    _curves(axes[1], look, found, room)
    dress(
        axes[1],
        look,
        fill("Dev at each train loss: lower is better", room),
        "nats per symbol, train",
        "nats per symbol, dev",
    )
    _costs(axes[2], look, found, room)
    dress(
        axes[2],
        look,
        fill("What a fault costs, with its 95 % interval", room),
        "nats; right of 0 it costs",
        grid="x",
    )
    from moreish.explaining.batchnorm.words import concluded

    said = concluded(found)
    figure.supxlabel(
        fill(said[2], round(width * CHARACTERS_AN_INCH * 1.15)), color=look.ink, fontsize=9, x=0.01, ha="left"
    )
    return figure


def _mates(axes: Any, look: Look, found: BatchNormFound) -> None:
    """The deviation of a line's loss by batch size, and none in evaluation."""
    at = range(len(found.mates))
    nats = [each.nats for each in found.mates]
    axes.axhline(0, color=look.faint, lw=0.8)
    axes.plot(at, nats, "-o", color=look.blue, lw=1.8, label="learning")
    axes.plot(at, [each.evaluation for each in found.mates], ls=DASHED, marker="s", color=look.green, lw=1.8,
              label="evaluation")  # fmt: skip
    for x, each in zip(at, nats):
        axes.annotate(f"{each:.3f}", (x, each), xytext=(6, 4), textcoords="offset points", ha="left", fontsize=8.5,
                      color=look.ink)  # fmt: skip
    axes.set_xticks(list(at), [str(each.batch) for each in found.mates])
    axes.set_ylabel("deviation, nats per symbol", color=look.ink, fontsize=9)
    axes.margins(x=0.15, y=0.15)


def _curves(axes: Any, look: Look, found: BatchNormFound, room: int) -> None:
    """Each model's way through (train, dev), from right to left as it learns."""
    told = found.regularizes
    if told is None:
        axes.text(0.5, 0.5, fill(found.not_measured, room), ha="center", va="center", fontsize=9, color=look.ink,
                  transform=axes.transAxes)  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        return
    for curve in told.curves:
        label, colour, style, mark = STYLES[curve.model]
        # `calmer` lies nearly on `with`: both are seen.
        over = {"lw": 3.4, "ms": 8, "mfc": look.paper, "mew": 1.8} if curve.model == "with" else {"lw": 1.8, "ms": 5}
        axes.plot(curve.train, curve.dev, ls=style, marker=mark, color=getattr(look, colour), label=label, **over)
    axes.invert_xaxis()


def _costs(axes: Any, look: Look, found: BatchNormFound, room: int) -> None:
    """A bar of its interval for each fault, its mean in the middle; to the right of nothing it costs."""
    pairs = {(pair.learnt_padded, pair.evaluated_padded): pair.cost for pair in found.padding.pairs}
    faults: list[tuple[str, OverSeeds | None]] = [
        ("padding: learnt with, evaluated without", pairs[True, False]),
        ("padding: learnt without, evaluated with", pairs[False, True]),
        ("padding in both", pairs[True, True]),
        ("the lecture's axes", found.lecture.cost),
    ]
    axes.axvline(0, color=look.faint, lw=1)
    for i, (_, cost) in enumerate(faults):
        assert cost is not None
        low, high = (cost.value, cost.value) if cost.low is None or cost.high is None else (cost.low, cost.high)
        colour = look.red if cost.above else look.green if cost.below else look.faint
        axes.plot([low, high], [i, i], color=colour, lw=5, alpha=0.45, solid_capstyle="butt")
        axes.plot([cost.value], [i], "o", color=colour, ms=7)
        axes.annotate(f"{cost.value:+.3f}", (cost.value, i), xytext=(0, 8), textcoords="offset points", ha="center",
                      fontsize=8.5, color=look.ink)  # fmt: skip
    axes.set_yticks(range(len(faults)), [fill(name, max(10, round(room * 0.5))) for name, _ in faults])
    axes.set_ylim(len(faults) - 0.5, -0.7)
    axes.margins(x=0.12)

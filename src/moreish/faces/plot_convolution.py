"""The figure of `moreish explain convolution`: the receptive field, rows worked out, and operators called."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.draw import sign
from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.convolution.walk import Convolution

SIDE_BY_SIDE = 8.5
"""Inches of paper from which the three stand in a row."""
NAMES = {"loop": "loop in\nPython", "windows": "windows\nat once", "convolution": "one con-\nvolution",
         "queues": "symbol by\nsymbol"}  # fmt: skip


def convolution_figure(found: Convolution, width: float = 13.0, height: float = 4.6, look: Look = LIGHT) -> Figure:
    """Three panels: what the last output sees; rows a symbol by each way of reading; operators called, with times.

    Args:
        width, height: in inches; the height is that of a row of panels, which a narrow paper has three of.
    """
    row = width >= SIDE_BY_SIDE
    figure = new_figure(look, width, height if row else 2.7 * height)
    axes = figure.subplots(1, 3, width_ratios=(1.7, 1, 1.2)) if row else figure.subplots(3, 1)
    room = round(width * CHARACTERS_AN_INCH * (0.2 if row else 0.7))
    _field(axes[0], look, found, fill("What the last output sees", round(1.7 * room) if row else room))
    _rows(axes[1], look, found, fill("Rows worked out for a symbol", room))
    _calls(axes[2], look, found, fill("Operators called, and time", room))
    from moreish.explaining.convolution.words import concluded

    said = fill(" ".join(concluded(found)[:2]), round(width * CHARACTERS_AN_INCH * 1.15))
    figure.supxlabel(said, color=look.ink, fontsize=9, x=0.01, ha="left")
    return figure


def _field(axes: Any, look: Look, found: Convolution, title: str) -> None:
    """A row of places for each level; boldly what the last output rests on, faintly all else that is worked out."""
    reach = found.reach
    count = len(reach.levels)
    for i, level in enumerate(reach.levels):
        top = count - i
        for at in range(reach.places):
            bold = at in level.reads
            ink = (
                {"color": look.blue, "lw": 2.0, "zorder": 2} if bold else {"color": look.faint, "lw": 0.6, "alpha": 0.5}
            )
            for below in (at, at - level.dilation):
                if below >= 0:
                    axes.plot([at, below], [top, top - 1], **ink)
    reads = [*(level.reads for level in reach.levels), reach.expected]
    for i, seen in enumerate(reads):
        height = count - i
        rest = [at for at in range(reach.places) if at not in seen]
        axes.plot(rest, [height] * len(rest), "o", color=look.paper, mec=look.faint, ms=7, zorder=3)
        axes.plot(seen, [height] * len(seen), "o", color=look.blue, mec=look.paper, ms=10, zorder=4)
    names = [f"dilation {level.dilation}" for level in reach.levels]
    dress(axes, look, title, "symbols, as they are read", grid="none")
    axes.set_xticks(range(reach.places), [sign(symbol) for symbol in reach.symbols])
    axes.set_yticks(range(count + 1), ["embeddings", *reversed(names)])
    axes.set_ylim(-0.35, count + 0.35)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)


def _rows(axes: Any, look: Look, found: Convolution, title: str) -> None:
    each = found.evaluations
    colours = [look.red, look.blue, look.green]
    axes.bar(range(len(each)), [e.each for e in each], color=colours, width=0.6)
    for at, e in enumerate(each):
        axes.annotate(
            f"{e.each:.2f}", (at, e.each), xytext=(0, 3), textcoords="offset points", ha="center", color=look.ink,
            fontsize=9,
        )  # fmt: skip
    dress(axes, look, title, y="levels' rows and logits", grid="y")
    axes.set_xticks(range(len(each)), [NAMES[e.way] for e in each])
    axes.margins(y=0.12)


def _calls(axes: Any, look: Look, found: Convolution, title: str) -> None:
    """Bars of calls on a scale of powers of ten, a group for each text; above, times the convolution's time."""
    texts = list(dict.fromkeys((each.lines, each.symbols) for each in found.calls))
    ratios = {(each.way, each.lines, each.symbols): each.ratio for each in found.timings.times}
    calls = {(each.way, each.lines, each.symbols): each.calls for each in found.calls}
    ways = list(dict.fromkeys(each.way for each in found.calls))
    axes.set_yscale("log")
    for i, (way, colour) in enumerate(zip(ways, (look.orange, look.red, look.blue))):
        at = [group + (i - 1) * 0.27 for group in range(len(texts))]
        heights = [calls[way, *text] for text in texts]
        axes.bar(at, heights, width=0.25, color=colour, label=NAMES[way].replace("-\n", "").replace("\n", " "))
        for x, height, text in zip(at, heights, texts):
            axes.annotate(
                f"×{ratios[way, *text]:.2g}", (x, height), xytext=(0, 3), textcoords="offset points", ha="center",
                color=look.ink, fontsize=8,
            )  # fmt: skip
    axes.set_ylim(1, max(calls.values()) * 30)  # room for the legend
    dress(axes, look, title, y="calls; above: times the convolution's time", grid="y")
    axes.set_xticks(range(len(texts)), [f"{lines} × {symbols}\nsymbols" for lines, symbols in texts])
    axes.get_legend().set_loc("upper left")

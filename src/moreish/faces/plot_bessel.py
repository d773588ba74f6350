"""The figure of `moreish explain bessel`: bias of estimates, activations in evaluation, what storing n - 1 gains."""

from __future__ import annotations

import logging
from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.plot import BLUE, CHARACTERS_AN_INCH, FAINT, GREEN, INK, PAPER, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.bessel.correction import Bessel

SIDE_BY_SIDE = 7.0
"""Inches of paper from which the three stand in a row."""
LINEAR = 1e-3
"""Nats within which the scale of gains is linear; beyond it goes by powers of ten."""
DASHED, DOTTED = (0, (5, 3)), (0, (1, 1.6))


def bessel_figure(found: Bessel, width: float = 11.0, height: float = 4.4) -> Figure:
    """Three panels over the batch sizes.

    Args:
        width, height: in inches; the height is that of a row of panels, which a narrow paper has three of.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its caches on standard error
    from matplotlib.figure import Figure

    row = width >= SIDE_BY_SIDE
    figure = Figure(figsize=(width, height if row else 2.6 * height), facecolor=PAPER, layout="constrained")
    axes = figure.subplots(1, 3) if row else figure.subplots(3, 1)
    room = round(width * CHARACTERS_AN_INCH * (0.22 if row else 0.7))
    _estimates(axes[0], found)
    _sizes(axes[1], found)
    _gains(axes[2], found)
    titles = (
        "Off the true variance, on average",
        "Activations in evaluation, against those of learning",
        "What storing n - 1, not n, gains",
    )
    for each, title in zip(axes, titles):
        _dress(each, found, fill(title, room))
    from moreish.explaining.bessel.words import concluded

    said = fill(concluded(found)[0], round(width * CHARACTERS_AN_INCH * 1.15))
    figure.supxlabel(said, color=INK, fontsize=9, x=0.01, ha="left")
    return figure


def _estimates(axes: Any, found: Bessel) -> None:
    """Bias by batch size, in per cent."""
    lines = (
        ("divided by n", BLUE, "-", "o", [size.bias_n for size in found.batches]),
        ("divided by n - 1", GREEN, DASHED, "s", [size.bias_n_minus_1 for size in found.batches]),
        ("deviations, n - 1", RED, DOTTED, "^", [size.bias_deviation for size in found.batches]),
    )
    axes.axhline(0, color=FAINT, lw=0.8)
    for label, colour, style, mark, shares in lines:
        axes.plot(
            _at(found), [100 * share for share in shares], ls=style, marker=mark, color=colour, lw=1.8, label=label
        )
    axes.set_ylabel("per cent", color=INK, fontsize=9)


def _sizes(axes: Any, found: Bessel) -> None:
    """How large activations are for each pair of divisors."""
    from moreish.explaining.bessel.divisors import N

    axes.axhline(1, color=FAINT, lw=0.8)
    for i, pair in enumerate(found.batches[0].loss):
        colour = BLUE if pair.batch == N else RED
        style, mark = ("-", "o") if pair.stored == N else (DASHED, "s")
        label = f"batch {pair.batch}, stored {pair.stored}"
        sizes = [size.loss[i].activation for size in found.batches]
        # n and n, and n - 1 and n - 1, give the same sizes: the one lies visibly on the other.
        over = {"lw": 1.8, "zorder": 3} if pair.batch == N else {"lw": 3.4, "ms": 9, "mfc": PAPER, "mew": 1.8}
        axes.plot(_at(found), sizes, ls=style, marker=mark, color=colour, label=label, **over)
    axes.set_ylabel("times", color=INK, fontsize=9)


def _gains(axes: Any, found: Bessel) -> None:
    """Bars, up where n - 1 is the better; each with its number."""
    gains = [size.stored_gain.nats for size in found.batches]
    axes.set_yscale("symlog", linthresh=LINEAR)
    axes.axhline(0, color=FAINT, lw=0.8)
    axes.bar(_at(found), gains, color=[GREEN if gain > 0 else RED for gain in gains], width=0.55)
    for at, gain in zip(_at(found), gains):
        axes.annotate(
            f"{gain:+.2g}", (at, gain), xytext=(0, 4 if gain > 0 else -4), textcoords="offset points",
            ha="center", va="bottom" if gain > 0 else "top", fontsize=8.5, color=INK,
        )  # fmt: skip
    axes.yaxis.set_major_formatter(lambda nats, _: f"{nats:g}")
    axes.set_ylabel("nats per symbol", color=INK, fontsize=9)
    axes.margins(y=0.18)


def _at(found: Bessel) -> list[int]:
    """Where a batch size stands: they grow by about a constant factor, so they stand evenly."""
    return list(range(len(found.batches)))


def _dress(axes: Any, found: Bessel, title: str) -> None:
    axes.set_facecolor(PAPER)
    axes.set_title(title, loc="left", color=INK, fontsize=10.5, weight="bold", pad=8)
    axes.set_xticks(_at(found), [str(size.batch) for size in found.batches])
    axes.set_xlim(-0.5, len(found.batches) - 0.5)
    axes.set_xlabel("batch", color=INK, fontsize=9)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(True, axis="y", which="major", color=FAINT, alpha=0.25, lw=0.7)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(fontsize=8.5, frameon=True, facecolor=PAPER, edgecolor="none", framealpha=0.9)
        for text in legend.get_texts():
            text.set_color(INK)

"""The figure of `moreish explain bessel`: bias of estimates, activations in evaluation, what storing n - 1 gains."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.bessel.correction import Bessel

SIDE_BY_SIDE = 7.0
"""Inches of paper from which the three stand in a row."""
LINEAR = 1e-3
"""Nats within which the scale of gains is linear; beyond it goes by powers of ten."""
DASHED, DOTTED = (0, (5, 3)), (0, (1, 1.6))


def bessel_figure(found: Bessel, width: float = 11.0, height: float = 4.4, look: Look = LIGHT) -> Figure:
    """Three panels over the batch sizes.

    Args:
        width, height: in inches; the height is that of a row of panels, which a narrow paper has three of.
    """
    row = width >= SIDE_BY_SIDE
    figure = new_figure(look, width, height if row else 2.6 * height)
    axes = figure.subplots(1, 3) if row else figure.subplots(3, 1)
    room = round(width * CHARACTERS_AN_INCH * (0.22 if row else 0.7))
    _estimates(axes[0], look, found)
    _sizes(axes[1], look, found)
    _gains(axes[2], look, found)
    titles = (
        "Off the true variance, on average",
        "Activations in evaluation, against those of learning",
        "What storing n - 1, not n, gains",
    )
    for each, title in zip(axes, titles):
        _dress(each, look, found, fill(title, room))
    from moreish.explaining.bessel.words import concluded

    said = fill(concluded(found)[0], round(width * CHARACTERS_AN_INCH * 1.15))
    figure.supxlabel(said, color=look.ink, fontsize=9, x=0.01, ha="left")
    return figure


def _estimates(axes: Any, look: Look, found: Bessel) -> None:
    """Bias by batch size, in per cent."""
    lines = (
        ("divided by n", look.blue, "-", "o", [size.bias_n for size in found.batches]),
        ("divided by n - 1", look.green, DASHED, "s", [size.bias_n_minus_1 for size in found.batches]),
        ("deviations, n - 1", look.red, DOTTED, "^", [size.bias_deviation for size in found.batches]),
    )
    axes.axhline(0, color=look.faint, lw=0.8)
    for label, colour, style, mark, shares in lines:
        axes.plot(
            _at(found), [100 * share for share in shares], ls=style, marker=mark, color=colour, lw=1.8, label=label
        )
    axes.set_ylabel("per cent", color=look.ink, fontsize=9)


def _sizes(axes: Any, look: Look, found: Bessel) -> None:
    """How large activations are for each pair of divisors."""
    from moreish.explaining.bessel.divisors import N

    axes.axhline(1, color=look.faint, lw=0.8)
    for i, pair in enumerate(found.batches[0].loss):
        colour = look.blue if pair.batch == N else look.red
        style, mark = ("-", "o") if pair.stored == N else (DASHED, "s")
        label = f"batch {pair.batch}, stored {pair.stored}"
        sizes = [size.loss[i].activation for size in found.batches]
        # n and n, and n - 1 and n - 1, give the same sizes: the one lies visibly on the other.
        over = {"lw": 1.8, "zorder": 3} if pair.batch == N else {"lw": 3.4, "ms": 9, "mfc": look.paper, "mew": 1.8}
        axes.plot(_at(found), sizes, ls=style, marker=mark, color=colour, label=label, **over)
    axes.set_ylabel("times", color=look.ink, fontsize=9)


def _gains(axes: Any, look: Look, found: Bessel) -> None:
    """Bars, up where n - 1 is the better; each with its number."""
    gains = [size.stored_gain.nats for size in found.batches]
    axes.set_yscale("symlog", linthresh=LINEAR)
    axes.axhline(0, color=look.faint, lw=0.8)
    axes.bar(_at(found), gains, color=[look.green if gain > 0 else look.red for gain in gains], width=0.55)
    for at, gain in zip(_at(found), gains):
        axes.annotate(
            f"{gain:+.2g}", (at, gain), xytext=(0, 4 if gain > 0 else -4), textcoords="offset points",
            ha="center", va="bottom" if gain > 0 else "top", fontsize=8.5, color=look.ink,
        )  # fmt: skip
    axes.yaxis.set_major_formatter(lambda nats, _: f"{nats:g}")
    axes.set_ylabel("nats per symbol", color=look.ink, fontsize=9)
    axes.margins(y=0.18)


def _at(found: Bessel) -> list[int]:
    """Where a batch size stands: they grow by about a constant factor, so they stand evenly."""
    return list(range(len(found.batches)))


def _dress(axes: Any, look: Look, found: Bessel, title: str) -> None:
    dress(axes, look, title, "batch", grid="y")
    axes.set_xticks(_at(found), [str(size.batch) for size in found.batches])
    axes.set_xlim(-0.5, len(found.batches) - 0.5)

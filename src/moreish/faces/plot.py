"""Figures for files, by matplotlib, which is the extra `plots` and is loaded only when a figure is drawn.

Paper and ink are set, not left to the reader's theme: a dark page shows a light card, and no line is lost on either.
"""

from __future__ import annotations

import io
import logging
from importlib.util import find_spec
from pathlib import PurePath
from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.learning.finder import FoundRate

FORMATS = ("png", "svg", "pdf")
PAPER, INK, FAINT = "#ffffff", "#24292f", "#8c959f"
BLUE, GREEN, RED = "#0969da", "#1a7f37", "#cf222e"
"""Told apart without colour too: a curve, a solid line and a dashed one."""
DOTS_AN_INCH = 160
CHARACTERS_AN_INCH = 12.5
HEADROOM = 0.35
"""How much of the height between minimum and beginning is shown above the beginning."""


def check_plot(path: str) -> str:
    """The format that a figure's file asks for by its ending.

    Raises:
        UsageError: no such format, or matplotlib is not installed.
    """
    ending = PurePath(path).suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        raise UsageError(f"--plot {path!r:.80} ends in none of: {', '.join(FORMATS)}. Give a file such as lr.png.")
    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib, which is not installed. Run: pip install 'moreish[plots]'")
    return ending


def rendered(figure: Figure, ending: str) -> bytes:
    """A figure as the bytes of a file, the same for the same figure."""
    import matplotlib

    told: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "moreish", "svg.fonttype": "none"}):
        figure.savefig(out, format=ending, dpi=DOTS_AN_INCH, metadata=told.get(ending))
    return out.getvalue()


def rate_figure(found: FoundRate, width: float = 8.0, height: float = 4.8) -> Figure:
    """Loss against learning rate on a scale of powers of ten: what was measured, smoothed, and what was read off it.

    Args:
        width, height: in inches.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its caches on standard error
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=PAPER, layout="constrained")
    axes = figure.add_subplot(facecolor=PAPER)
    bottom, top = _heights(found)
    axes.set_xscale("log")
    axes.set_xlim(found.points[0].lr, found.points[-1].lr)
    axes.set_ylim(bottom, top)
    inside = [(p.lr, p.loss) for p in found.points if p.loss is not None and p.loss <= top]
    above = [p.lr for p in found.points if p.loss is not None and p.loss > top]
    of = "loss" if found.seeds == 1 else f"loss, mean of {found.seeds} seeds"
    axes.plot([x for x, _ in inside], [y for _, y in inside], "o", color=FAINT, ms=3, alpha=0.75, label=of)
    if above:
        axes.plot(above, [top] * len(above), "^", color=FAINT, ms=5, clip_on=False, label="higher than shown")
    curve = [(p.lr, p.smoothed) for p in found.points if p.smoothed is not None]
    axes.plot([x for x, _ in curve], [y for _, y in curve], color=BLUE, lw=2.2, label="smoothed")
    if found.low is not None and found.high is not None:
        label = f"worth trying: {found.low:g} to {found.high:g}"
        axes.axvspan(found.low, found.high, color=GREEN, alpha=0.13, lw=0, label=label)
    if found.suggestion is not None:
        axes.axvline(found.suggestion, color=GREEN, lw=2, label=f"suggestion: {found.suggestion:g}")
    if found.diverges_at is not None:
        axes.axvline(found.diverges_at, color=RED, lw=1.8, ls=(0, (4, 3)), label=f"explodes: {found.diverges_at:g}")
    _dress(axes, found, width)
    return figure


def _heights(found: FoundRate) -> tuple[float, float]:
    """From below the minimum to above where learning began; what explodes goes off the top."""
    losses = sorted(p.loss for p in found.points if p.loss is not None)
    if not losses:
        return 0.0, 1.0
    first = [p.loss for p in found.points[:3] if p.loss is not None]
    begun = max(first) if first else losses[-1]
    fall = max(begun - losses[0], 0.1 * abs(begun), 1e-3)
    return losses[0] - 0.08 * fall, begun + HEADROOM * fall


def _dress(axes: Any, found: FoundRate, width: float) -> None:
    """Words, ticks and a legend, out of the way of the curve."""
    room = max(24, round(width * CHARACTERS_AN_INCH))
    said = fill(found.reason[0].upper() + found.reason[1:] + ".", room)
    heading = f"{found.model} by {found.optimizer}: what each learning rate does to the loss"
    axes.set_title(f"{fill(heading, round(room * 0.65))}", loc="left", color=INK, fontsize=12, weight="bold", pad=8)
    axes.set_xlabel(f"learning rate, by powers of ten\n\n{said}", color=INK, fontsize=9, loc="left")
    axes.set_ylabel("nats per symbol", color=INK, fontsize=9)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(True, which="major", color=FAINT, alpha=0.25, lw=0.7)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
    legend = axes.legend(
        loc="lower left", fontsize=8.5, frameon=True, facecolor=PAPER, edgecolor="none", framealpha=0.9
    )
    for text in legend.get_texts():
        text.set_color(INK)

"""Figures for files, by matplotlib, which is the extra `plots` and is loaded only when a figure is drawn.

Paper and ink are set by a look, light or dark, and not left to the reader's theme: no line is lost on either page.
"""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PurePath
from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.learning.finder import FoundRate

FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True)
class Look:
    """The colours of a figure. What they tell apart is told apart without colour too, by dashes, marks or words."""

    paper: str
    ink: str
    faint: str
    blue: str
    green: str
    red: str
    orange: str
    violet: str
    scale: str
    """matplotlib's name of the colours for many curves in an order, early to late or low to high."""


LIGHT = Look("#ffffff", "#24292f", "#8c959f", "#0969da", "#1a7f37", "#cf222e", "#bc4c00", "#8250df", "viridis_r")
DARK = Look("#0d1117", "#e6edf3", "#7d8590", "#4493f8", "#3fb950", "#f85149", "#db6d28", "#a371f7", "viridis")
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
        raise UsageError(f"--plot {path!r:.80} ends in none of: {', '.join(FORMATS)}. Give a file such as figure.png.")
    check_matplotlib("--plot")
    return ending


def check_matplotlib(flag: str) -> None:
    """Refuse a flag that draws where nothing can be drawn.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise UsageError(f"{flag} needs matplotlib, which is not installed. Run: pip install 'moreish[plots]'")


def rendered(figure: Figure, ending: str) -> bytes:
    """A figure as the bytes of a file, the same for the same figure."""
    import matplotlib

    told: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "moreish", "svg.fonttype": "none"}), warnings.catch_warnings():
        # Letters that its own font lacks: in SVG the reader's fonts draw them.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(out, format=ending, dpi=DOTS_AN_INCH, metadata=told.get(ending))
    return out.getvalue()


def new_figure(look: Look, width: float, height: float) -> Figure:
    """An empty figure of so many inches, whose parts find room by themselves."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its caches on standard error
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor=look.paper, layout="constrained")


def dress(
    axes: Any, look: Look, title: str, x: str = "", y: str = "", *, grid: Any = "both", size: float = 10.5
) -> None:
    """A panel's words, ticks and frame, after it was drawn: title to the left, no box around it, a quiet legend.

    Args:
        grid: which lines are drawn faintly: both, x, y or none.
        size: of the title.
    """
    axes.set_facecolor(look.paper)
    axes.set_title(title, loc="left", color=look.ink, fontsize=size, weight="bold", pad=8)
    if x:
        axes.set_xlabel(x, color=look.ink, fontsize=9)
    if y:
        axes.set_ylabel(y, color=look.ink, fontsize=9)
    axes.tick_params(colors=look.ink, labelsize=9)
    if grid != "none":
        axes.grid(True, axis=grid, which="major", color=look.faint, alpha=0.25, lw=0.7)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(look.faint)
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(fontsize=8.5, frameon=True, facecolor=look.paper, edgecolor="none", framealpha=0.9)
        for text in legend.get_texts():
            text.set_color(look.ink)


def rate_figure(found: FoundRate, width: float = 8.0, height: float = 4.8, look: Look = LIGHT) -> Figure:
    """Loss against learning rate on a scale of powers of ten: what was measured, smoothed, and what was read off it.

    Args:
        width, height: in inches.
    """
    figure = new_figure(look, width, height)
    axes = figure.add_subplot()
    bottom, top = _heights(found)
    axes.set_xscale("log")
    axes.set_xlim(found.points[0].lr, found.points[-1].lr)
    axes.set_ylim(bottom, top)
    inside = [(p.lr, p.loss) for p in found.points if p.loss is not None and p.loss <= top]
    above = [p.lr for p in found.points if p.loss is not None and p.loss > top]
    of = "loss" if found.seeds == 1 else f"loss, mean of {found.seeds} seeds"
    axes.plot([x for x, _ in inside], [y for _, y in inside], "o", color=look.faint, ms=3, alpha=0.75, label=of)
    if above:
        axes.plot(above, [top] * len(above), "^", color=look.faint, ms=5, clip_on=False, label="higher than shown")
    curve = [(p.lr, p.smoothed) for p in found.points if p.smoothed is not None]
    axes.plot([x for x, _ in curve], [y for _, y in curve], color=look.blue, lw=2.2, label="smoothed")
    if found.low is not None and found.high is not None:
        label = f"worth trying: {found.low:g} to {found.high:g}"
        axes.axvspan(found.low, found.high, color=look.green, alpha=0.13, lw=0, label=label)
    if found.suggestion is not None:
        axes.axvline(found.suggestion, color=look.green, lw=2, label=f"suggestion: {found.suggestion:g}")
    if found.diverges_at is not None:
        axes.axvline(
            found.diverges_at, color=look.red, lw=1.8, ls=(0, (4, 3)), label=f"explodes: {found.diverges_at:g}"
        )
    _dress(axes, look, found, width)
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


def _dress(axes: Any, look: Look, found: FoundRate, width: float) -> None:
    """Words, ticks and a legend, out of the way of the curve."""
    room = max(24, round(width * CHARACTERS_AN_INCH))
    said = fill(found.reason[0].upper() + found.reason[1:] + ".", room)
    heading = f"{found.model} by {found.optimizer}: what each learning rate does to the loss"
    dress(axes, look, fill(heading, round(room * 0.65)), y="nats per symbol", size=12)
    axes.set_xlabel(f"learning rate, by powers of ten\n\n{said}", color=look.ink, fontsize=9, loc="left")
    axes.get_legend().set_loc("lower left")

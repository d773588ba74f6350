"""The figure of `moreish embeddings`: the symbols themselves, where the network puts them."""

from __future__ import annotations

from functools import cache
from textwrap import fill
from typing import TYPE_CHECKING, Any

from moreish.faces.draw_places import label, place_label
from moreish.faces.plot import CHARACTERS_AN_INCH, LIGHT, Look, dress, new_figure
from moreish.shapes import BOUNDARY_SIGN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from moreish.explaining.embedding.measures import Embeddings, Place

MOST_NAMED = 80
"""Symbols drawn by their names, the most frequent; the others are dots."""
LARGEST, SMALLEST = 17.0, 8.5
"""Points: the size of the most and of the least frequent symbol."""
CODE = 7.0
"""Points: the size of a name by code, which is long and says little, so that it covers less."""
LEAST_MARGIN, A_LETTER, AXES = 0.08, 0.75, 0.5
"""Of the axes: room around the places; of its size: the width of a bold letter; of the paper: the axes, at least."""
NAMED_IN_LEGEND = 8
LONGEST_IN_LEGEND = 24
"""Characters of symbols."""
BESIDE = 6.0
"""Inches of paper from which the legend stands beside the picture."""


def embeddings_figure(
    found: Embeddings, width: float = 7.0, height: float = 5.6, look: Look = LIGHT, any_font: bool = False,
    words: bool = True,
) -> Figure:  # fmt: skip
    """Every symbol at its place, larger the more frequent, coloured by its class in the list.

    Args:
        width, height: in inches; a narrow paper, which has the legend beneath, is made as high as that takes.
        any_font: whether the reader's fonts will draw the letters, as in SVG; else those that matplotlib's own font
            lacks are given by their code.
        words: whether the sentences stand beneath, or elsewhere.
    """
    from moreish.explaining.embedding.words import concluded

    beside = width >= BESIDE
    figure = new_figure(look, width, height if beside else max(height, width * (1.6 if words else 1.25)))
    axes = figure.add_subplot()
    room = round(width * CHARACTERS_AN_INCH)
    places = found.by_frequency
    named, dots = places[:MOST_NAMED], places[MOST_NAMED:]
    colours = (look.red, look.blue, look.green, look.violet, look.orange)
    axes.scatter([p.x for p in places], [p.y for p in places], s=0, color=look.paper)  # the axes reach all of them
    axes.scatter([p.x for p in dots], [p.y for p in dots], s=7, color=look.faint, alpha=0.5, lw=0)
    words_too = found.kind == "words"
    most = max((p.times or 1 for p in places), default=1)
    widest = 0.0
    for place in named:
        colour = look.ink if place.group is None else colours[place.group - 1]
        if place.what != "symbol" or place.times == 0:
            colour = look.faint
        name = _drawable(place_label(place), any_font)
        by_code = (name.startswith("\\") and len(name) > 1) or name != place_label(place)
        size = CODE if by_code else _size(place, most, words_too)
        axes.text(
            place.x, place.y, name, color=colour, fontsize=size, weight="normal" if by_code else "bold", ha="center",
            va="center", parse_math=False, clip_on=True,
        )  # fmt: skip
        widest = max(widest, A_LETTER * size * len(name) / 72)
    for group in sorted({p.group for p in named if p.group is not None}):
        axes.plot([], [], "s", ms=7, color=colours[group - 1], label=_class_name(found, group, any_font))
    axes.plot([], [], "s", ms=7, color=look.faint, label=f"{BOUNDARY_SIGN} a line's start and end")
    share = min(0.3, widest / 2 / (AXES * width))  # what half a label at the edge takes of the axes
    axes.margins(x=max(LEAST_MARGIN, share / (1 - 2 * share)), y=LEAST_MARGIN)
    axes.set_aspect("equal", adjustable="datalim")  # near is near, whichever way
    how = "exactly" if found.method == "exact" else "by principal components"
    dress(axes, look, fill(f"{found.model}: the {found.layer} of its symbols, {how}", round(room * 0.7)), size=12)
    _legend(axes, look, found, beside)
    _axes(axes, look, found)
    if words:
        said = fill(concluded(found), round(room * 1.15))
        figure.supxlabel(said, color=look.ink, fontsize=9, x=0.01, ha="left")
    return figure


def _size(place: Place, most: int, words_too: bool) -> float:
    """Points; less where symbols are as long as words are, which would cover one another."""
    if place.what == "blank":
        return SMALLEST
    share = (max(place.times or 0, 1) / max(most, 1)) ** 0.35
    size = SMALLEST + (LARGEST - SMALLEST) * share
    return size if not words_too else max(SMALLEST - 1.5, size * 0.62)


def _class_name(found: Embeddings, group: int, any_font: bool) -> str:
    """The class by its symbols, so that it is known without its colour."""
    symbols = (found.groups or [])[group - 1]
    names = [_drawable(label(symbol), any_font) for symbol in symbols[:NAMED_IN_LEGEND]]
    while len(names) > 1 and sum(map(len, names)) > LONGEST_IN_LEGEND:
        names.pop()
    return " ".join(names) + (" …" if len(symbols) > len(names) else "")


def _legend(axes: Any, look: Look, found: Embeddings, beside: bool) -> None:
    """Beside the picture, or beneath it where the paper is narrow."""
    where: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    if not beside:
        where = {"loc": "upper left", "bbox_to_anchor": (-0.05, -0.16), "ncols": 2, "columnspacing": 1.0}
    legend = axes.legend(
        fontsize=8.5, frameon=False, title="classes in the list" if found.groups else None, title_fontsize=8.5,
        alignment="left", handletextpad=0.2, **where,
    )  # fmt: skip
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_color(look.ink)
        text.set_parse_math(False)


def _axes(axes: Any, look: Look, found: Embeddings) -> None:
    names = ("first number", "second number") if found.method == "exact" else ("1st direction", "2nd direction")
    shares = [f" ({100 * share:.0f} % of the variance)" for share in found.shares or ()]
    shares += [""] * (2 - len(shares))
    axes.set_xlabel(names[0] + shares[0], color=look.ink, fontsize=9)
    if found.width == 1:
        axes.set_yticks([])
        axes.set_ylabel("(one number only)", color=look.ink, fontsize=9)
    else:
        axes.set_ylabel(names[1] + shares[1], color=look.ink, fontsize=9)


def _drawable(name: str, any_font: bool) -> str:
    """A name as it can be drawn: by code where matplotlib's font would draw a box."""
    if any_font or all(ord(c) in _glyphs() for c in name):
        return name
    codes = [f"U+{ord(c):04X}" for c in name if ord(c) not in _glyphs()]
    return codes[0] if len(codes) == 1 else f"{codes[0]}…"


@cache
def _glyphs() -> frozenset[int]:
    """The code points that matplotlib's own font can draw."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())

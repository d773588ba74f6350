"""Figures: what stands in them is what was found; matplotlib is loaded only when one is drawn."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from moreish.errors import UsageError
from moreish.faces.plot import DARK, FORMATS, LIGHT, check_plot, rate_figure, rendered
from moreish.learning.curve import read_curve
from moreish.learning.finder import FoundRate, Point

RATES = np.geomspace(1e-4, 10, 100)
LOSSES = 3.3 - 0.9 / (1 + (0.01 / RATES) ** 1.7) + RATES**2


def found_on(losses: np.ndarray = LOSSES) -> FoundRate:
    read = read_curve(RATES, losses, 0.75, 0.0, "so three quarters of the way between them")
    smoothed = [*read.smoothed, *[None] * (100 - len(read.smoothed))]
    points = [Point(float(lr), float(y) if np.isfinite(y) else None, s) for lr, y, s in zip(RATES, losses, smoothed)]
    return FoundRate("mlp", "sgd", "constant", "log", 3, 1, read.suggestion, read.low, read.high, read.diverges_at,
                     read.reason, points)  # fmt: skip


def lines(figure) -> dict[str, np.ndarray]:
    """The x of every labelled line."""
    return {line.get_label().split(":")[0]: np.asarray(line.get_xdata()) for line in figure.axes[0].get_lines()}


def test_the_figure_shows_what_was_found():
    found = found_on()
    assert found.suggestion and found.low and found.high and found.diverges_at
    figure = rate_figure(found)
    axes = figure.axes[0]
    drawn = lines(figure)
    assert axes.get_xscale() == "log" and axes.get_xlim() == (pytest.approx(RATES[0]), pytest.approx(RATES[-1]))
    assert set(drawn["suggestion"]) == {found.suggestion} and set(drawn["explodes"]) == {found.diverges_at}
    assert np.allclose(drawn["smoothed"], RATES)
    dots, above = drawn["loss, mean of 3 seeds"], drawn["higher than shown"]
    assert np.allclose(np.sort(np.concatenate([dots, above])), RATES), "every point is there, none twice"
    assert axes.get_ylim()[0] < LOSSES.min() and LOSSES[0] < axes.get_ylim()[1] < LOSSES[-1]
    (band,) = axes.patches
    assert (band.get_extents().transformed(axes.transData.inverted()).x0) == pytest.approx(found.low)
    assert (band.get_extents().transformed(axes.transData.inverted()).x1) == pytest.approx(found.high)
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert f"suggestion: {found.suggestion:g}" in words and f"explodes: {found.diverges_at:g}" in words
    assert f"{found.low:g} to {found.high:g}" in " ".join(words)
    assert found.reason[1:] in axes.get_xlabel().replace("\n", " ")


def test_without_a_suggestion_none_is_drawn():
    figure = rate_figure(found_on(np.full(100, 3.3)))
    assert not {"suggestion", "explodes"} & lines(figure).keys() and not figure.axes[0].patches


@pytest.mark.parametrize("broken_from", [0, 1, 30, 99])
def test_points_without_a_loss_are_left_out(broken_from):
    losses = LOSSES.copy()
    losses[broken_from:] = np.nan
    figure = rate_figure(found_on(losses))
    assert len(lines(figure)["loss, mean of 3 seeds"]) <= broken_from
    assert rendered(figure, "png")


@pytest.mark.parametrize("width, height", [(3.2, 2.6), (8.0, 4.8), (20.0, 5.0)])
def test_nothing_leaves_the_paper_narrow_or_wide(width, height):
    figure = rate_figure(found_on(), width, height)
    figure.draw_without_rendering()
    paper = figure.bbox
    axes = figure.axes[0]
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title, *axes.get_legend().get_texts()):
        box = text.get_window_extent()
        assert box.x0 >= paper.x0 - 1 and box.x1 <= paper.x1 + 1, text.get_text()
        assert box.y0 >= paper.y0 - 1 and box.y1 <= paper.y1 + 1, text.get_text()


def test_each_format_is_what_it_says_and_the_same_each_time():
    files = {ending: rendered(rate_figure(found_on()), ending) for ending in FORMATS}
    assert files == {ending: rendered(rate_figure(found_on()), ending) for ending in FORMATS}
    assert files["png"].startswith(b"\x89PNG") and files["pdf"].startswith(b"%PDF")
    root = ElementTree.fromstring(files["svg"])
    assert root.tag.endswith("}svg") and "suggestion:" in " ".join(root.itertext())


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_the_paper_is_opaque_so_that_no_page_swallows_the_ink(look):
    data = rendered(rate_figure(found_on(), 2.0, 2.0, look), "png")
    at, pixels = 8, b""
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        pixels += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    paper = bytes.fromhex(look.paper[1:])
    assert zlib.decompress(pixels)[1:5] == paper + b"\xff", "the first pixel: red, green, blue, alpha"


@pytest.mark.parametrize("path, ending", [("lr.png", "png"), ("a/b.c/LR.SVG", "svg"), ("x.y.pdf", "pdf")])
def test_the_ending_decides_the_format(path, ending):
    assert check_plot(path) == ending


@pytest.mark.parametrize("path", ["lr", "lr.bmp", "", ".png", "lr.", "png", "lr.png.txt"])
def test_other_endings_are_refused(path):
    with pytest.raises(UsageError, match="ends in none of: png, svg, pdf"):
        check_plot(path)


def test_importing_the_module_does_not_load_matplotlib():
    script = "import sys, moreish.faces.plot as p; p.check_plot('a.png'); print('matplotlib' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"

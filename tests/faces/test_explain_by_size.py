"""`moreish explain minibatch` and `dimensionality`: what they print, what is drawn, and what is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from moreish.explaining.dimensionality import dimensionality
from moreish.explaining.dimensionality import neighbours as neighbours_page
from moreish.explaining.minibatch import minibatch, race
from moreish.explaining.minibatch import noise as noise_page
from moreish.faces.plot import DARK, LIGHT, rendered
from moreish.text.corpus import Corpus

COMMANDS = ("minibatch", "dimensionality")
TOLD = {
    "minibatch": (
        "angle: ",
        "spread: ",
        "expected: ",
        "noise: ",
        "full",
        "Approximate: ",
        "Jumps: ",
        "Price: ",
        "Equal ",
    ),
    "dimensionality": ("possible: ", "counts", "contrast: ", "same next: ", "Space: ", "Overfitting: ", "Work: "),
}


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Few steps, few draws: what is printed has its form all the same."""
    for page, values in {
        minibatch: {"MOMENTS": (0, 20), "RACE_SECONDS": 0.05, "SIZES": (1, 32, 256)},
        noise_page: {"MOST_DRAWS": 6, "LEAST_DRAWS": 3},
        race: {"FULL_STEPS": 2, "FULL_RATES": (1.0, 2.0), "COST_SECONDS": 0.001, "TURNS": 2, "HALVINGS": 1},
        dimensionality: {"STEPS": 10, "NETWORKS": (1, 3), "LENGTHS": (1, 3), "DIMENSIONS": (1, 10)},
        neighbours_page: {"REFERENCES": 500, "ASKED": 50},
    }.items():
        for name, value in values.items():
            patch.setattr(page, name, value)


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
    hurry(monkeypatch)


@pytest.fixture(scope="module")
def figures():
    """What makes a figure of each command's result on a bundled list, and on one that is too short."""
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_dimensionality import dimensionality_figure
    from moreish.faces.plot_minibatch import minibatch_figure

    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        made = {}
        for size, corpus in (("long", Corpus.read("minerals")), ("short", Corpus.of(["anna", "eva"]))):
            made["minibatch", size] = minibatch_figure, minibatch.explain_minibatch(corpus)
            made["dimensionality", size] = dimensionality_figure, dimensionality.explain_dimensionality(corpus)
        return made


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_one_object_and_the_same_each_time_but_for_seconds(moreish, name):
    ran = moreish("explain", name, "list.txt", "--plot", "out/deep/x.png", "--json")
    assert ran.code == 0 and ran.err == ""
    again = moreish("explain", name, "list.txt", "--json").json
    first = dict(ran.json)
    for each in (first, again):
        each.pop("seconds", None)
    assert first == again and first["list"] == "list.txt" and first["reasons"] == {}
    assert Path("out/deep/x.png").read_bytes()[1:4] == b"PNG"
    other = moreish("explain", name, "list.txt", "--seed", "1", "--json").json
    part = "moments" if name == "minibatch" else "networks"
    assert other[part] != first[part]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [60, 100])
def test_for_people_there_are_tables_a_sentence_for_each_figure_and_what_follows(moreish, monkeypatch, name, width):
    monkeypatch.setenv("COLUMNS", str(width))
    ran = moreish("explain", name, "list.txt")
    assert ran.code == 0 and ran.err == "" and "\x1b" not in ran.out
    assert all(len(line) <= width for line in ran.lines) and "…" not in ran.out
    told = " ".join(ran.out.split())
    for words in TOLD[name]:
        assert words in told, words


@pytest.mark.parametrize("name", COMMANDS)
def test_a_list_too_short_for_a_figure_says_so(moreish, name):
    Path("few.txt").write_text("ana\neva\n")
    ran = moreish("explain", name, "few.txt", "--plot", "x.svg")
    assert ran.code == 0
    assert re.search("No race: the list has 8 symbols|the list has 2 different lines", " ".join(ran.out.split()))
    found = moreish("explain", name, "few.txt", "--json").json
    assert found["reasons"]
    assert found["seconds"] is None if name == "minibatch" else found["networks"][0]["dev"] is None


@pytest.mark.parametrize("size", ["long", "short"])
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width, height, look", [(3.6, 4.0, LIGHT), (13.0, 4.2, DARK)])
def test_nothing_leaves_the_paper_narrow_or_wide(figures, name, size, width, height, look):
    make, found = figures[name, size]
    figure = make(found, width, height, look)
    figure.draw_without_rendering()
    texts = [figure._supxlabel]
    for axes in figure.axes:
        texts += [axes._left_title, axes.xaxis.label, axes.yaxis.label]
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, text.get_text()


def test_the_minibatch_figure_shows_what_was_found(figures):
    make, found = figures["minibatch", "long"]
    angles, spreads, seconds, symbols = make(found).axes
    for axes, name in ((angles, "degrees"), (spreads, "spread")):
        drawn = [line.get_ydata() for line in axes.get_lines() if len(line.get_xdata()) == 3]
        for moment in found.moments:
            rows = moment.noise.batches
            for wanted in (
                [getattr(row, name).value for row in rows],
                [getattr(row, f"expected_{name}") for row in rows],
            ):
                assert any(np.allclose(each, wanted) for each in drawn)
    for side in found.seconds.race:
        wanted = [point.nats for point in side.points[1:]]
        assert any(list(line.get_ydata()) == wanted for line in seconds.get_lines())
    for curve in found.curves:
        wanted = [point.symbols for point in curve.points[1:]]
        assert any(list(line.get_xdata()) == wanted for line in symbols.get_lines())


def test_the_dimensionality_figure_shows_what_was_found(figures):
    make, found = figures["dimensionality", "long"]
    contexts, rare, losses, distances, near, work = make(found).axes
    drawn = {line.get_label(): list(line.get_ydata()) for axes in (contexts, losses, near, work) for line in axes.lines}
    assert drawn["possible"] == [each.possible for each in found.contexts]
    assert drawn["seen in train"] == [each.seen for each in found.contexts]
    assert drawn["counts, dev"] == [each.dev for each in found.contexts]
    assert drawn["network, dev"] == [each.dev for each in found.networks]
    assert drawn["counting equal windows"] == [each.neighbours.counted for each in found.networks]
    assert drawn["cells of a table"] == [each.work.table_cells for each in found.networks]
    assert [bar.get_height() for bar in rare.patches] == [100 * each.dev_unseen for each in found.contexts]
    assert [text.get_text() for text in distances.texts] == [str(each.length) for each in found.networks]
    short_make, short = figures["dimensionality", "short"]
    assert sum(axes.axison for axes in short_make(short).axes) == 5  # none of neighbours


def test_the_figure_is_the_same_each_time(figures):
    make, found = figures["minibatch", "short"]
    assert rendered(make(found), "svg") == rendered(make(found), "svg")


REFUSED = [
    (["nosuch"], 1, "nosuch"),
    ([], 2, "LIST"),
    (["list.txt", "--seed", "-1"], 2, "seed=-1"),
    (["list.txt", "--seed", "x"], 2, "'x' is not a whole number"),
    (["list.txt", "--plot", "b.bmp"], 2, "ends in none of: png, svg, pdf"),
    (["list.txt", "--dark"], 2, "Give --plot FILE"),
]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("arguments, code, words", REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_obeyed_is_refused_in_a_sentence(moreish, name, arguments, code, words):
    ran = moreish("explain", name, *arguments)
    assert ran.code == code and ran.out == ""
    assert re.search(words, " ".join(ran.err.replace("│", " ").split())), ran.err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_needs_neither_torch_nor_matplotlib(name):
    script = (
        f"import sys; from moreish.faces.cli import run; code = run(['explain', {name!r}, '--help'])\n"
        "print(code, sorted({'torch', 'matplotlib', 'numpy'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.splitlines()[-1] == "0 []" and f"Example: moreish explain {name}" in ran.stdout

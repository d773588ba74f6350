"""`moreish explain batchnorm` and `optimizability`: what they print, what is drawn, and what is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hurried import hurry_batchnorm, hurry_optimizability
from moreish.explaining.batchnorm.chapter import explain_batchnorm
from moreish.explaining.optimizability.chapter import explain_optimizability
from moreish.faces.plot import rendered
from moreish.text.corpus import Corpus

COMMANDS = ("batchnorm", "optimizability")
SAID = {
    "batchnorm": ("Over which axes", "refused", "Batch-mates: ", "Regularises: ", "Padding: ", "The lecture's axes: "),
    "optimizability": ("rnn-large", "At first, ", "Why: ", "On the list itself", "Where a symbol must be remembered"),
}


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
    hurry_batchnorm(monkeypatch)
    hurry_optimizability(monkeypatch)


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        hurry_batchnorm(patch)
        hurry_optimizability(patch)
        corpus = Corpus.read("minerals")
        return {"batchnorm": explain_batchnorm(corpus), "optimizability": explain_optimizability(corpus)}


def figure_of(name, found, *args, **settings):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_batchnorm import batchnorm_figure
    from moreish.faces.plot_optimizability import optimizability_figure

    make = {"batchnorm": batchnorm_figure, "optimizability": optimizability_figure}[name]
    return make(found[name], *args, **settings)


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_one_object_and_the_figure_is_written(moreish, name):
    pytest.importorskip("matplotlib")
    ran = moreish("explain", name, "minerals", "--plot", "out/deep/x.png", "--dark", "--json")
    assert ran.err == "" and ran.json["list"] == "minerals" and ran.json["part"] == "dev"
    assert Path("out/deep/x.png").read_bytes()[1:4] == b"PNG"
    assert moreish("explain", name, "minerals", "--seed", "1", "--json").json != ran.json


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [60, 80, 160])
def test_for_people_there_are_tables_and_sentences(monkeypatch, capsys, found, name, width):
    from moreish.faces.cli import explain_batchnorm, explain_optimizability
    from moreish.faces.cli.console import stdout

    monkeypatch.setenv("COLUMNS", str(width))
    stdout().print({"batchnorm": explain_batchnorm, "optimizability": explain_optimizability}[name].told(found[name]))
    out = capsys.readouterr().out
    assert "\x1b" not in out and all(len(line) <= width for line in out.splitlines())
    told = " ".join(out.split())
    for words in SAID[name]:
        assert words in told, words
    if width >= 80:
        assert "…" not in out


def test_the_figure_of_batchnorm_shows_what_was_found(found):
    mates, curves, costs = figure_of("batchnorm", found).axes
    told = found["batchnorm"]
    drawn = {line.get_label(): line for axes in (mates, curves) for line in axes.get_lines()}
    assert np.allclose(drawn["learning"].get_ydata(), [each.nats for each in told.mates])
    for curve, label in zip(told.regularizes.curves, ("no BatchNorm", "BatchNorm", "BatchNorm, calmer")):
        assert np.allclose(drawn[label].get_xdata(), curve.train) and np.allclose(drawn[label].get_ydata(), curve.dev)
    spans = [line.get_xdata() for line in costs.get_lines() if len(line.get_xdata()) == 2][1:]
    assert np.allclose(spans[-1], [told.lecture.cost.low, told.lecture.cost.high]) and len(spans) == 4


def test_the_figure_of_optimizability_shows_what_was_found(found):
    fresh, learnt, rates, recalls = figure_of("optimizability", found).axes
    told = found["optimizability"]
    for axes, backs in ((fresh, told.fresh), (learnt, told.learnt)):
        drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
        for each in backs:
            assert np.allclose(drawn[each.network], each.inputs[: told.reach + 1])
    assert fresh.get_ylim() == learnt.get_ylim()
    assert len(rates.get_lines()) == 2 * len(told.sweeps)
    shown = [line.get_ydata() for line in recalls.get_lines() if len(line.get_ydata()) == len(told.recalls[0].known)]
    assert any(np.allclose(each, told.recalls[-1].known) for each in shown)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width, height", [(4.5, 4.0), (9.0, 5.0), (18.0, 8.0)])
def test_nothing_leaves_the_paper_narrow_or_wide(found, name, width, height):
    figure = figure_of(name, found, width, height)
    figure.draw_without_rendering()
    texts = [figure._supxlabel]
    for axes in figure.axes:
        texts += [axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
    for text in texts:
        if not text.get_text():
            continue
        box = text.get_window_extent()
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, text.get_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_figure_is_the_same_each_time(found, name):
    assert rendered(figure_of(name, found), "svg") == rendered(figure_of(name, found), "svg")


def test_without_a_dev_part_the_panel_says_so(found):
    from dataclasses import replace

    told = replace(found["batchnorm"], regularizes=None, not_measured="no dev part")
    panel = figure_of("batchnorm", {"batchnorm": told}).axes[1]
    assert [text.get_text() for text in panel.texts] == ["no dev part"]


REFUSED = [
    (["few.txt"], 1, "2 lines to learn from|fewer than 30 lines"),
    (["nosuch"], 1, "nosuch"),
    (["minerals", "--seed", "-1"], 2, "seed=-1"),
    (["minerals", "--plot", "b.bmp"], 2, "ends in none of: png, svg, pdf"),
    (["minerals", "--dark"], 2, "--dark is about the drawing"),
]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("arguments, code, words", REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_obeyed_is_refused_in_a_sentence(moreish, name, arguments, code, words):
    Path("few.txt").write_text("ana\neva\n")
    ran = moreish("explain", name, *arguments)
    assert ran.code == code and ran.out == ""
    assert re.search(words, " ".join(ran.err.replace("│", " ").split())), ran.err


def test_help_needs_neither_torch_nor_matplotlib():
    script = (
        "import sys; from moreish.faces.cli import run; run(['explain', 'batchnorm', '--help'])\n"
        "run(['explain', 'optimizability', '--help'])\n"
        "print(sorted({'torch', 'matplotlib', 'numpy'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.splitlines()[-1] == "[]" and "Example: moreish explain optimizability" in ran.stdout

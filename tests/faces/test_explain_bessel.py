"""`moreish explain`: what its commands print for people and for programs, what is drawn, and what is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from moreish.explaining.bessel import correction as bessel
from moreish.explaining.bessel import measures as bessel_measures
from moreish.explaining.bessel.correction import SIZES, measured
from moreish.faces import plot
from moreish.faces.cli import app
from moreish.faces.cli.reference import reference
from moreish.faces.plot import rendered
from moreish.text.corpus import Corpus

QUICK = ["explain", "bessel", "list.txt"]


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Few steps, few batches: what is printed has its form all the same."""
    for name, value in {"STEPS": 3, "SEEDS": 1}.items():
        patch.setattr(bessel, name, value)
    for name, value in {"DRAWN": 1 << 12, "AT_ONCE": 1 << 12, "CALIBRATION": 1 << 12, "GRADIENT_BATCHES": 8}.items():
        patch.setattr(bessel_measures, name, value)


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
    hurry(monkeypatch)


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        *_, last = measured(Corpus.read("minerals"))
        return last


def test_json_is_one_object_of_the_promised_shape_and_the_same_each_time(moreish):
    ran = moreish(*QUICK, "--plot", "out/deep/b.png", "--json")
    assert ran.err == "" and moreish(*QUICK, "--json").json == ran.json
    assert [row["batch"] for row in ran.json["batches"]] == list(SIZES)
    assert {(pair["batch"], pair["stored"]) for pair in ran.json["batches"][0]["loss"]} == {
        (a, b) for a in ("n", "n - 1") for b in ("n", "n - 1")
    }
    assert {row["who"] for row in ran.json["conventions"]} == {"torch", "paper", "lecture", "moreish"}
    assert ran.json["list"] == "list.txt" and ran.json["part"] == "dev"
    assert Path("out/deep/b.png").read_bytes()[1:4] == b"PNG"
    assert moreish(*QUICK, "--seed", "1", "--json").json["batches"] != ran.json["batches"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_for_people_there_are_the_tables_a_sentence_for_each_figure_and_what_follows(moreish, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    ran = moreish(*QUICK)
    assert ran.code == 0 and ran.err == "" and "\x1b" not in ran.out
    assert all(len(line) <= width for line in ran.lines)
    told = " ".join(ran.out.split())
    for words in ("torch", "lecture", "bias: ", "activation: ", "gradient: ", "loss: ", "size: ", "Stored: ", "Both: "):
        assert words in told, words
    if width >= 80:
        assert "…" not in ran.out
        (row,) = [line.split() for line in ran.lines if re.match(r" +2 +2\.0000 ", line)]
        assert row[2].startswith("-") and row[3] == "%"


def test_the_figure_shows_what_was_found(found):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_bessel import bessel_figure

    estimates, sizes, gains = bessel_figure(found).axes
    drawn = {line.get_label(): line.get_ydata() for line in estimates.get_lines()}
    assert np.allclose(drawn["divided by n"], [100 * size.bias_n for size in found.batches])
    assert np.allclose(drawn["divided by n - 1"], [100 * size.bias_n_minus_1 for size in found.batches])
    drawn = {line.get_label(): line.get_ydata() for line in sizes.get_lines()}
    for i, pair in enumerate(found.batches[0].loss):
        wanted = [size.loss[i].activation for size in found.batches]
        assert np.allclose(drawn[f"batch {pair.batch}, stored {pair.stored}"], wanted)
    assert [bar.get_height() for bar in gains.patches] == [size.stored_gain.nats for size in found.batches]
    ticks = [[tick.get_text() for tick in axes.get_xticklabels()] for axes in (estimates, sizes, gains)]
    assert ticks == [[str(n) for n in SIZES]] * 3


@pytest.mark.parametrize("width, height", [(3.4, 3.0), (7.0, 4.0), (11.0, 4.4), (20.0, 5.0)])
def test_nothing_leaves_the_paper_narrow_or_wide(found, width, height):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_bessel import bessel_figure

    figure = bessel_figure(found, width, height)
    figure.draw_without_rendering()
    texts = [figure._supxlabel]
    for axes in figure.axes:
        texts += [axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, text.get_text()


def test_the_figure_is_the_same_each_time(found):
    pytest.importorskip("matplotlib")
    from moreish.faces.plot_bessel import bessel_figure

    assert rendered(bessel_figure(found), "svg") == rendered(bessel_figure(found), "svg")


REFUSED = [
    (["few.txt"], 1, "8 symbols to learn from, fewer than the largest batch"),
    (["nosuch"], 1, "nosuch"),
    (["list.txt", "--seed", "-1"], 2, "seed=-1"),
    (["list.txt", "--seed", "x"], 2, "'x' is not a whole number"),
    (["list.txt", "--plot", "b.bmp"], 2, "ends in none of: png, svg, pdf"),
    (["list.txt", "--plot", "run/b.png"], 2, "inside a run directory"),
    (["list.txt", "--column", "a", "--field", "b"], 2, "--field|field"),
]


@pytest.mark.parametrize("arguments, code, words", REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_obeyed_is_refused_in_a_sentence(moreish, arguments, code, words):
    Path("run").mkdir()
    Path("run/run.toml").touch()
    Path("few.txt").write_text("ana\neva\n")
    ran = moreish("explain", "bessel", *arguments)
    assert ran.code == code and ran.out == ""
    assert re.search(words, " ".join(ran.err.replace("│", " ").split())), ran.err


def test_without_matplotlib_a_sentence_says_how_to_get_it(moreish, monkeypatch):
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    ran = moreish(*QUICK, "--plot", "b.png")
    assert ran.code == 2 and "pip install 'moreish[plots]'" in ran.err


def test_losses_side_by_side_and_one_by_one(moreish):
    from moreish.explaining.losses.chapter import LOSSES

    together = moreish("explain", "losses")
    assert together.code == 0 and together.err == "" and "turned round" in " ".join(together.out.split())
    for loss in LOSSES.values():
        assert loss.name in together.out
    one = moreish("explain", "losses", "focal")
    assert "p[n, t])^gamma log p[n, t]" in one.out and "Below 1e-12 from autograd" in " ".join(one.out.split())
    asked = moreish("explain", "losses", "l2", "--json").json
    assert [loss["name"] for loss in asked["losses"]] == ["l2"] and len(asked["decay"]) == 3
    ran = moreish("explain", "losses", "focl")
    assert ran.code == 2 and "Did you mean 'focal'?" in ran.err and ran.out == ""


def test_the_group_lists_its_commands_and_the_reference_has_them(moreish):
    ran = moreish("explain", "--help")
    assert ran.code == 0 and "bessel" in ran.out and "losses" in ran.out
    (group,) = [each for each in app.registered_groups if each.name == "explain"]
    for command in group.typer_instance.registered_commands:
        assert "Example: moreish explain" in (command.callback.__doc__ or "")
        assert f"\n## moreish explain {command.name}\n" in reference()


def test_help_needs_neither_torch_nor_matplotlib():
    script = (
        "import sys; from moreish.faces.cli import run; code = run(['explain', 'bessel', '--help'])\n"
        "print(code, sorted({'torch', 'matplotlib', 'numpy'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.splitlines()[-1] == "0 []" and "Example: moreish explain bessel" in ran.stdout

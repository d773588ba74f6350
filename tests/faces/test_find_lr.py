"""`moreish find-lr`: what it prints for people and for programs, what it draws, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from moreish.faces import plot
from moreish.faces.cli.find import rates_table
from moreish.learning.finder import FoundRate, Point
from moreish.learning.training import Training

SMALL = ["--context", "2", "--embedding", "4", "--hidden", "16", "--layers", "1", "--batch", "32"]
QUICK = ["find-lr", "list.txt", "--model", "mlp", "--seeds", "1", "--steps-per-point", "1", *SMALL]


def test_json_is_one_object_of_the_promised_shape_and_the_same_each_time(moreish):
    ran = moreish("find-lr", "list.txt", *SMALL, "--plot", "out/deep/lr.png", "--json")
    found = ran.json
    assert ran.err == "" and moreish("find-lr", "list.txt", *SMALL, "--json").json == found
    assert set(found) == {
        "model", "optimizer", "schedule", "scale", "seeds", "steps_per_point", "suggestion", "low", "high",
        "diverges_at", "reason", "points",
    }  # fmt: skip
    assert found["model"] == "mlp" and found["seeds"] == 3 and len(found["points"]) == 100
    assert np.allclose(np.diff(np.log10([p["lr"] for p in found["points"]])), 5 / 99)
    assert all(isinstance(p["loss"], float) for p in found["points"][:50])
    assert found["low"] <= found["suggestion"] <= found["high"]
    assert found["diverges_at"] is None or found["high"] < found["diverges_at"]
    assert f"{found['low']:.3g}" in found["reason"] and Path("out/deep/lr.png").read_bytes()[1:4] == b"PNG"


def test_for_people_there_is_the_curve_the_suggestion_and_what_to_type_next(moreish):
    ran = moreish("find-lr", "list.txt", *SMALL, "--optimizer", "sgd", "--schedule", "constant")
    assert ran.code == 0 and ran.err == "" and "\x1b" not in ran.out
    assert "mlp by sgd" in ran.out and "█" in ran.out and "falls fastest" in ran.out
    (suggested,) = [line.split()[1] for line in ran.lines if line.startswith("Suggestion: ")]
    (following,) = [line.removeprefix("Next: ") for line in ran.lines if line.startswith("Next: ")]
    assert following.startswith(f"moreish train list.txt --model mlp --lr {suggested} --context 2")
    assert following.endswith("--optimizer sgd --schedule constant")
    assert moreish(*following.split()[1:], "--steps", "3").code == 0


@pytest.mark.parametrize("width", [40, 80, 200])
def test_rows_fit_the_terminal(moreish, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    ran = moreish(*QUICK)
    assert ran.code == 0 and ran.lines
    if width >= 80:
        assert all(len(line) <= width for line in ran.lines if not line.startswith("Next: ")) and "…" not in ran.out


def test_without_a_suggestion_a_sentence_says_why(moreish):
    ran = moreish(*QUICK, "--low", "1e-9", "--high", "1e-7")
    assert ran.code == 0 and "No suggestion: the loss" in ran.out and "Next:" not in ran.out
    found = moreish(*QUICK, "--low", "1e-9", "--high", "1e-7", "--json").json
    assert (found["suggestion"], found["low"], found["high"]) == (None, None, None) and "try" in found["reason"]


def test_rates_that_break_a_training_down_are_null_and_told_as_such(moreish, monkeypatch):
    gradient = Training.gradient

    def breaking(self, batch, step):
        if step >= 70:
            self.model.output.bias.data[0] = float("nan")
        return gradient(self, batch, step)

    monkeypatch.setattr(Training, "gradient", breaking)
    asked = [*QUICK, "--low", "0.0001", "--high", "1"]
    found = moreish(*asked, "--json", "--plot", "lr.svg").json
    assert found["points"][-1] == {"lr": pytest.approx(1), "loss": None, "smoothed": None}
    assert found["diverges_at"] and Path("lr.svg").stat().st_size > 1000
    assert "broken" in moreish(*asked).out


REFUSED = [
    (["--points", "5"], "points=5 is not a whole number from 20"),
    (["--points", "19"], "from 20"),
    (["--low", "1", "--high", "0.1"], "low=1 is not below half of high=0.1"),
    (["--low", "0"], "low=0.0 is no rate"),
    (["--low", "-1e-3"], "low=-0.001 is no rate"),
    (["--high", "nan"], "high=nan is no rate"),
    (["--high", "inf"], "high=inf is no rate"),
    (["--high", "ten"], "'ten' is not a number"),
    (["--scale", "cubic"], "scale='cubic' is none of: log, linear"),
    (["--seeds", "0"], "seeds=0"),
    (["--steps-per-point", "0"], "steps_per_point=0"),
    (["--lr", "0.1"], "the learning rate is what is looked for"),
    (["--seed", "-1"], "seed=-1"),
    (["--hiden", "3"], "'--hidden'"),
    (["--plot", "lr.bmp"], "ends in none of: png, svg, pdf"),
    (["--plot", "lr"], "ends in none of"),
    (["--plot", ""], "ends in none of"),
    (["--plot", "run/lr.png"], "inside a run directory.*--plot"),
]


@pytest.mark.parametrize("arguments, words", REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_obeyed_is_refused_in_a_sentence(moreish, arguments, words):
    Path("run").mkdir()
    Path("run/run.toml").touch()
    ran = moreish("find-lr", "list.txt", *arguments)
    assert ran.code == 2 and ran.out == ""
    assert re.search(words, " ".join(ran.err.replace("│", " ").split())), ran.err


@pytest.mark.parametrize(
    "model, words",
    [("ngram", "ngram is fitted by counting, so it has no learning rate"), ("auto", "auto"), ("mpl", "'mlp'")],
)
def test_models_without_a_rate_are_refused(moreish, model, words):
    ran = moreish("find-lr", "list.txt", "--model", model)
    assert ran.code == 2 and words in ran.err and ran.out == ""


def test_a_short_list_is_refused(moreish):
    Path("few.txt").write_text("ana\nbela\ncora\n")
    ran = moreish("find-lr", "few.txt")
    assert ran.code == 2 and "3 lines to learn from is too short" in ran.err


def test_the_list_is_not_drawn_over(moreish):
    Path("list.svg").write_text(Path("list.txt").read_text())
    ran = moreish("find-lr", "list.svg", "--plot", "list.svg")
    assert ran.code == 2 and "is the list itself" in ran.err
    assert Path("list.svg").read_text() == Path("list.txt").read_text()


def test_where_no_directory_can_be_made_nothing_is_tried(moreish):
    Path("file").touch()
    ran = moreish("find-lr", "list.txt", "--plot", "file/lr.png")
    assert ran.code == 1 and "file" in ran.err and ran.out == ""


def test_without_matplotlib_a_sentence_says_how_to_get_it(moreish, monkeypatch):
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    ran = moreish("find-lr", "list.txt", "--plot", "lr.png")
    assert ran.code == 2 and "pip install 'moreish[plots]'" in ran.err
    assert moreish(*QUICK).code == 0, "needed for a plot only"


def test_help_needs_neither_torch_nor_matplotlib():
    script = (
        "import sys; from moreish.faces.cli import run; code = run(['find-lr', '--help'])\n"
        "print(code, sorted({'torch', 'matplotlib', 'numpy'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.splitlines()[-1] == "0 []" and "Example: moreish find-lr" in ran.stdout


def test_a_table_of_nothing_but_breakdowns_can_be_shown():
    points = [Point(float(lr), None, None) for lr in np.geomspace(1e-4, 1, 30)]
    found = FoundRate("mlp", "sgd", "constant", "log", 1, 1, None, None, None, 1e-4, "the loss is broken", points)
    assert rates_table(found, 20)

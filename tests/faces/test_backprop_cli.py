"""`moreish backprop`: the lectures' table, its JSON, its drawing, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moreish.explaining.grains import backprop as module
from moreish.explaining.grains.lecture_net import ORDER, atomic_backward
from moreish.ops import compiled_step


def test_the_lectures_table(moreish):
    ran = moreish("backprop", "--model", "mlp-bn", "--seed", "0")
    assert ran.code == 0 and not ran.err
    assert ran.lines[0] == "mlp-bn, atomic"
    assert [line.split()[0] for line in ran.lines[2 : 2 + len(ORDER)]] == list(ORDER)
    assert re.fullmatch(r"hpreact +32 x 64 +\d\.\de-\d\d +\d+\.\d +(exact|rounding) *", ran.lines[2 + 11])
    assert "False" not in ran.out and ran.lines[-1].startswith("All 26 gradients equal autograd's: ")


@pytest.mark.parametrize("grain, rows", [("atomic", 26), ("fused", 13), ("step", 7)])
def test_its_json(grain, rows, moreish):
    found = moreish("backprop", "list.txt", "--grain", grain, "--hidden", 12, "--batch", 9, "--json").json
    assert (found["model"], found["grain"], found["seed"], found["right"]) == ("mlp-bn", grain, 0, True)
    assert len(found["intermediates"]) == rows and found["engine"] in (
        (None,) if grain != "step" else ("plain", "compiled")
    )
    for row in found["intermediates"]:
        assert row["verdict"] in ("exact", "rounding") and row["max_difference"] >= 0 and row["ulps"] >= 0
        assert (row["verdict"] == "exact") <= (row["max_difference"] == 0)
    shapes = {row["name"]: row["shape"] for row in found["intermediates"]}
    assert shapes["b1"] == [12] and shapes["W1"] == [30, 12]
    assert moreish("backprop", "list.txt", "--grain", grain, "--hidden", 12, "--batch", 9, "--json").json == found


def test_another_model(moreish):
    ran = moreish("backprop", "list.txt", "--model", "gru", "--hidden", 5, "--embedding", 4)
    assert ran.code == 0 and "layers.0.hidden" in ran.out and ran.lines[0] == "gru, model"


def test_a_wrong_gradient_is_told_and_is_exit_code_1(moreish, monkeypatch):
    def wrong(*args):
        d = atomic_backward(*args)
        return {**d, "h": d["h"] * 1.00001}

    monkeypatch.setattr(module, "atomic_backward", wrong)
    ran = moreish("backprop", "list.txt")
    assert ran.code == 1 and re.search(r"^h .* error", ran.out, re.M)
    assert ran.lines[-1].startswith("1 of 26 gradients are wrong. Begin with h: ")


def test_why_the_step_is_plain_is_said(moreish, monkeypatch, tmp_path):
    compiled_step.checked_library.cache_clear()
    monkeypatch.setenv("CC", str(tmp_path / "nowhere"))
    monkeypatch.setattr("moreish.ops.compiled.COMPILERS", ("no-such-compiler",))
    ran = moreish("backprop", "list.txt", "--grain", "step")
    compiled_step.checked_library.cache_clear()
    assert ran.code == 0 and ran.lines[0] == "mlp-bn, step (plain)"
    assert ran.err.startswith("moreish: the step is plain torch: $CC names ")


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_drawn(dark, moreish):
    ran = moreish("backprop", "list.txt", "--plot", "new/out.svg", *["--dark"] * dark)
    assert ran.code == 0 and ran.lines[-1].startswith("All 26")
    assert "<svg" in Path("new/out.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--model", "ngram"], 2, "ngram learns by counting"),
        (["--model", "mlpbn"], 2, "Did you mean 'mlp-bn'"),
        (["--grain", "steps"], 2, "no grain is called 'steps'. Did you mean 'step'"),
        (["--model", "lstm", "--grain", "step"], 2, "grains are of mlp-bn"),
        (["--batch", "1"], 2, "BatchNorm needs two windows"),
        (["--hidden", "1e3"], 2, "not a whole number"),
        (["--plot", "x.png"], 2, "does not end in .svg"),
        (["--plot", "list.txt/x.svg"], 1, "cannot make the directory list.txt"),
        (["--dark"], 2, "--dark is about the drawing"),
        (["--model", "transformer", "--embedding", "4"], 2, "no setting 'embedding'"),
    ],
)
def test_what_it_refuses(words, code, said, moreish):
    ran = moreish("backprop", "list.txt", *words)
    assert ran.code == code and said in ran.err and not ran.out


def test_a_list_that_is_not_there(moreish):
    ran = moreish("backprop", "nowhere.txt")
    assert ran.code == 1 and "nowhere.txt" in ran.err

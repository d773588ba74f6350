"""The ladder and comparisons as people and programs see them, in any width, of any list, as they go and at the end."""

from __future__ import annotations

import io
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from test_terminal import ATTACKS, is_harmless

from moreish.faces import ladder as face
from moreish.faces.ladder import ComparisonTable, climbing
from moreish.models.catalog import MODELS
from moreish.runs import ladder as ladder_module
from moreish.runs.ladder import climb, ladder
from moreish.runs.standing import Comparison, Standing
from moreish.text.corpus import Corpus

NUMBER = (int, float)
QUICK = "uniform,unigram,bigram,ngram,mlp-bn"
real_make_recipe = ladder_module.make_recipe


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Networks take three steps, whatever the time."""

    def make(corpus, model, *, time=None, evaluate_every=0, **asked):
        steps = {"steps": 3, "batch": 16} if MODELS[model].learns_by_gradient else {}
        return real_make_recipe(corpus, model, **steps, **asked)

    monkeypatch.setattr(ladder_module, "make_recipe", make)


def printed(found: Comparison, width: int, colour: bool = False) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=colour, highlight=False, record=False,
                      color_system="truecolor" if colour else None)  # fmt: skip
    console.print(ComparisonTable(found))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def rows() -> list[Standing]:
    """Rungs as they might be, every case among them."""
    whole = {"settings": {}, "bits_per_symbol": 2.0, "copy_mass": 0.3, "nats_given_new": 1.9, "parameters": 12_345}
    return [
        Standing("uniform", nats_per_symbol=3.2958, low=3.2958, high=3.2958, difference=1.2919, difference_low=1.27,
                 difference_high=1.31, seconds=0.0003, counted=True, samples=["xq", "zz"], **whole),
        Standing("ngram", nats_per_symbol=2.0039, low=1.988, high=2.022, difference=0.0, difference_low=0.0,
                 difference_high=0.0, seconds=1.26, counted=True, samples=["mary"],
                 **{**whole, "settings": {"order": 6}}),
        Standing("mlp", nats_per_symbol=2.005, low=1.98, high=2.03, difference=0.0011, difference_low=-0.004,
                 difference_high=0.006, seconds=28.2, steps=20, full_steps=90, samples=["[red]b[/]", "ann"], **whole),
        Standing("gru", nats_per_symbol=1.9567, low=1.94, high=1.97, difference=-0.0472, difference_low=-0.055,
                 difference_high=-0.04, seconds=1234.5, samples=["bo" * 90], **whole),
        Standing("lstm", failed="step 7: the loss is nan; the first bad tensor is the weight a."),
        Standing("counts", nats_per_symbol=math.inf, low=math.inf, high=math.inf, difference=math.inf,
                 difference_low=math.inf, difference_high=math.inf, seconds=0.1, counted=True, **whole),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def found(rows) -> Comparison:
    return Comparison(
        list="names.txt", split="lecture", split_seed=42, part="dev", lines=2949, symbols=21047, folds=0, leaks=True,
        note="this split leaks: lines can be in both", reference="ngram of order 6", rows=rows,
        advice=["gru has the least loss.", "mlp is within the noise of ngram of order 6."],
    )  # fmt: skip


@pytest.mark.parametrize("width", [20, 34, 48, 60, 76, 80, 92, 100, 116, 160])
def test_in_any_width_the_figures_are_whole_and_nothing_sticks_out(width, found):
    out = printed(found, width)
    lines = out.splitlines()
    assert max(len(line) for line in lines) <= width
    table = out[: out.index("xq")]
    for figure in ("3.2958", "2.0039", "2.0050", "1.9567"):
        assert figure in table
    words = " ".join(out.split())
    assert "gru has the least loss." in words and "• " in words and "This split leaks" in words
    assert "the first bad tensor is the weight a." in words and "[red]b[/]" in words
    assert ("-0.047" in table) == (width >= 76) and ("1.988 to 2.022" in table) == (width >= 116)
    assert ("±0.017" in table) == (48 <= width < 116) and ("30.0 %" in table) == (width >= 92)
    assert ("12,345" in table) == (width >= 76) and ("1.3" in table and "0.000" in table) == (width >= 48)
    assert "None" not in out and "nan " not in table and (width < 48 or "infinite" in table)


def test_bars_are_as_long_as_the_losses(found):
    lengths = [line.count("█") for line in printed(found, 160).splitlines() if "█" in line]
    assert lengths == [24, 14, 14, 14, 24]  # 24 cells for the largest finite loss, and for an infinite one


def test_better_and_worse_and_noise_differ_in_colour(found):
    out = printed(found, 100, colour=True)
    assert re.search(r"\x1b\[32m *-0\.047", out) and re.search(r"\x1b\[33m *\+1\.292", out)
    assert re.search(r"\x1b\[2m *\+0\.001", out)


@pytest.mark.parametrize("split, folds, said", [
    ("unique", 0, "names.txt, unique split: 6 models on dev, 2,949 lines"),
    ("unique", 5, "names.txt, unique split: 6 models over 5 folds, 2,949 lines"),
    ("lecture", 0, "names.txt, lecture split, which leaks: 6 models on dev"),
])  # fmt: skip
def test_the_heading_says_what_of_what(split, folds, said, found):
    leaks = split == "lecture"
    assert said in printed(replace(found, split=split, folds=folds, leaks=leaks, note=""), 100)


# The commands.

LADDER = {
    "list": str, "split": str, "split_seed": int, "part": str, "lines": int, "symbols": int, "folds": int,
    "leaks": bool, "note": str, "reference": str, "advice": list, "time": NUMBER, "seconds": NUMBER, "seed": int,
}  # fmt: skip
RUNG = {
    "model": str, "nats_per_symbol": float, "low": float, "high": float, "bits_per_symbol": float, "parameters": int,
    "seconds": float, "samples": list, "difference": float, "difference_low": float, "difference_high": float,
    "copy_mass": float, "nats_given_new": float, "settings": dict, "failed": str, "note": str,
}  # fmt: skip


def test_ladder_prints_one_object(moreish):
    said = moreish("ladder", "list.txt", "--models", QUICK, "--time", 100, "--json").json
    assert all(isinstance(said[key], kind) for key, kind in LADDER.items())
    assert [row["model"] for row in said["rungs"]] == QUICK.split(",")
    for row in said["rungs"]:
        assert {key: type(row[key]) for key, kind in RUNG.items() if not isinstance(row[key], kind)} == {}
        assert row["low"] <= row["nats_per_symbol"] <= row["high"] and row["samples"]
    assert said["advice"] and all(isinstance(sentence, str) for sentence in said["advice"])


@pytest.mark.parametrize("source", ["list.txt", "few.txt"])
def test_ladder_for_people(source, moreish):
    Path("few.txt").write_text("".join(f"{line}\n" for line in Path("list.txt").read_text().split()[:50]))
    ran = moreish("ladder", source, "--models", QUICK, "--time", 100)
    assert ran.code == 0 and ran.err == "" and "\x1b" not in ran.out
    assert all(re.search(rf"^{name}\b.*\d\.\d{{4}}", ran.out, re.M) for name in QUICK.split(","))
    assert "has the least loss" in ran.out or "beyond the noise" in " ".join(ran.out.split())
    assert ("over 5 folds" in ran.out) == (source == "few.txt") and "leaks" not in ran.out


def test_a_leaking_split_is_labelled(moreish):
    ran = moreish("ladder", "list.txt", "--models", "unigram,bigram", "--split", "lecture")
    assert "which leaks" in ran.out and "! This split leaks" in ran.out
    assert moreish("ladder", "list.txt", "--models", "bigram", "--split", "lecture", "--json").json["leaks"] is True


@pytest.mark.parametrize("arguments, message", [
    (["--split", "none"], "--split none holds nothing"), (["--models", "lsmt"], "no model is called 'lsmt'"),
    (["--models", ""], "no models"), (["--models", "bigram,bigram"], "named twice"), (["--time", "0"], "time=0.0"),
    (["--time", "nan"], "time=nan"), (["--time", "soon"], "soon"), (["--seed", "-1"], "seed=-1"),
    (["--device", "abacus"], "abacus"), (["--hidden", "9"], "--hidden"),
])  # fmt: skip
def test_what_means_nothing_is_refused_with_a_sentence(arguments, message, moreish):
    ran = moreish("ladder", "list.txt", *arguments)
    assert ran.code == 2 and ran.out == "" and message in ran.err


def test_a_mistake_is_said_before_the_list_is_read(moreish):
    assert "time=0.0" in moreish("ladder", "nosuch.txt", "--time", "0").err
    ran = moreish("ladder", "nosuch.txt")
    assert ran.code == 1 and "nosuch.txt" in ran.err


def test_compare_prints_one_object_and_a_table(moreish, runs):
    places = ["ngram", "bigram", "counts"]
    for place in places:
        shutil.copytree(runs[place], place)
    said = moreish("compare", *places, "--json").json
    assert [row["run"] for row in said["runs"]] == places and said["part"] == "dev" and said["leaks"] is False
    assert said["runs"][0]["difference"] == 0 and said["runs"][0]["seconds"] is None
    assert {"list", "lines", "symbols", "advice", "reference", "split", "note"} <= said.keys()
    ran = moreish("compare", *places)
    assert ran.code == 0 and ran.err == "" and "minus first" in ran.out
    assert all(re.search(rf"^{place} \(", ran.out, re.M) for place in places)


@pytest.mark.parametrize("names, flags, code, message", [
    (["ngram"], [], 2, "two runs or more"), (["ngram", "ngram"], [], 2, "given twice"),
    (["ngram", "lecture"], [], 2, "the split lecture"), (["ngram", "few"], [], 2, "another list"),
    (["ngram", "hashes"], [], 1, "only hashes"), (["none", "none-2"], [], 1, "no run directory"),
    (["ngram", "bigram"], ["--part", "train"], 2, "dev, test"), (["", "bigram"], [], 2, "'' is no name"),
])  # fmt: skip
def test_runs_that_cannot_be_compared_are_refused(names, flags, code, message, moreish, runs):
    ran = moreish("compare", *[runs.get(name, name) for name in names], *flags)
    assert ran.code == code and ran.out == "" and message in ran.err


@pytest.mark.parametrize("width", ["20", "80", "140"])
def test_a_list_cannot_command_the_terminal(width, moreish, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    Path("attack.txt").write_text("".join(f"{line}\n" for line in ATTACKS * 12), encoding="utf-8")
    ran = moreish("ladder", "attack.txt", "--models", "unigram,ngram,mlp-bn")
    assert ran.code == 0 and is_harmless(ran.out) and is_harmless(ran.err)
    for name in ("one", "two"):
        assert moreish("train", "attack.txt", "--model", "bigram", "--run", f"\x1b[31m{name}").code == 0
    ran = moreish("compare", "\x1b[31mone", "\x1b[31mtwo")
    assert ran.code == 0 and is_harmless(ran.out) and is_harmless(ran.err)


# The climb, as it goes.


@pytest.mark.parametrize("lines", [MANY := [f"{a}{b}{c}" for a in "abcdefgh" for b in "stuv" for c in "xyzäö"] * 2 +
                                   [f"{a}{b}" * 2 for a in "abcdefghij" for b in "klmnopq"], MANY[:60]])  # fmt: skip
def test_on_a_terminal_rungs_and_what_is_left_are_shown_as_they_come(lines, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(face, "stderr", lambda: Console(file=out, force_terminal=True, width=100, height=20))
    import time as clock

    with climbing(50.0, clock.perf_counter()) as show:
        for event in climb(Corpus.of(lines), models=["bigram", "mlp-bn"], time=50.0):
            show(event)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert re.search(r"bigram: \d\.\d{4} nats \(\d\.\d{3} to \d\.\d{3}\), 0\.0 s: \w", shown)
    assert "mlp-bn, 2 of 2" in shown and re.search(r"0:\d\d left", shown) and "mlp-bn: " in shown


def test_off_a_terminal_nothing_is_shown(monkeypatch, capsys):
    with climbing(50.0, 0.0) as show:
        for event in climb(Corpus.of(["ab", "ba", "aa"]), models=["bigram"]):
            show(event)
    out, err = capsys.readouterr()
    assert out == err == ""


def test_the_table_has_the_figures_of_the_json():
    found = ladder(Corpus.of(MANY * 2), models=["unigram", "bigram"], time=30.0)
    out = printed(found, 120)
    for row in found.to_dict()["rungs"]:
        assert f"{row['nats_per_symbol']:.4f}" in out and f"{row['low']:.3f} to {row['high']:.3f}" in out

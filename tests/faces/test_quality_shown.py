"""`moreish evaluate --samples`: the table in any width, its JSON, and what is refused."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from moreish.faces.quality import quality_table
from moreish.generating.quality.quality import Quality, quality
from moreish.generating.quality.rows import TELLS
from moreish.learning.intervals import Interval
from moreish.runs.directory import load


@pytest.fixture(scope="module")
def found(runs) -> Quality:
    return quality(load(runs["bigram"]), 100)


def printed(found: Quality, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), highlight=False, color_system=None)
    console.print(quality_table(found, width))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 99, 100, 140])
def test_every_row_is_shown_and_explained(found, width):
    lines = printed(found, width)
    assert all(len(line.rstrip()) <= width for line in lines)
    for label, *_ in TELLS.values():
        assert any(line.startswith(f"{label} ") for line in lines), label
    said = " ".join(" ".join(lines).split())
    assert "100 samples (seed 0) beside" in said and "(dev)" in said
    if width < 100:  # beneath the figures, and so in one piece
        for row in found.rows:
            assert row.explanation in said and row.unknown in said
    row = next(line for line in lines if line.startswith("new "))
    new = found["new"].samples
    assert new is not None and f"{100 * new.value:.1f} %" in row


def test_what_is_not_known_or_infinite_is_no_number(found):
    assert found["told_apart"].samples is None  # fewer than 100 lines are held out
    (row,) = (line for line in printed(found, 60) if line.startswith("told apart"))
    assert row.split() == ["told", "apart", "not", "known", "not", "known"]
    endless = replace(found["new_nats"], samples=Interval(math.inf, math.nan, math.nan))
    changed = replace(found, rows=(endless,), temperature=0.8, top_k=3, top_p=0.9)
    said = " ".join(" ".join(printed(changed, 60)).split())
    assert "surprise infinite" in said and "nan" not in said
    assert "(seed 0, temperature 0.8, top-k 3, top-p 0.9)" in said


def test_the_json_is_that_of_evaluate_with_the_table_in_it(moreish, runs, found):
    plain = moreish("evaluate", runs["bigram"], "--json").json
    asked = moreish("evaluate", runs["bigram"], "--samples", 100, "--json").json
    table = asked.pop("quality")
    assert asked == plain
    expected = found.to_dict()
    del expected["evaluation"]
    assert table == expected
    other = moreish("evaluate", runs["bigram"], "--samples", 100, "--seed", 1, "--top-k", 2, "--json").json["quality"]
    assert (other["seed"], other["top_k"]) == (1, 2) and other["rows"] != table["rows"]


@pytest.mark.parametrize(("name", "said"), [("few", "too short to hold any out"), ("none", "nothing is held out")])
def test_without_held_out_lines_the_samples_have_their_figures(name, said, moreish, runs):
    out = moreish("evaluate", runs[name], "--samples", 100).out
    assert said in " ".join(out.split()) and "no real ones" in out and "None" not in out
    table = moreish("evaluate", runs[name], "--samples", 100, "--json").json["quality"]
    assert table["real"] == 0 and table["rows"][0]["samples"]["value"] >= 0 and table["rows"][0]["real"] is None


def test_a_split_that_leaks_says_so(moreish, runs):
    ran = moreish("evaluate", runs["lecture"], "--samples", 100)
    assert "This split leaks" in ran.out
    assert moreish("evaluate", runs["lecture"], "--samples", 100, "--json").json["quality"]["leaks"] is True


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--seed", "1"], 2, "Add --samples"),
        (["--temperature", "0.5"], 2, "Add --samples"),
        (["--samples", "5"], 2, "from 100"),
        (["--samples", "ten"], 2, "whole number"),
        (["--samples", "200", "--part", "train"], 2, "no unseen lines"),
        (["--samples", "200", "--top-p", "2"], 2, "top_p"),
    ],
)
def test_what_is_refused(flags, code, said, moreish, runs):
    ran = moreish("evaluate", runs["bigram"], *flags)
    assert ran.code == code and said in ran.err and not ran.out


def test_a_run_without_its_list_is_refused(moreish, runs):
    ran = moreish("evaluate", runs["hashes"], "--samples", 100)
    assert ran.code == 1 and "kept only hashes" in ran.err


def test_a_look_at_test_is_counted(moreish):
    assert moreish("train", "list.txt", "--model", "bigram", "--run", "run").code == 0
    found = moreish("evaluate", "run", "--samples", 100, "--part", "test", "--json").json
    assert found["test_looks"] == 1 and found["quality"]["part"] == "test"

"""`moreish blend`, `moreish steer` and --typical: what people and programs are told, and what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from calling import MADE_UP

from moreish.faces import plot
from moreish.faces.cli.blend import losses_table, table_of
from moreish.faces.cli.console import stdout
from moreish.faces.plot_steer import steering_figure
from moreish.generating.blend import blend, held_out_losses, sample_blend
from moreish.generating.sample import sample
from moreish.generating.steer import steer
from moreish.runs.directory import load


@pytest.fixture
def other(moreish) -> str:
    """A run of another list, which shares some symbols and some lines with the first."""
    Path("other.txt").write_text("".join(f"{line}\n" for line in [*MADE_UP[:40], *(f"{x}wy" for x in MADE_UP)]))
    assert moreish("train", "other.txt", "--model", "bigram", "--run", "other").code == 0
    return "other"


def test_a_blend_gives_lines_as_json_csv_and_plain(moreish, runs, other):
    asked = ["blend", runs["ngram"], other, "--weight", "0.5", "-n", "30", "--seed", "3"]
    found = moreish(*asked, "--json").json
    assert (found["weight"], found["runs"], found["losses"]) == (0.5, [runs["ngram"], other], None)
    assert found["found"] == 30 and any(line["nats_a"] is None for line in found["lines"])
    assert all(line["nats_b"] is not None for line in found["lines"])
    texts = [line["text"] for line in found["lines"]]
    assert moreish(*asked).lines == texts
    rows = list(csv.DictReader(io.StringIO(moreish(*asked, "--csv").out)))
    assert [row["text"] for row in rows] == texts
    moreish(*asked, "-o", "out.txt")
    assert Path("out.txt").read_text().splitlines() == texts
    kept = moreish(*asked, "--new-only", "--distinct", "--prefix", "ka", "--typical", "0.9", "--top-k", "8", "--json")
    assert all(line["text"].startswith("ka") and line["origin"] != "copy" for line in kept.json["lines"])


def test_losses_are_said_beside_the_lines_and_in_json(moreish, runs, other):
    asked = ["blend", runs["ngram"], other, "-n", "2", "--losses"]
    first, second = moreish(*asked, "--json").json["losses"]
    assert first["run"] == runs["ngram"] and second["a"] is None and first["a"] < first["b"]
    ran = moreish(*asked)
    assert len(ran.lines) == 2 and "infinite" in ran.err and f"{first['blend']:.4f}" in ran.err
    few = moreish("blend", runs["few"], runs["few"], "--losses")
    assert few.code == 2 and "nothing to measure" in few.err


@pytest.mark.parametrize("width", [60, 100])
def test_people_see_what_each_line_costs_under_each(width, moreish, runs, other, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    blended = blend(load(runs["ngram"]), load(other), 0.25)
    found = sample_blend(blended, 12, seed=1)
    stdout().print(table_of(blended, found, 1))
    stdout().print(losses_table(held_out_losses(blended)))
    out = capsys.readouterr().out
    assert all(line.text in out and f"{line.nats:.1f}" in out for line in found.lines)
    said = " ".join(out.split())
    assert "–" in said and "0.75 of the blend" in said and "seed 1" in said


def test_steering_is_told_drawn_and_the_same_each_time(moreish, runs):
    asked = ["steer", runs["ngram"], "--temperatures", "0.5, 1", "--typical", "0.7", "-n", "200"]
    ran = moreish(*asked, "--plot", "out/s.svg", "--dark", "--json")
    assert ran.err == "" and "How new lines are" in Path("out/s.svg").read_text()
    rows = ran.json["settings"]
    assert [(row["temperature"], row["typical"]) for row in rows] == [(0.5, None), (1, None), (1, 0.7)]
    assert ran.json["held_out"]["temperature"] is None and ran.json["count"] == 200
    assert moreish(*asked, "--json").json == ran.json
    told = moreish(*asked)
    for said in ("temperature 0.5", "as it is", "typical 0.7", "real, held out", f"{100 * rows[0]['new']:.1f} %"):
        assert said in told.out
    none = moreish("steer", runs["hashes"], "--typical", "", "-n", "20")
    assert none.code == 0 and "held out" not in none.out and "typical" not in none.out


def test_steering_is_read_at_eighty_columns(moreish, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    ran = moreish("steer", runs["ngram"], "-n", "20", "--temperatures", "0.15,1.25", "--typical", "0.95")
    assert all(len(line) <= 80 for line in ran.lines) and "…" not in ran.out
    assert any(line.startswith("temperature 0.15") and line.rstrip()[-1].isdigit() for line in ran.lines)


@pytest.mark.parametrize("look", [plot.LIGHT, plot.DARK])
def test_the_figure_shows_each_setting_with_its_interval(look, runs):
    found = steer(load(runs["ngram"]), [1.0, 0.5], [0.7], count=100)
    (axes,) = steering_figure(found, look=look).axes
    named = {text.get_text(): text.xy for text in axes.texts}
    assert set(named) == {"1", "0.5", "0.7"}
    for row, name in zip(found.settings, ("1", "0.5", "0.7")):
        assert named[name] == (row.entropy_bits, row.new)
    low, high = axes.get_ylim()
    assert low < min(row.new_low for row in found.settings) and max(row.new_high for row in found.settings) < high
    assert len(axes.containers) == 2 and axes.get_legend() is not None


def test_typical_is_a_setting_of_more_and_sample(moreish, runs):
    ran = moreish("sample", runs["ngram"], "-n", "50", "--seed", "1", "--typical", "0.2")
    trained = load(runs["ngram"])
    typical, plain = ([line.text for line in sample(trained, 50, seed=1, typical=tau).lines] for tau in (0.2, None))
    assert ran.lines == typical != plain
    asked = ["more", "list.txt", "-n", "3", "--seed", "1"]
    assert moreish(*asked, "--typical", "0.2").lines != moreish(*asked).lines


@pytest.mark.parametrize(
    "flags, code, said",
    [
        (["blend", "NGRAM", "NGRAM", "--weight", "1.5"], 2, "weight=1.5"),
        (["blend", "NGRAM", "NGRAM", "--weight", "nan"], 2, "weight=nan"),
        (["blend", "NGRAM", "NGRAM", "--weight", "half"], 2, "'half' is not a number"),
        (["blend", "NGRAM"], 2, "RUN_B"),
        (["blend", "NGRAM", "nosuch"], 1, "there is no run directory nosuch"),
        (["blend", "NGRAM", "words"], 2, "characters, of the other words"),
        (["blend", "NGRAM", "NGRAM", "--typical", "0"], 2, "typical=0"),
        (["blend", "NGRAM", "NGRAM", "--csv", "--json"], 2, "Give one of them"),
        (["blend", "NGRAM", "NGRAM", "--run", "x"], 2, "--run"),
        (["sample", "NGRAM", "--typical", "0"], 2, "typical=0"),
        (["more", "list.txt", "--typical", "2"], 2, "typical=2"),
        (["steer", "NGRAM", "--temperatures", "1,,2"], 2, "'' is not a number"),
        (["steer", "NGRAM", "--temperatures", "", "--typical", ""], 2, "0 settings"),
        (["steer", "NGRAM", "--temperatures", "-1"], 2, "temperature=-1"),
        (["steer", "NGRAM", "--typical", "0"], 2, "typical=0"),
        (["steer", "NGRAM", "-n", "0"], 2, "0 lines"),
        (["steer", "NGRAM", "--seed", "-1"], 2, "seed"),
        (["steer", "NGRAM", "--dark"], 2, "--plot"),
        (["steer", "nosuch"], 1, "there is no run directory nosuch"),
    ],
    ids=lambda x: " ".join(x[:1] + x[2:]) if isinstance(x, list) else "",
)
def test_what_means_nothing_is_refused_in_a_line(flags, code, said, moreish, runs):
    if "words" in flags:
        assert moreish("train", "list.txt", "--symbols", "words", "--model", "bigram", "--run", "words").code == 0
    ran = moreish(*(runs["ngram"] if flag == "NGRAM" else flag for flag in flags))
    assert (ran.code, ran.out) == (code, "") and said in ran.err
